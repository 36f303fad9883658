"""Fine-tuning on few photos, beside the same network from scratch, every other setting default.

    python benchmarks/transfer.py ../shared/data/hymenoptera FILE.pth [--seeds 5] [--scratch 1]

FILE holds ImageNet weights; the network is told from them. Dev accuracy of each seed is that of the
epoch that was kept, chosen on the same dev part.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from results import Figure, add_option, exit_code, record, show

import saccade

GOAL, SECONDS = 0.90, 180


def one(data: str, seed: int, folder: str, **start: Any) -> tuple[float, float, str]:
    """Dev accuracy, seconds and the network of one training."""
    began = time.perf_counter()
    name = f"{'weights' if 'weights' in start else 'scratch'}-{seed}"
    run = saccade.train(data, project=folder, name=name, seed=seed, **start)
    card = json.loads(run.folder.card.read_text())
    seconds = time.perf_counter() - began
    accuracy = float(card["metrics"]["accuracy"]["value"])
    print(f"{name}: {accuracy:.4f}, {seconds:.0f} s, load {os.getloadavg()[0]:.1f}", flush=True)
    return accuracy, seconds, str(card["model"])


def figures_of(tuned: list[Any], scratch: list[Any]) -> list[Figure]:
    mean = sum(each[0] for each in tuned) / len(tuned)
    slowest = max(each[1] for each in tuned)
    listed = ", ".join(f"{each[0]:.3f}" for each in tuned)
    figures = [
        Figure("network, told from the weights", tuned[0][2]),
        Figure("dev accuracy by seed, with weights", listed),
        Figure("mean, with weights", f"{mean:.4f}", f">= {GOAL:.2f}", mean >= GOAL),
        Figure("slowest, s", f"{slowest:.0f}", f"< {SECONDS}", slowest < SECONDS),
    ]
    if scratch:
        listed = ", ".join(f"{each[0]:.3f}" for each in scratch)
        figures.append(Figure("dev accuracy by seed, from scratch", listed))
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data")
    parser.add_argument("weights", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--scratch", type=int, default=1, help="seeds from scratch")
    add_option(parser)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tuned = [
            one(given.data, seed, folder, weights=str(given.weights)) for seed in range(given.seeds)
        ]
        network = tuned[0][2]
        scratch = [one(given.data, seed, folder, model=network) for seed in range(given.scratch)]
    figures = figures_of(tuned, scratch)
    print(show(figures))
    if given.record:
        note = f"Load of the machine at the end: {os.getloadavg()[2]:.1f} (15 minutes)."
        record("Transfer learning", figures, note=note)
    return exit_code(figures)


if __name__ == "__main__":
    raise SystemExit(main())
