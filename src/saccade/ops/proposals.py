"""Boxes that may hold an object, from a picture's colours alone: no learning.

Hierarchical grouping as in selective search (Uijlings et al. 2013, section 3.1): small neighbouring
regions are merged, most alike first, until the picture is one region, and every region on the way
proposes its box. Ours begins with square cells in place of an over-segmentation, and "alike" is
Ward's criterion on mean colour and its spread.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

CELL = 8
"""Side of the first regions in pixels; doubled for large pictures."""

MOST_CELLS = 2500


def grouped(image: Tensor, *, cell: int | None = None, least: int = 2) -> Tensor:
    """Boxes (P, 4) float32 of the regions of one picture (C, H, W), small ones first.

    least: cells that a region has at least.
    """
    from sklearn.cluster import ward_tree
    from sklearn.feature_extraction.image import grid_to_graph

    height, width = image.shape[1:]
    side = cell or CELL
    while cell is None and (height // side) * (width // side) > MOST_CELLS:
        side *= 2
    pixels = image.detach().float()[None].cpu()
    mean = F.avg_pool2d(pixels, side, ceil_mode=True)
    spread = (F.avg_pool2d(pixels.square(), side, ceil_mode=True) - mean.square()).clamp(min=0)
    marks = torch.cat([mean, spread.sqrt()], 1)[0].flatten(1).T.double().numpy()  # (cells, 2 C)
    rows, columns = mean.shape[2:]
    if rows * columns < 2:
        return torch.tensor([[0.0, 0.0, width, height]])
    children = ward_tree(marks, connectivity=grid_to_graph(rows, columns))[0]
    count = rows * columns
    boxes = np.zeros((count + len(children), 4))
    sizes = np.ones(count + len(children), dtype=np.int64)
    y, x = np.divmod(np.arange(count), columns)
    boxes[:count] = np.stack([x, y, x + 1, y + 1], 1) * side
    for place, (first, second) in enumerate(children, count):
        boxes[place, :2] = np.minimum(boxes[first, :2], boxes[second, :2])
        boxes[place, 2:] = np.maximum(boxes[first, 2:], boxes[second, 2:])
        sizes[place] = sizes[first] + sizes[second]
    limit = np.array([width, height, width, height])
    kept = np.minimum(boxes[sizes >= least], limit)
    order = np.sort(np.unique(kept, axis=0, return_index=True)[1])  # in the order of merging
    return torch.from_numpy(kept[order]).float().to(image.device)
