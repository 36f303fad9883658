"""Boxes that may hold an object, from a picture's colours alone: no learning.

Hierarchical grouping as in selective search (Uijlings et al. 2013, sections 3.1 and 3.2): small
neighbouring regions are merged, most alike first, until the picture is one region, and every region
on the way proposes its box; this is done anew for several notions of "alike", because no single one
finds all objects. Ours begins with square cells in place of an over-segmentation, and "alike" is
Ward's criterion on each of the `_marks`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

CELL = 8
"""Side of the first regions in pixels; doubled for large pictures."""

MOST_CELLS = 2500

NEARNESS = 2.0
"""Weight of a cell's place, 0 to 1 across the picture, beside colours of spread 1."""


def grouped(image: Tensor, *, cell: int | None = None, least: int = 2) -> Tensor:
    """Boxes (P, 4) float32 of the regions of one picture (C, H, W), each once.

    least: cells that a region has at least.
    """
    height, width = image.shape[1:]
    side = cell or CELL
    while cell is None and (height // side) * (width // side) > MOST_CELLS:
        side *= 2
    pixels = image.detach().float()[None].cpu()
    pixels = pixels / pixels.std().clamp(min=1e-6)
    mean = F.avg_pool2d(pixels, side, ceil_mode=True)
    spread = (F.avg_pool2d(pixels.square(), side, ceil_mode=True) - mean.square()).clamp(min=0)
    size = (mean.shape[2], mean.shape[3])
    if size[0] * size[1] < 2:
        return torch.tensor([[0.0, 0.0, width, height]])
    regions = [_regions(marks, size, least) for marks in _marks(mean[0], spread[0].sqrt())]
    boxes = np.unique(np.concatenate(regions), axis=0) * side
    limit = np.array([width, height, width, height])
    return torch.from_numpy(np.minimum(boxes, limit)).float().to(image.device)


def _marks(mean: Tensor, spread: Tensor) -> Iterator[Tensor]:
    """What cells are compared by, each (D, rows, columns): see the lines."""
    yield torch.cat([mean, spread])  # colour and texture
    yield mean  # colour alone
    if len(mean) > 1:
        yield mean - mean.mean(0)  # colour without brightness: shadows do not part a thing
    y = torch.linspace(0, NEARNESS, mean.shape[1])[None, :, None].expand(1, -1, mean.shape[2])
    x = torch.linspace(0, NEARNESS, mean.shape[2])[None, None].expand(1, mean.shape[1], -1)
    yield torch.cat([mean, spread, y, x])  # compact regions: things have many colours


def _regions(marks: Tensor, size: tuple[int, int], least: int) -> np.ndarray:
    """(P, 4) boxes, in cells, of what is merged on the way from cells to the whole."""
    from sklearn.cluster import ward_tree
    from sklearn.feature_extraction.image import grid_to_graph

    rows, columns = size
    children = ward_tree(
        marks.flatten(1).T.double().numpy(), connectivity=grid_to_graph(rows, columns)
    )[0]
    count = rows * columns
    boxes = np.zeros((count + len(children), 4), dtype=np.int64)
    sizes = np.ones(count + len(children), dtype=np.int64)
    y, x = np.divmod(np.arange(count), columns)
    boxes[:count] = np.stack([x, y, x + 1, y + 1], 1)
    for place, (first, second) in enumerate(children, count):
        boxes[place, :2] = np.minimum(boxes[first, :2], boxes[second, :2])
        boxes[place, 2:] = np.maximum(boxes[first, 2:], boxes[second, 2:])
        sizes[place] = sizes[first] + sizes[second]
    kept: np.ndarray = boxes[sizes >= least]
    return kept
