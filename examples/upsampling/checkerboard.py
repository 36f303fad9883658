"""Transposed convolutions draw checkerboards, and how that is avoided.

    python examples/upsampling/checkerboard.py

A kernel of 3 with a stride of 2 reaches some pixels four times, some twice, some once: even one
colour comes out as a pattern, and stacked layers multiply it (Odena et al. 2016). A kernel that the
stride divides reaches all alike, but random weights still give each second pixel values of its
own. Beginning as bilinear enlargement, or enlarging first and then convolving, does neither. The
picture shows what three layers make of one colour, the table how much neighbours differ.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from saccade.upsampling import Transposed

LAYERS, CHANNELS, SIDE = 3, 8, 9
PICTURE = Path(__file__).with_name("checkerboard.png")


def kernel3() -> nn.Module:
    return nn.ConvTranspose2d(CHANNELS, CHANNELS, 3, stride=2, padding=1, output_padding=1)


def kernel4() -> nn.Module:
    return nn.ConvTranspose2d(CHANNELS, CHANNELS, 4, stride=2, padding=1)


def bilinear() -> nn.Module:
    return Transposed(CHANNELS, CHANNELS, factor=2)


def resize_first() -> nn.Module:
    convolution = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, padding_mode="replicate")
    return nn.Sequential(nn.Upsample(scale_factor=2), convolution)


FORMS = {
    "kernel 3, stride 2": kernel3,
    "kernel 4, stride 2": kernel4,
    "kernel 4, begun as bilinear": bilinear,
    "nearest, then a convolution": resize_first,
}


def answer(form: str) -> Tensor:
    """One channel of what three layers make of one colour, the border cut off; mean 0, size 1."""
    torch.manual_seed(0)
    layers = nn.Sequential(*(FORMS[form]() for _ in range(LAYERS)))
    with torch.no_grad():
        seen = layers(torch.ones(1, CHANNELS, SIDE, SIDE))[0, 0]
    edge = 2 ** (LAYERS + 1)
    inner: Tensor = seen[edge:-edge, edge:-edge]
    return inner


def unevenness(form: str) -> float:
    """Standard deviation over the mean's size: 0 where one colour stays one colour."""
    seen = answer(form)
    return float(seen.std() / seen.abs().mean())


def draw(place: Path = PICTURE) -> None:
    figure = Figure(figsize=(11, 3.2), layout="constrained")
    for axes, form in zip(figure.subplots(1, len(FORMS)), FORMS, strict=True):
        seen = answer(form).numpy()
        spread = max(float(np.abs(seen - seen.mean()).max()), 0.02 * float(np.abs(seen).max()))
        low, high = seen.mean() - spread, seen.mean() + spread
        axes.imshow(seen, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
        axes.set_title(f"{form}\nunevenness {unevenness(form):.2f}", fontsize=9)
        axes.set_axis_off()
    figure.savefig(place, dpi=100)


def main() -> int:
    for form in FORMS:
        print(f"{form:<28} {unevenness(form):6.3f}")
    draw()
    return 0


if __name__ == "__main__":
    sys.exit(main())
