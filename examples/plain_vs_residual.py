"""Deeper plain networks train worse, deeper residual ones do not (He et al. 2015, figures 4 and 6).

Trains each network with the same settings through saccade and draws training and dev errors over
epochs. Finished runs in the folder are kept, so networks may be added by another call.

python examples/plain_vs_residual.py DATA --out FOLDER --epochs 8 --fraction 0.05 --imgsz 16
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

import saccade

NETWORKS = ("plain20", "plain56", "resnet20", "resnet56")


def train(name: str, options: argparse.Namespace) -> list[dict[str, float]]:
    """One run; the lines of its results.csv."""
    chosen = {"data.imgsz": options.imgsz, "data.dev": options.dev}
    trained = saccade.train(
        options.data,
        model=name,
        project=options.out / "runs",
        name=name,
        resume=True,
        epochs=options.epochs,
        batch=options.batch,
        fraction=options.fraction,
        lr0=options.lr0,
        optimizer="sgd",
        weight_decay=1e-4,
        patience=0,
        seed=options.seed,
        settings={
            "optimizer.schedule": "cosine",
            "optimizer.warmup": 0.1,
            "loss.label_smoothing": 0.0,
            **{key: value for key, value in chosen.items() if value is not None},
        },
        reporter=saccade.api.Reporter(say=print),
    )
    return trained.folder.read_results()


def error(rows: list[dict[str, float]], part: str) -> list[float]:
    """Errors in percent by epoch; part: "train" (without augmentation) or "metrics" (dev)."""
    return [100 * (1 - row[f"{part}/accuracy"]) for row in rows]


def depth(name: str) -> int:
    return int("".join(filter(str.isdigit, name)))


def draw(results: dict[str, list[dict[str, float]]], path: Path) -> None:
    """Plain networks left, residual ones right, on one scale, as in the paper."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained", sharey=True)
    colors = {each: f"C{place}" for place, each in enumerate(sorted({depth(n) for n in results}))}
    for name, rows in results.items():
        axis = axes[0 if name.startswith("plain") else 1]
        epochs = [row["epoch"] for row in rows]
        color = colors[depth(name)]
        axis.plot(epochs, error(rows, "metrics"), color=color, linewidth=2, label=f"{name}, dev")
        axis.plot(epochs, error(rows, "train"), "--", color=color, label=f"{name}, training")
    for axis, title in zip(axes, ("plain", "residual"), strict=True):
        axis.set(title=title, xlabel="epoch", ylim=(0, 100))
        axis.grid(alpha=0.3)
        if axis.lines:
            axis.legend()
    axes[0].set_ylabel("error, %")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main(arguments: list[str] | None = None) -> dict[str, float]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="pictures with classes: a folder, CSV, zip or sample:digits")
    parser.add_argument("--networks", nargs="+", default=NETWORKS, metavar="NAME")
    parser.add_argument("--out", type=Path, default=None, help="folder of the runs and the picture")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--fraction", type=float, default=1.0, help="of the training part")
    parser.add_argument("--dev", type=float, default=None, help="share of the dev part")
    parser.add_argument("--imgsz", type=int, default=None)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--lr0", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    options.out = options.out or Path(tempfile.mkdtemp(prefix="saccade-"))

    results = {name: train(name, options) for name in options.networks}
    finals = {name: error(rows, "train")[-1] for name, rows in results.items()}
    draw(results, options.out / "plain_vs_residual.png")
    for name, value in finals.items():
        dev = error(results[name], "metrics")[-1]
        print(f"{name}: training error {value:.1f} %, dev error {dev:.1f} %")
    for kind in ("plain", "resnet"):
        own = sorted((name for name in finals if name.startswith(kind)), key=depth)
        if len(own) > 1:
            more = finals[own[-1]] - finals[own[0]]
            print(f"{own[-1]} against {own[0]}: {more:+.1f} points of training error")
    print(options.out / "plain_vs_residual.png")
    return finals


if __name__ == "__main__":
    main()
