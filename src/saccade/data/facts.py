"""Plain facts of decoded pictures: brightness, contrast, sharpness, perceptual hash."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from saccade.data.duplicates import perceptual_hashes

CHUNK = 1 << 18  # pixels measured at once, few enough for the processor's caches
GREY = torch.tensor([0.299, 0.587, 0.114])  # ITU-R BT.601


def measure(pixels: np.ndarray, inside: Tensor | None = None) -> dict[str, np.ndarray]:
    """What each picture on its canvas looks like.

    Args:
        pixels: (N, height, width, C) uint8.
        inside: (N, 4) int64 left, top, right, bottom of the picture on the canvas; None = all.

    Returns:
        By name, (N,): mean and std of grey, 0..255, and sharpness, the variance of its Laplacian
        (Pertuz and others 2013, LAPV), float32; phash uint64 as `perceptual_hashes` makes it.
    """
    count, height, width, _ = pixels.shape
    step = max(1, CHUNK // (height * width))
    parts = [
        _measure(pixels[start : start + step], None if inside is None else inside[start:])
        for start in range(0, count, step)
    ]
    if not parts:
        return {**dict.fromkeys(("mean", "std", "sharpness"), _EMPTY), "phash": _EMPTY_HASHES}
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


_EMPTY = np.empty(0, dtype=np.float32)
_EMPTY_HASHES = np.empty(0, dtype=np.uint64)


def _measure(pixels: np.ndarray, inside: Tensor | None) -> dict[str, np.ndarray]:
    grey = _grey(torch.from_numpy(np.array(pixels)))  # (N, H, W)
    within = _within(grey, inside)
    mean, std = _spread(grey, within)
    _, sharpness = _spread(_laplacian(grey), _core(within))
    return {
        "mean": mean.numpy(),
        "std": std.numpy(),
        "sharpness": (sharpness**2).numpy(),
        "phash": perceptual_hashes(grey),
    }


def _grey(pixels: Tensor) -> Tensor:
    """(N, H, W, C) -> (N, H, W) float32."""
    values = pixels.float()
    return values[..., 0] if pixels.shape[3] == 1 else values @ GREY


def _within(grey: Tensor, inside: Tensor | None) -> Tensor | None:
    if inside is None:
        return None
    left, top, right, bottom = inside[: len(grey), :, None, None].unbind(1)
    x = torch.arange(grey.shape[2])
    y = torch.arange(grey.shape[1])[:, None]
    return (x >= left) & (x < right) & (y >= top) & (y < bottom)


def _spread(values: Tensor, within: Tensor | None) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation over the last two axes, where `within`."""
    if not values[0].numel():  # no pixel has four neighbours
        return torch.zeros(len(values)), torch.zeros(len(values))
    if within is None:
        return values.mean((1, 2)), values.std((1, 2), correction=0)
    count = within.sum((1, 2)).clamp(min=1)
    mean = (values * within).sum((1, 2)) / count
    off = (values - mean[:, None, None]) * within
    return mean, ((off**2).sum((1, 2)) / count).sqrt()


def _laplacian(grey: Tensor) -> Tensor:
    """(N, H, W) -> (N, H - 2, W - 2): the four neighbours less four times the pixel."""
    beside = grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:] + grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1]
    return beside - 4 * grey[:, 1:-1, 1:-1]


def _core(within: Tensor | None) -> Tensor | None:
    if within is None:
        return None
    beside = within[:, 1:-1, :-2] & within[:, 1:-1, 2:] & within[:, :-2, 1:-1] & within[:, 2:, 1:-1]
    return beside & within[:, 1:-1, 1:-1]
