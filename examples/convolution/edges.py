"""Sobel, Scharr and Prewitt filters on a photograph, and how well each knows a direction.

python examples/convolution/edges.py [FOLDER]
"""

from __future__ import annotations

import math
import sys
import tempfile
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import torch
from matplotlib import pyplot as plt
from sklearn.datasets import load_sample_image
from torch import Tensor
from torch.nn import functional as F

# change along one axis, smoothing along the other: only the smoothing differs
SMOOTHING = {
    "Prewitt": torch.tensor([1.0, 1.0, 1.0]) / 3,
    "Sobel": torch.tensor([1.0, 2.0, 1.0]) / 4,
    "Scharr": torch.tensor([3.0, 10.0, 3.0]) / 16,
}
CHANGE = torch.tensor([-1.0, 0.0, 1.0]) / 2


def gradient(image: Tensor, smoothing: Tensor) -> tuple[Tensor, Tensor]:
    """(H, W) -> change per pixel to the right and downwards, each (H - 2, W - 2)."""
    right = torch.outer(smoothing, CHANGE)
    kernels = torch.stack([right, right.T])[:, None]  # (2, 1, 3, 3)
    both = F.conv2d(image[None, None], kernels)[0]
    return both[0], both[1]


def direction_error(smoothing: Tensor, period: float = 5.0) -> float:
    """Largest error in degrees of the direction of a wave, over every direction it can have."""
    y, x = torch.meshgrid(torch.arange(-20.0, 21), torch.arange(-20.0, 21), indexing="ij")
    worst = 0.0
    for degrees in range(46):
        angle = math.radians(degrees)
        wave = torch.sin(2 * math.pi / period * (x * math.cos(angle) + y * math.sin(angle)))
        right, down = gradient(wave, smoothing)
        middle = right.shape[0] // 2
        found = math.degrees(math.atan2(down[middle, middle], right[middle, middle]))
        worst = max(worst, abs(found - degrees))
    return worst


def main(folder: Path) -> dict[str, float]:
    photo = torch.from_numpy(load_sample_image("china.jpg").copy()).float() / 255
    grey = photo @ torch.tensor([0.299, 0.587, 0.114])
    grey = grey[20:340, 100:580]

    figure, axes = plt.subplots(2, 3, figsize=(13, 6.4), layout="constrained")
    axes[0, 0].imshow(grey.numpy(), cmap="gray")
    axes[0, 0].set_title("the photograph")
    right, down = gradient(grey, SMOOTHING["Scharr"])
    axes[0, 1].imshow(right.numpy(), cmap="RdBu", vmin=-0.25, vmax=0.25)
    axes[0, 1].set_title("Scharr to the right: upright edges")
    axes[0, 2].imshow(down.numpy(), cmap="RdBu", vmin=-0.25, vmax=0.25)
    axes[0, 2].set_title("Scharr downwards: level edges")

    numbers = {}
    for axis, (name, smoothing) in zip(axes[1], SMOOTHING.items(), strict=True):
        right, down = gradient(grey, smoothing)
        strength = torch.hypot(right, down)
        numbers[f"{name} direction error"] = direction_error(smoothing)
        numbers[f"{name} mean strength"] = strength.mean().item()
        axis.imshow(strength.numpy(), cmap="magma", vmin=0, vmax=0.3)
        weights = " ".join(f"{value:.2f}" for value in smoothing.tolist())
        axis.set_title(
            f"{name} strength, smoothing {weights}\n"
            f"directions at most {numbers[f'{name} direction error']:.1f} degrees wrong"
        )
    for axis in axes.flat:
        axis.set_axis_off()
    figure.savefig(folder / "edges.png", dpi=100, bbox_inches="tight")
    plt.close(figure)
    return numbers


if __name__ == "__main__":
    place = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="saccade-"))
    place.mkdir(parents=True, exist_ok=True)
    for key, value in main(place).items():
        print(f"{key}: {value:.4g}")
    print(place / "edges.png")
