"""Shift a photograph: a convolution's answer shifts along, a pooled one hardly changes.

Equivariance is exact inside, lost in the border that padding invents, and kept through a stride
only for shifts by whole strides. Invariance of pooling is a matter of degree, and measured here.

python examples/convolution/translation.py [FOLDER]
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import torch
from matplotlib import pyplot as plt
from sklearn.datasets import load_sample_image
from torch import Tensor
from torch.nn import functional as F

Picture = Callable[..., Tensor]
Shifted = Callable[[int], Tensor]

SHIFTS = range(9)
POOLS = (1, 2, 4, 8, 16, 192)  # the last one is the whole map


def main(folder: Path) -> dict[str, float]:
    photo = torch.from_numpy(load_sample_image("china.jpg").copy()).float() / 255
    image = photo.permute(2, 0, 1)[None]  # (1, 3, 427, 640)
    torch.manual_seed(0)
    kernels = torch.randn(16, 3, 5, 5) / 75**0.5
    kernels = kernels - kernels.mean((1, 2, 3), keepdim=True)

    def seen(shift: int) -> Tensor:
        """192 x 192 pixels; the camera moves, so what enters at the border is real."""
        return image[:, :, 120:312, 200 + shift : 392 + shift]

    def features(picture: Tensor, stride: int = 1) -> Tensor:
        return F.relu(F.conv2d(picture, kernels, padding=2, stride=stride))

    numbers = equivariance(features, seen)
    changes = {pool: [change(features, seen, pool, shift) for shift in SHIFTS] for pool in POOLS}
    for pool in POOLS:
        numbers[f"max pooling {pool}: change after a shift of 4"] = changes[pool][4]

    figure, axes = plt.subplots(1, 4, figsize=(16, 4.3), layout="constrained")
    channel = 3
    before, after = features(seen(0))[0, channel], features(seen(24))[0, channel]
    for axis, picture, title in (
        (axes[0], before, "a convolution's answer"),
        (axes[1], after, "camera 24 pixels to the right:\nthe answer moves along"),
    ):
        axis.imshow(picture.numpy(), cmap="magma", vmin=0, vmax=before.max())
        axis.set_title(title)
        axis.set_axis_off()
    wrong = torch.zeros(192, 192)
    wrong[:, 24:] = (before[:, 24:] - after[:, :-24]).abs()
    axes[2].imshow(wrong.numpy(), cmap="magma", vmin=0, vmax=0.05)
    axes[2].set_title(
        "moved back, the difference: 0 inside,\nnot at the border, where padding enters"
    )
    axes[2].set_xlim(24, 191)
    axes[2].set_axis_off()
    for pool, values in changes.items():
        label = "no pooling" if pool == 1 else "whole map" if pool == 192 else f"{pool} x {pool}"
        axes[3].plot(SHIFTS, values, marker="o", markersize=3, label=label)
    axes[3].set(xlabel="shift in pixels", ylabel="change of the answer, share of its length")
    axes[3].set_title("max pooling: the larger, the less a shift changes")
    axes[3].set_ylim(0, 1.5)
    axes[3].legend(title="pooled over", fontsize=9, loc="upper center", ncols=3)
    axes[3].grid(alpha=0.3)
    figure.savefig(folder / "translation.png", dpi=100, bbox_inches="tight")
    plt.close(figure)
    return numbers


def equivariance(features: Picture, seen: Shifted) -> dict[str, float]:
    """Largest differences between 'shift, then convolve' and 'convolve, then shift' by 8 pixels."""
    before, after = features(seen(0)), features(seen(8))
    differences = (before[..., 8:] - after[..., :-8]).abs()
    strided, one, two = features(seen(0), 2), features(seen(1), 2), features(seen(2), 2)
    return {
        "inside": differences[..., 2:-2, 2:-2].max().item(),
        "in the border of 2 pixels": differences.max().item(),
        "stride 2, shift 2, inside": inside(strided[..., 1:], two[..., :-1]),
        "stride 2, shift 1, inside": inside(strided, one),
        "largest value": before.max().item(),
    }


def inside(a: Tensor, b: Tensor) -> float:
    return (a - b)[..., 2:-2, 2:-2].abs().max().item()


def change(features: Picture, seen: Shifted, pool: int, shift: int) -> float:
    """How far the pooled answer moves with a shift, as a share of its length: 0 is unchanged."""
    before, after = (F.max_pool2d(features(seen(each)), pool) for each in (0, shift))
    return ((after - before).norm() / before.norm()).item()


if __name__ == "__main__":
    place = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="saccade-"))
    place.mkdir(parents=True, exist_ok=True)
    for key, value in main(place).items():
        print(f"{key}: {value:.4g}")
    print(place / "translation.png")
