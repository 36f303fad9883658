"""An encoder that learnt from pictures without labels starts a classifier for few labels.

Draws a part of a data set, lets a convolutional autoencoder see all of its pictures, trains a
classifier on the labels of a small share of them, with and without that start, and prints the dev
accuracy of each seed and the means.

python examples/pretraining.py DATA --pictures 6000 --labelled 100 --seeds 3
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import saccade

DEV = 1000
"""Pictures that no training sees, on which both starts are compared."""


def part_of(data: Any, count: int, seed: int) -> Any:
    """`count` + DEV examples drawn at random, their given parts forgotten."""
    rows = np.random.default_rng(seed).permutation(len(data))[: count + DEV]
    return data.select(np.sort(rows))


def accuracy(data: Any, options: argparse.Namespace, seed: int, start: str, out: Path) -> float:
    """Dev accuracy of one classifier; start: "autoencoder" or "none"."""
    share = DEV / (options.pictures + DEV)
    run = saccade.train(
        data,
        model=options.model,
        project=out,
        name=f"{start}-{seed}",
        fraction=options.labelled / options.pictures,
        epochs=options.epochs,
        batch=20,
        patience=0,
        seed=seed,
        settings={
            "data.dev": share,
            "data.test": 0.0,
            "model.pretrain": start,
            "model.pretrain_epochs": options.pretrain_epochs,
        },
    )
    card = json.loads(run.folder.card.read_text())
    return float(card["metrics"]["accuracy"]["value"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--pictures", type=int, default=6000)
    parser.add_argument("--labelled", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--pretrain-epochs", type=int, default=15)
    parser.add_argument("--model", default="convnet")
    options = parser.parse_args()
    found: dict[str, list[float]] = {"none": [], "autoencoder": []}
    with tempfile.TemporaryDirectory() as out:
        for seed in range(options.seeds):
            data = part_of(saccade.open(options.data), options.pictures, seed)
            for start, scores in found.items():
                began = time.perf_counter()
                scores.append(accuracy(data, options, seed, start, Path(out)))
                seconds = time.perf_counter() - began
                print(f"seed {seed}, start {start}: {scores[-1]:.4f} ({seconds:.0f} s)", flush=True)
    for start, scores in found.items():
        print(f"start {start}: {sum(scores) / len(scores):.4f} over {len(scores)} seeds")


if __name__ == "__main__":
    main()
