"""What becomes of pixel values: one map of the channels per picture, normalisation included."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from saccade.data.augment import Augment
from saccade.data.views import COLOR

BRIGHTNESS, CONTRAST, SATURATION, SHIFT = range(COLOR, COLOR + 4)
GREY = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in grey (ITU-R BT.601)."""


def num_uniforms(channels: int) -> int:
    """How many random numbers an example takes, those of its view included."""
    return SHIFT + 2 * channels


@dataclass(frozen=True, kw_only=True)
class Colors:
    """The values a data set's pictures have. mean, std: (C,) on the 0..1 scale.

    axes, variances: (C, C) columns and (C,) of `principal`, None where lighting stays as it is.
    """

    mean: Tensor
    std: Tensor
    axes: Tensor | None = None
    variances: Tensor | None = None

    def plain(self) -> tuple[Tensor, Tensor]:
        """scale, offset (C,) float32: input = pixel * scale + offset, pixels 0..255."""
        scale = 1 / (255 * self.std.double())
        return scale.float(), (-self.mean.double() / self.std.double()).float()


def is_plain(augment: Augment) -> bool:
    """Whether values stay as they are but for normalisation."""
    changes = (augment.brightness, augment.contrast, augment.saturation)
    return not any((*changes, augment.color, augment.lighting))


def draw_colors(augment: Augment, chance: Tensor, colors: Colors) -> tuple[Tensor, Tensor]:
    """Contrast about the mean colour, saturation, brightness, shifts; then division by std.

    Args:
        augment: what is drawn.
        chance: (N, num_uniforms(C)) of `uniforms`, on the CPU.
        colors: of the data set.

    Returns:
        matrix (N, C, C) and offset (N, C), float32: input = matrix @ (pixel - 255 mean) + offset
        with pixels 0..255. Values are not clipped.
    """
    u = chance.double().T.contiguous()
    mean, std = colors.mean.double(), colors.std.double()
    channels = len(mean)
    brightness = 1 + augment.brightness * (2 * u[BRIGHTNESS] - 1)
    contrast = 1 + augment.contrast * (2 * u[CONTRAST] - 1)
    saturation = 1 + augment.saturation * (2 * u[SATURATION] - 1)
    grey = torch.tensor(GREY if channels == 3 else [1 / channels] * channels).double()
    same = torch.eye(channels).double()
    full = saturation[:, None, None] * same + (1 - saturation)[:, None, None] * grey  # (N, C, C)
    full = brightness[:, None, None] * full
    moved = (full * mean).sum(2) - mean  # (N, C): where the mean colour goes
    moved += augment.color * (2 * u[SHIFT : SHIFT + channels].T - 1)
    if augment.lighting and colors.axes is not None and colors.variances is not None:
        share = augment.lighting * _normal(u[SHIFT + channels : SHIFT + 2 * channels]).T  # (N, C)
        moved = moved + ((share * colors.variances)[:, None] * colors.axes).sum(2)
    matrix = contrast[:, None, None] * full / (255 * std[:, None])
    return matrix.float(), (moved / std).float()


def _normal(chance: Tensor) -> Tensor:
    """Standard normal numbers from uniform ones."""
    normal: Tensor = torch.special.ndtri(chance.clamp(2.0**-25, 1 - 2.0**-25))
    return normal


def statistics(pixels: Tensor, rows: Tensor, inside: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel.

    Args:
        pixels: (M, C, H, W) uint8.
        rows: (N,) int64, the training examples.
        inside: (M, 4) int64 left, top, right, bottom of the picture on its canvas; None = all.

    Returns:
        mean, std (C,) float64 on the 0..1 scale; std at least 1/255. Of pictures evenly spaced,
        as many as have SAMPLE pixels.
    """
    count, total, squares = _moments(pixels, rows, inside)
    mean = total / count
    variance = squares.diagonal() / count - mean**2
    return mean, variance.clamp(min=0).sqrt().clamp(min=1 / 255)


def principal(pixels: Tensor, rows: Tensor, inside: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Principal axes of the channels' values (Krizhevsky and others 2012, section 4.1).

    Arguments as in `statistics`.

    Returns:
        axes (C, C) float64, one per column, and variances (C,), falling, on the 0..1 scale.
    """
    count, total, squares = _moments(pixels, rows, inside)
    mean = total / count
    variances, axes = torch.linalg.eigh(squares / count - mean[:, None] * mean)
    largest = axes.abs().argmax(dim=0)
    signs = axes[largest, torch.arange(len(axes))].sign()  # eigh leaves the sign open
    return (axes * signs).flip(1), variances.flip(0).clamp(min=0)


SAMPLE = 1 << 26


def _moments(pixels: Tensor, rows: Tensor, inside: Tensor | None) -> tuple[float, Tensor, Tensor]:
    """Count of pixels, sums (C,) and sums of products (C, C) of values on the 0..1 scale.

    Sums of integers in float64 are exact, so that the number of threads changes nothing.
    """
    _, channels, height, width = pixels.shape
    chosen = rows[:: max(1, -(-len(rows) * height * width // SAMPLE))]
    total, squares = torch.zeros(channels).double(), torch.zeros(channels, channels).double()
    count = 0.0
    step = max(1, (1 << 18) // (height * width)) if inside is None else 1
    for start in range(0, len(chosen), step):
        part = pixels[chosen[start : start + step]].cpu()
        if inside is not None:
            left, top, right, bottom = inside[chosen[start]].tolist()
            part = part[:, :, top:bottom, left:right]
        values = part.transpose(0, 1).reshape(channels, -1).double()
        count += values.shape[1]
        total += values.sum(1)
        squares += values @ values.T
    return count, total / 255, squares / 255**2
