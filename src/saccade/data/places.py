"""What the four numbers of a box mean, and how boxes and points turn with EXIF.

Boxes are (M, 4) float64 arrays, points (M, 2); sizes are (M, 2) width, height in pixels.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

Form = Literal["xyxy", "xywh", "cxcywh"]

CLIP_PIXELS, CLIP_SHARE = 1.0, 0.01
"""How far outside its picture a box may reach to be clipped: a pixel, or this share of the side."""

SOUND, CLEAR = 0.8, 0.95
"""Share of sound boxes below which the stated meaning is doubted, and that another must reach."""

VOTERS = 5
"""Boxes from which the stated meaning is doubted at all."""


class Reading(NamedTuple):
    """form: corners, corner and size, or centre and size; relative: shares of the picture."""

    form: Form
    relative: bool = False

    def __str__(self) -> str:
        names = {"xyxy": "x1 y1 x2 y2", "xywh": "x y width height"}
        unit = "shares of the picture" if self.relative else "pixels"
        return f"{names.get(self.form, 'centre x, centre y, width, height')} in {unit}"


READINGS = tuple(
    Reading(form, relative)
    for relative in (False, True)
    for form in ("xyxy", "xywh", "cxcywh")  # pairs of equal unit side by side
)


def corners(numbers: np.ndarray, sizes: np.ndarray, reading: Reading) -> np.ndarray:
    """(M, 4) numbers as written -> (M, 4) x1, y1, x2, y2 in pixels; order and range unchecked."""
    first, second = numbers[:, :2], numbers[:, 2:]
    if reading.form == "xywh":
        second = first + second
    elif reading.form == "cxcywh":
        first, second = first - second / 2, first + second / 2
    scale = sizes if reading.relative else 1.0
    placed: np.ndarray = np.concatenate([first * scale, second * scale], axis=1)
    return placed


def beyond(boxes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """(M, 2) how many pixels each box reaches outside its picture, in x and in y; 0 = inside."""
    outside: np.ndarray = np.maximum(-boxes[:, :2], boxes[:, 2:] - sizes)
    return outside.clip(min=0)


def allowance(sizes: np.ndarray) -> np.ndarray:
    """(M, 2) pixels up to which a box is clipped."""
    allowed: np.ndarray = np.maximum(CLIP_PIXELS, CLIP_SHARE * sizes)
    return allowed


def guess(numbers: np.ndarray, sizes: np.ndarray, stated: Reading) -> Reading:
    """The stated reading, or the one that makes nearly all boxes sound where the stated does not.

    A box is sound where it is at least a pixel wide and high and lies inside its picture. Boxes
    whose picture's size is not known (NaN) have no vote.
    """
    voting = np.isfinite(numbers).all(axis=1) & np.isfinite(sizes).all(axis=1)
    if voting.sum() < VOTERS:
        return stated
    shares = {
        reading: _sound(corners(numbers[voting], sizes[voting], reading), sizes[voting])
        for reading in READINGS
    }
    if shares[stated] >= SOUND:
        return stated
    likeliest = max(READINGS, key=lambda reading: shares[reading])
    return likeliest if shares[likeliest] >= CLEAR else stated


def _sound(boxes: np.ndarray, sizes: np.ndarray) -> float:
    large = (boxes[:, 2:] - boxes[:, :2] >= 1).all(axis=1)
    inside = (beyond(boxes, sizes) <= allowance(sizes)).all(axis=1)
    return float((large & inside).mean())


def turn(points: np.ndarray, orientation: int, stored: tuple[float, float]) -> np.ndarray:
    """(M, 2) places in the stored picture -> in the displayed one. stored: its width, height.

    EXIF 2.32, tag 274: 2 mirrored, 3 half a turn, 4 upside down and mirrored, 5 transposed,
    6 a quarter clockwise, 7 transposed over the other diagonal, 8 a quarter counter-clockwise.
    """
    x, y = points[:, 0], points[:, 1]
    width, height = stored
    turned = {
        1: (x, y),
        2: (width - x, y),
        3: (width - x, height - y),
        4: (x, height - y),
        5: (y, x),
        6: (height - y, x),
        7: (height - y, width - x),
        8: (y, width - x),
    }[orientation]
    return np.stack(turned, axis=1)


def turn_boxes(boxes: np.ndarray, orientation: int, stored: tuple[float, float]) -> np.ndarray:
    """(M, 4) corners, in any order -> in the displayed picture, each axis' order kept."""
    if orientation == 1 or not len(boxes):
        return boxes
    low, high = boxes.reshape(-1, 2, 2).transpose(1, 0, 2)
    ends = turn(low, orientation, stored), turn(high, orientation, stored)
    swapped = np.concatenate(ends, axis=1)
    flips = {2: (1, 0), 3: (1, 1), 4: (0, 1), 5: (0, 0), 6: (1, 0), 7: (1, 1), 8: (0, 1)}
    for axis, flipped in enumerate(flips[orientation]):
        if flipped:  # what was the lower end is the higher one now
            swapped[:, [axis, axis + 2]] = swapped[:, [axis + 2, axis]]
    return swapped
