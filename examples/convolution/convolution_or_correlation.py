"""What networks call convolution is cross-correlation: the kernel is not flipped.

python examples/convolution/convolution_or_correlation.py [FOLDER]
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
from scipy import signal
from sklearn.datasets import load_sample_image
from torch import Tensor
from torch.nn import functional as F


def correlate(image: Tensor, kernel: Tensor) -> Tensor:
    """What nn.Conv2d does: the kernel as it is, laid over every place of (H, W)."""
    return F.conv2d(image[None, None], kernel[None, None], padding="same")[0, 0]


def convolve(image: Tensor, kernel: Tensor) -> Tensor:
    """Convolution as mathematics has it: the kernel turned by 180 degrees first."""
    return correlate(image, kernel.flip(0, 1))


def main(folder: Path) -> dict[str, float]:
    photo = torch.from_numpy(load_sample_image("flower.jpg").copy()).double() / 255
    grey = (photo @ torch.tensor([0.299, 0.587, 0.114], dtype=torch.double))[60:360, 150:550]

    # a fading trail to the lower right, so that a flip is seen
    kernel = torch.diag(torch.linspace(0, 1, 21, dtype=torch.double) ** 3)
    kernel[:10] = 0
    kernel = kernel / kernel.sum()
    point = torch.zeros(21, 21, dtype=torch.double)
    point[10, 10] = 1

    by_scipy = torch.from_numpy(signal.convolve2d(grey.numpy(), kernel.numpy(), mode="same"))
    also = torch.from_numpy(signal.correlate2d(grey.numpy(), kernel.numpy(), mode="same"))
    bell = torch.tensor([1.0, 2, 3, 2, 1], dtype=torch.double) / 9
    symmetric = torch.outer(bell, bell)
    numbers = {
        "convolution minus scipy.signal.convolve2d": diff(convolve(grey, kernel), by_scipy),
        "correlation minus scipy.signal.correlate2d": diff(correlate(grey, kernel), also),
        "convolution minus correlation": diff(convolve(grey, kernel), correlate(grey, kernel)),
        "the same with a symmetric kernel": diff(
            convolve(grey, symmetric), correlate(grey, symmetric)
        ),
        "a point convolved minus the kernel": diff(convolve(point, kernel), kernel),
        "a point correlated minus the kernel": diff(correlate(point, kernel), kernel),
        "order changed, convolution": diff(*either_order(convolve, kernel)),
        "order changed, correlation": diff(*either_order(correlate, kernel)),
    }

    figure, axes = plt.subplots(2, 3, figsize=(13, 6.6), layout="constrained")
    pictures = (
        (grey, "the photograph"),
        (correlate(grey, kernel), "cross-correlation, as in nn.Conv2d"),
        (convolve(grey, kernel), "convolution: it trails as the kernel does"),
        (kernel, "the kernel"),
        (correlate(point, kernel), "one point, correlated: turned around"),
        (convolve(point, kernel), "one point, convolved: the kernel itself"),
    )
    for axis, (picture, title) in zip(axes.flat, pictures, strict=True):
        axis.imshow(picture.numpy(), cmap="gray")
        axis.set_title(title)
        axis.set_xticks([])
        axis.set_yticks([])
    figure.savefig(folder / "convolution_or_correlation.png", dpi=100, bbox_inches="tight")
    plt.close(figure)
    return numbers


def diff(a: Tensor, b: Tensor) -> float:
    """The largest difference of two pictures of values 0..1."""
    return (a - b).abs().max().item()


def either_order(
    operation: Callable[[Tensor, Tensor], Tensor], kernel: Tensor
) -> tuple[Tensor, Tensor]:
    """Kernel with picture and picture with kernel: only convolution may be turned around."""
    other = torch.rand(kernel.shape, dtype=kernel.dtype, generator=torch.Generator().manual_seed(0))
    return operation(other, kernel), operation(kernel, other)


if __name__ == "__main__":
    place = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="saccade-"))
    place.mkdir(parents=True, exist_ok=True)
    for key, value in main(place).items():
        print(f"{key}: {value:.2g}")
    print(place / "convolution_or_correlation.png")
