"""Batch norm suffers from small batches, group norm hardly from the size of its groups.

After Wu and He 2018, https://arxiv.org/abs/1803.08494, figure 1 and table 3. As there, the batch is
what one worker normalises over: updates stay at 64 pictures for all, only the pictures whose mean
and deviation are shared become fewer. (Updates from smaller batches are also more and noisier,
which has nothing to do with the norm.) Group norm never looks at other pictures, so that its line
over the batch is one run.

A norm suffers when it has few values. Pictures of 4 x 4 pixels make that visible within seconds:
the last maps of resnet20 are 1 x 1, two pictures give two values per channel. At 6 x 6 they give
eight and hardly matter, and a group of two channels would fail like a batch of two pictures.

python examples/group_vs_batch_norm.py FASHION-MNIST --imgsz 4 --fraction 0.07 --out FOLDER
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import torch
from matplotlib import pyplot as plt
from torch import Tensor, nn
from torch.nn import functional as F

import saccade
from saccade.models import catalog
from saccade.types import Measure


class BatchNormOfPieces(nn.BatchNorm2d):
    """Batch norm as `size` pictures per worker give it; a last, uneven batch is taken whole."""

    def __init__(self, channels: int, size: int) -> None:
        super().__init__(channels)
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        pieces, left = divmod(len(x), self.size)
        if not self.training or pieces < 2 or left:
            return super().forward(x)
        # pieces stand beside each other as channels: (size, pieces * C, H, W)
        beside = x.unflatten(0, (pieces, self.size)).transpose(0, 1).flatten(1, 2)
        mean, var = self.running_mean.repeat(pieces), self.running_var.repeat(pieces)
        weight, bias = self.weight.repeat(pieces), self.bias.repeat(pieces)
        y = F.batch_norm(beside, mean, var, weight, bias, True, self.momentum, self.eps)
        self.running_mean.copy_(mean.unflatten(0, (pieces, -1)).mean(0))
        self.running_var.copy_(var.unflatten(0, (pieces, -1)).mean(0))
        return y.unflatten(1, (pieces, -1)).transpose(0, 1).flatten(0, 1)


def groups_of(size: int, channels: int) -> nn.Module:
    return nn.GroupNorm(channels // size, channels)


def with_norms(name: str, channels: int, seed: int, make: Callable[[int], nn.Module]) -> nn.Module:
    """A network of the catalogue whose batch norms are replaced; weights equal for equal seeds."""
    torch.manual_seed(seed)
    small = {"stem": "small"} if "stem" in catalog.options(name) else {}
    network = catalog.create(name, num_classes=10, in_channels=channels, **small)
    assert isinstance(network, nn.Module)
    for path, module in list(network.named_modules()):
        if isinstance(module, nn.BatchNorm2d):
            parent, _, child = path.rpartition(".")
            setattr(network.get_submodule(parent), child, make(module.num_features))
    return network


def train(name: str, make: Callable[[int], nn.Module], options: argparse.Namespace) -> Measure:
    """Dev accuracy, with its interval, of one run."""
    trained = saccade.train(
        options.data,
        module=with_norms(options.model, options.channels, options.seed, make),
        project=options.out / "runs",
        name=name,
        resume=True,
        epochs=options.epochs,
        batch=64,
        fraction=options.fraction,
        lr0=options.lr0,
        optimizer="sgd",
        weight_decay=1e-4,
        patience=0,
        seed=options.seed,
        settings={
            "data.channels": options.channels,
            "optimizer.schedule": "cosine",
            "optimizer.warmup": 0.1,
            "loss.label_smoothing": 0.0,
            "train.precision": "fp32",
            "augment.shift": 0.0,  # a pixel of four is a quarter of the picture
            **({"data.imgsz": options.imgsz} if options.imgsz else {}),
        },
    )
    accuracy = trained.val("dev").measures["accuracy"]
    print(
        f"{name}: dev error {100 * (1 - accuracy.value):.1f} % "
        f"({100 * (1 - accuracy.high):.1f} to {100 * (1 - accuracy.low):.1f})",
        flush=True,
    )
    return accuracy


def draw(batch: dict[int, Measure], group: dict[int, Measure], path: Path) -> None:
    """Errors in percent with 95 % intervals: over the batch, and over the size of a group."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained", sharey=True)
    for axis, found, color, title, label in (
        (axes[0], batch, "C0", "batch norm", "pictures per batch"),
        (axes[1], group, "C1", "group norm", "channels per group"),
    ):
        errors = [100 * (1 - each.value) for each in found.values()]
        below = [100 * (each.high - each.value) for each in found.values()]
        above = [100 * (each.value - each.low) for each in found.values()]
        sizes = list(found)
        axis.errorbar(
            sizes, errors, [below, above], marker="o", capsize=3, color=color, label=title
        )
        axis.set_xscale("log", base=2)
        axis.set_xticks(sizes, map(str, sizes))
        axis.minorticks_off()
        axis.set(title=title, xlabel=label, ylim=(0, None))
        axis.grid(alpha=0.3)
    middle = 100 * (1 - sorted(each.value for each in group.values())[len(group) // 2])
    axes[0].axhline(middle, color="C1", linestyle="--", label="group norm, at any batch")
    axes[0].legend()
    axes[0].set_ylabel("dev error, %")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main(arguments: list[str] | None = None) -> dict[str, dict[int, float]]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="pictures of ten classes: a folder, CSV, zip, sample:digits")
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--batches", nargs="+", type=int, default=(2, 4, 8, 16, 32, 64))
    parser.add_argument("--groups", nargs="+", type=int, default=(4, 8, 16))
    parser.add_argument("--out", type=Path, default=None, help="folder of the runs and the picture")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--fraction", type=float, default=1.0, help="of the training part")
    parser.add_argument("--imgsz", type=int, default=None)
    parser.add_argument("--channels", type=int, choices=(1, 3), default=1)
    parser.add_argument("--lr0", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    options.out = options.out or Path(tempfile.mkdtemp(prefix="saccade-"))

    batch, group = {}, {}
    for size in sorted(options.batches):
        batch[size] = train(f"batch{size}", partial(BatchNormOfPieces, size=size), options)
    for size in sorted(options.groups):
        group[size] = train(f"group{size}", partial(groups_of, size), options)
    draw(batch, group, options.out / "group_vs_batch_norm.png")
    print(options.out / "group_vs_batch_norm.png")
    return {
        kind: {size: 1 - measure.value for size, measure in found.items()}
        for kind, found in (("batch", batch), ("group", group))
    }


if __name__ == "__main__":
    main()
