"""Batch norm needs large batches, group norm does not mind small ones (Wu and He 2018, figure 1).

Trains one network with either normalisation at several batch sizes, each for the same number of
epochs and with the rate in proportion to the batch, and draws the dev error over the batch size.

python examples/group_vs_batch_norm.py sample:digits --out FOLDER --epochs 8
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

import saccade
from saccade.types import Measure

NORMS = ("batch", "group")


def train(norm: str, batch: int, options: argparse.Namespace) -> Measure:
    """Dev accuracy, with its interval, of one run."""
    chosen = {"data.imgsz": options.imgsz, "data.dev": options.dev}
    trained = saccade.train(
        options.data,
        model=options.model,
        project=options.out / "runs",
        name=f"{norm}{batch}",
        resume=True,
        epochs=options.epochs,
        batch=batch,
        fraction=options.fraction,
        lr0=options.lr0 * batch / 64,
        optimizer="sgd",
        weight_decay=1e-4,
        patience=0,
        seed=options.seed,
        settings={
            "model.norm": norm,
            "optimizer.schedule": "cosine",
            "optimizer.warmup": 0.1,
            "loss.label_smoothing": 0.0,
            **{key: value for key, value in chosen.items() if value is not None},
        },
    )
    return trained.val("dev").measures["accuracy"]


def draw(found: dict[str, dict[int, Measure]], path: Path) -> None:
    """Error in percent over the batch size, with 95 % intervals."""
    figure, axis = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
    for norm, by_batch in found.items():
        measures = list(by_batch.values())
        errors = [100 * (1 - each.value) for each in measures]
        below = [100 * (each.high - each.value) for each in measures]
        above = [100 * (each.value - each.low) for each in measures]
        axis.errorbar(
            list(by_batch), errors, [below, above], marker="o", capsize=3, label=f"{norm} norm"
        )
    axis.set_xscale("log", base=2)
    batches = sorted({batch for each in found.values() for batch in each}, reverse=True)
    axis.set_xticks(batches, [str(batch) for batch in batches])
    axis.invert_xaxis()
    axis.set(xlabel="pictures per batch", ylabel="dev error, %", ylim=(0, None))
    axis.grid(alpha=0.3)
    axis.legend()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main(arguments: list[str] | None = None) -> dict[str, dict[int, float]]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="pictures with classes: a folder, CSV, zip or sample:digits")
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--batches", nargs="+", type=int, default=(2, 4, 8, 16, 32, 64))
    parser.add_argument("--out", type=Path, default=None, help="folder of the runs and the picture")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--fraction", type=float, default=1.0, help="of the training part")
    parser.add_argument("--dev", type=float, default=None, help="share of the dev part")
    parser.add_argument("--imgsz", type=int, default=None)
    parser.add_argument("--lr0", type=float, default=0.1, help="at a batch of 64")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    options.out = options.out or Path(tempfile.mkdtemp(prefix="saccade-"))

    found: dict[str, dict[int, Measure]] = {norm: {} for norm in NORMS}
    for batch in sorted(options.batches, reverse=True):
        for norm in NORMS:
            measure = found[norm][batch] = train(norm, batch, options)
            print(
                f"{norm} norm, batch {batch}: dev error {100 * (1 - measure.value):.1f} % "
                f"({100 * (1 - measure.high):.1f} to {100 * (1 - measure.low):.1f})",
                flush=True,
            )
    draw(found, options.out / "group_vs_batch_norm.png")
    print(options.out / "group_vs_batch_norm.png")
    return {
        norm: {batch: 1 - measure.value for batch, measure in by_batch.items()}
        for norm, by_batch in found.items()
    }


if __name__ == "__main__":
    main()
