"""Which pixels lie inside an outline."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def fill(mask: npt.NDArray[np.integer], ring: npt.NDArray[np.floating], value: int) -> None:
    """Set the pixels of `mask` (H, W) whose centres lie inside `ring` (P, 2), x and y.

    Pixel (0, 0) covers x and y from 0 to 1. The outline is closed by itself; where it crosses
    itself, what it goes around twice is outside (even-odd rule).
    """
    height, width = mask.shape
    ring = np.asarray(ring, dtype=np.float64)
    start, end = ring, np.roll(ring, -1, axis=0)
    # rows whose centres lie between an edge's ends, the upper one included
    tops = np.minimum(start[:, 1], end[:, 1])
    bottoms = np.maximum(start[:, 1], end[:, 1])
    first = np.clip(np.ceil(tops - 0.5), 0, height).astype(np.int64)
    last = np.clip(np.ceil(bottoms - 0.5), 0, height).astype(np.int64)
    counts = last - first
    if not counts.sum():
        return
    edge = np.repeat(np.arange(len(ring)), counts)
    rows = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts - first, counts)
    slope = (end - start)[edge]
    across = start[edge, 0] + (rows + 0.5 - start[edge, 1]) * slope[:, 0] / slope[:, 1]
    columns = np.clip(np.ceil(across - 0.5), 0, width).astype(np.int64)
    top, left = rows.min(), columns.min()
    # from each crossing on, pixels change sides
    crossings = np.zeros((rows.max() - top + 1, columns.max() - left + 1), dtype=np.int64)
    np.add.at(crossings, (rows - top, columns - left), 1)
    inside = np.cumsum(crossings, axis=1)[:, :-1] % 2 == 1
    mask[top : top + len(inside), left : left + inside.shape[1]][inside] = value
