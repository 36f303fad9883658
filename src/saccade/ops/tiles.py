"""Large pictures piece by piece: overlapping tiles, seams blended or boxes merged."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from saccade.ops.boxes import area
from saccade.ops.suppression import suppress


def places(side: int, tile: int, overlap: int, multiple: int) -> list[int]:
    """Where tiles of `tile` pixels begin on a side: multiples, each overlapping the one before."""
    if side <= tile:
        return [0]
    step = max(multiple, (tile - overlap) // multiple * multiple)
    last = (side - tile) // multiple * multiple
    return [*range(0, last, step), last]


def tiles(
    size: tuple[int, int], tile: int, overlap: int, multiple: int = 32
) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of each tile, in reading order.

    Tiles begin at multiples of the network's stride, so that poolings fall on the same pixels as in
    the whole picture; those of the last row and column are larger by less than that.
    """
    lines = []
    for side in size:
        starts = places(side, tile, overlap, multiple)
        lines.append([slice(at, side if at == starts[-1] else at + tile) for at in starts])
    for rows in lines[0]:
        for columns in lines[1]:
            yield rows, columns


def ramp(start: int, stop: int, side: int, overlap: int) -> Tensor:
    """(stop - start,) weight of each line: 0 at a seam's end, 1 from the overlap's last quarter on.

    The outer quarter of an overlap weighs nothing: there the tile's own border disturbs the
    network. At the picture's border there is no seam.
    """
    place = torch.arange(start, stop, dtype=torch.float32) + 0.5
    quarter = max(overlap / 4, 0.5)
    up = ((place - start - quarter) / (2 * quarter)).clamp(0, 1) if start > 0 else 1.0
    down = ((stop - place - quarter) / (2 * quarter)).clamp(0, 1) if stop < side else 1.0
    return torch.ones(stop - start) * up * down


def in_tiles(
    network: Callable[[Tensor], Tensor],
    inputs: Tensor,
    *,
    tile: int,
    overlap: int,
    multiple: int = 32,
) -> Tensor:
    """What `network` gives for a whole picture, computed tile by tile.

    Args:
        network: (1, C, h, w) -> (1, K, h, w).
        inputs: (1, C, H, W).
        tile: side of a tile in pixels.
        overlap: pixels that neighbours share; twice what a pixel's answer depends on around it,
            and the result is that of the whole picture (but for rounding).
        multiple: stride of the network.

    Returns:
        (1, K, H, W), a weighted mean where tiles overlap, on the CPU.
    """
    size = (inputs.shape[2], inputs.shape[3])
    total: Tensor | None = None
    weight = torch.zeros(size)
    for rows, columns in tiles(size, tile, overlap, multiple):
        given = network(inputs[:, :, rows, columns]).float().cpu()
        own = ramp(rows.start, rows.stop, size[0], overlap)[:, None]
        own = own * ramp(columns.start, columns.stop, size[1], overlap)
        if total is None:
            total = torch.zeros(1, given.shape[1], *size)
        total[:, :, rows, columns] += given * own
        weight[rows, columns] += own
    assert total is not None
    return total / weight.clamp(min=1e-6)


def merge(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor,
    cut: Tensor,
    *,
    threshold: float,
    limit: int,
) -> Tensor:
    """Boxes found in tiles that overlap -> (n,) int64 rows of those that stay, best first.

    Whole things are suppressed as usual. A thing that a tile's border cuts is dropped where a box
    of its class that stays covers more than `threshold` of it; the largest pieces come first.

    Args:
        boxes: (M, 4) in the picture.
        scores: (M,).
        labels: (M,).
        cut: (M,) bool, whether the tile's border cuts the box.
        threshold: IoU of two whole boxes, covered share of a piece.
        limit: how many stay at most.
    """
    whole, pieces = (~cut).nonzero()[:, 0], cut.nonzero()[:, 0]
    stay = whole[
        suppress(boxes[whole], scores[whole], labels[whole], threshold=threshold, limit=limit)
    ]
    areas = area(boxes)
    for row in pieces[areas[pieces].argsort(descending=True, stable=True)]:
        low = torch.maximum(boxes[row, :2], boxes[stay, :2])
        high = torch.minimum(boxes[row, 2:], boxes[stay, 2:])
        covered = area(torch.cat([low, high], 1)) > threshold * areas[row]
        if not bool((covered & (labels[stay] == labels[row])).any()):
            stay = torch.cat([stay, row[None]])
    return stay[scores[stay].argsort(descending=True, stable=True)][:limit]
