"""A locally connected layer: every place has a kernel of its own, nothing is shared.

Given one kernel everywhere it is a convolution. Free to differ, it can see like an eye, sharp in
the middle and blurred outside, which no convolution can; the price is its parameters.

python examples/convolution/locally_connected.py [FOLDER]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import torch
from matplotlib import pyplot as plt
from sklearn.datasets import load_sample_image
from torch import Tensor, nn

from saccade.layers import LocallyConnected2d

SIDE, KERNEL = 300, 11


def bell(width: Tensor) -> Tensor:
    """Gaussian kernels of one width (in pixels) per place: (H, W) -> (1, KERNEL^2, H, W)."""
    offsets = torch.arange(KERNEL) - KERNEL // 2
    square = (offsets[:, None] ** 2 + offsets[None, :] ** 2).flatten()[:, None, None]
    kernels = torch.exp(-square / (2 * width**2))
    return (kernels / kernels.sum(0))[None]


def main(folder: Path) -> dict[str, float]:
    photo = torch.from_numpy(load_sample_image("flower.jpg").copy()).float() / 255
    image = photo[60 : 60 + SIDE, 130 : 130 + SIDE].permute(2, 0, 1)[:, None]  # colours as batch
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    distance = torch.hypot(y - 150.0, x - 170.0) / 150

    size, half = (SIDE, SIDE), KERNEL // 2
    layer = LocallyConnected2d(1, 1, KERNEL, size=size, padding=half, bias=False)
    conv = nn.Conv2d(1, 1, KERNEL, padding=half, bias=False)
    with torch.no_grad():
        conv.weight.copy_(bell(torch.full((1, 1), 2.0)).view(1, 1, KERNEL, KERNEL))
        everywhere = conv(image)
        layer.share(conv)
        difference = (layer(image) - everywhere).abs().max().item()
        layer.weight.copy_(bell(0.2 + 4 * distance.clamp(min=0.15) ** 2))
        like_an_eye = layer(image)

    with torch.device("meta"):  # sizes without values: the dense layer would take 32 GB
        shared = nn.Conv2d(1, 1, 5, padding=2)
        unshared = LocallyConnected2d(1, 1, 5, size=size, padding=2)
        dense = nn.Linear(SIDE * SIDE, SIDE * SIDE, bias=False)
    counts = {
        f"{name}, parameters": sum(each.numel() for each in module.parameters())
        for name, module in (
            ("convolution 5 x 5", shared),
            ("locally connected 5 x 5", unshared),
            ("dense", dense),
        )
    }

    figure, axes = plt.subplots(1, 4, figsize=(16, 4.4), layout="constrained")
    for axis, picture, title in (
        (axes[0], image, "the photograph"),
        (axes[1], everywhere, "convolution: one kernel,\nthe same everywhere"),
        (axes[2], like_an_eye, "locally connected:\na kernel of its own at every place"),
    ):
        axis.imshow(picture[:, 0].permute(1, 2, 0).clamp(0, 1).numpy())
        axis.set_title(title)
        axis.set_axis_off()
    bars = axes[3].bar(["convolution", "locally\nconnected", "dense"], list(counts.values()))
    axes[3].bar_label(bars, [f"{value:,}" for value in counts.values()], padding=2)
    axes[3].set_yscale("log")
    axes[3].set_ylim(1, 1e12)
    axes[3].set_title("parameters from 300 x 300 to 300 x 300,\nseeing 5 x 5 (dense: everything)")
    figure.savefig(folder / "locally_connected.png", dpi=100, bbox_inches="tight")
    plt.close(figure)
    return {"one kernel everywhere minus convolution": difference, **counts}


if __name__ == "__main__":
    place = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="saccade-"))
    place.mkdir(parents=True, exist_ok=True)
    for key, value in main(place).items():
        print(f"{key}: {value:.10g}")
    print(place / "locally_connected.png")
