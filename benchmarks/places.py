"""Localization and landmarks with default settings, each scored once on its test part.

    python benchmarks/places.py ../shared/data FILE.pth [--seeds 1] [--record]

FILE holds ImageNet features for the localization of raccoons; landmarks begin at random.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from results import Figure, add_option, exit_code, record, show

import saccade

GOALS = {"mean_iou": 0.55, "nme": 0.10}


def one(data: Path, metric: str, seed: int, folder: str, **start: Any) -> tuple[float, float]:
    """The metric on the test part, and seconds of the training."""
    began = time.perf_counter()
    run = saccade.train(data, project=folder, name=f"{metric}-{seed}", seed=seed, **start)
    seconds = time.perf_counter() - began
    value = run.val("test").measures[metric].value
    print(f"{data.name}, seed {seed}: {metric} {value:.4f}, {seconds:.0f} s", flush=True)
    return value, seconds


def figure(name: str, metric: str, scores: list[tuple[float, float]]) -> list[Figure]:
    """Mean over the seeds beside its goal, every seed, and the time."""
    mean = sum(value for value, _ in scores) / len(scores)
    goal, higher = GOALS[metric], metric == "mean_iou"
    met, sign = (mean >= goal, ">=") if higher else (mean <= goal, "<=")
    return [
        Figure(f"{name}: {metric} on test", f"{mean:.4f}", f"{sign} {goal}", met),
        Figure(f"{name}: by seed", ", ".join(f"{value:.3f}" for value, _ in scores)),
        Figure(f"{name}: training, s", ", ".join(f"{seconds:.0f}" for _, seconds in scores)),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path, help="folder of raccoon and face-landmarks68")
    parser.add_argument("weights", type=Path)
    parser.add_argument("--seeds", type=int, default=1)
    add_option(parser)
    given = parser.parse_args()
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        for name, metric, start in (
            ("raccoon", "mean_iou", {"task": "localization", "weights": str(given.weights)}),
            ("face-landmarks68", "nme", {"task": "landmarks"}),
        ):
            scores = [
                one(given.data / name, metric, seed, folder, **start) for seed in range(given.seeds)
            ]
            figures += figure(name, metric, scores)
    print(show(figures))
    if given.record:
        note = f"Load of the machine at the end: {os.getloadavg()[2]:.1f} (15 minutes)."
        record("Localization and landmarks", figures, note=note)
    return exit_code(figures)


if __name__ == "__main__":
    raise SystemExit(main())
