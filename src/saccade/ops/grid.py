"""Objects and cells: which cell and anchor of a grid answers for which object.

A map of stride s divides the input into cells of s x s pixels; each cell has B anchors, shapes in
pixels. Anchors are (S, B, 2) widths and heights for S maps, fine to coarse.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from saccade.ops.boxes import shape_iou, to_centres

Size = tuple[int, int]
"""Rows and columns of cells."""


class Answers(NamedTuple):
    """P places of one map that answer for an object. All (P,) int64 but boxes, (P, 4) pixels."""

    image: Tensor
    anchor: Tensor
    row: Tensor
    column: Tensor
    boxes: Tensor
    labels: Tensor


class Flat(NamedTuple):
    """The objects of a batch in one list: image (G,), boxes (G, 4), labels (G,)."""

    image: Tensor
    boxes: Tensor
    labels: Tensor


def flatten(boxes: Sequence[Tensor], labels: Sequence[Tensor]) -> Flat:
    """Lists of (M, 4) and (M,), one for each picture, as one."""
    counts = torch.tensor([len(each) for each in boxes], device=boxes[0].device)
    image = torch.arange(len(boxes), device=boxes[0].device).repeat_interleave(counts)
    return Flat(image, torch.cat(list(boxes)), torch.cat(list(labels)))


def by_centre(
    objects: Flat, anchors: Tensor, strides: Sequence[int], sizes: Sequence[Size]
) -> list[Answers]:
    """The cell in which an object's centre lies, and the anchor of the best IoU, answer for it.

    Of several objects at one place (cell and anchor) the first keeps it: one place, one object.
    """
    found = []
    for answers, size in zip(placed(objects, anchors, strides, sizes), sizes, strict=True):
        first = _first_of_each(_places(answers, anchors.shape[1], size))
        found.append(Answers(*(each[first] for each in answers)))
    return found


def placed(
    objects: Flat, anchors: Tensor, strides: Sequence[int], sizes: Sequence[Size]
) -> list[Answers]:
    """`by_centre` with every object, also where several have one place."""
    centres = to_centres(objects.boxes)
    count = anchors.shape[1]
    best = shape_iou(centres[:, 2:], anchors.flatten(0, 1)).argmax(1)
    found = []
    for scale, (stride, size) in enumerate(zip(strides, sizes, strict=True)):
        mine = (best // count == scale).nonzero()[:, 0]
        cells = (centres[mine, :2] / stride).long()
        row = cells[:, 1].clamp(0, size[0] - 1)
        column = cells[:, 0].clamp(0, size[1] - 1)
        found.append(
            Answers(
                objects.image[mine],
                best[mine] % count,
                row,
                column,
                objects.boxes[mine],
                objects.labels[mine],
            )
        )
    return found


def _places(answers: Answers, count: int, size: Size) -> Tensor:
    """(P,) one number for each picture, anchor and cell."""
    return ((answers.image * count + answers.anchor) * size[0] + answers.row) * size[
        1
    ] + answers.column


def _first_of_each(places: Tensor) -> Tensor:
    """Rows of the first of each number."""
    values, inverse = torch.unique(places, return_inverse=True)
    rows = torch.arange(len(places), device=places.device)
    first = torch.full_like(values, len(places))
    return first.scatter_reduce(0, inverse, rows, "amin").sort().values


RATIO = 4.0
"""Largest ratio of an object's side to an anchor's for the anchor to answer for it."""


def several(
    objects: Flat, anchors: Tensor, strides: Sequence[int], sizes: Sequence[Size]
) -> list[Answers]:
    """Every anchor of like shape answers for an object, in its cell and the two nearest ones.

    About nine times as many places learn from each object as with `by_centre`. A cell reaches half
    a cell beyond its edges, so boxes decoded there must be able to lie there too.
    """
    centres = to_centres(objects.boxes)
    found = []
    for scale, (stride, size) in enumerate(zip(strides, sizes, strict=True)):
        alike = _alike(centres[:, 2:], anchors[scale])
        which, anchor = alike.nonzero(as_tuple=True)
        place = centres[which, :2] / stride
        cell = place.floor()
        # towards the nearer edge of the cell, across and down
        step = torch.where(place - cell < 0.5, -1.0, 1.0)
        zero = torch.zeros_like(step[:, 0])
        moves = (
            torch.stack([zero, zero], 1),
            torch.stack([step[:, 0], zero], 1),
            torch.stack([zero, step[:, 1]], 1),
        )
        cells = torch.cat([cell + move for move in moves]).long()
        inside = (cells >= 0).all(1) & (cells[:, 0] < size[1]) & (cells[:, 1] < size[0])
        which, anchor = which.repeat(3)[inside], anchor.repeat(3)[inside]
        found.append(
            Answers(
                objects.image[which],
                anchor,
                cells[inside, 1],
                cells[inside, 0],
                objects.boxes[which],
                objects.labels[which],
            )
        )
    return found


def _alike(shapes: Tensor, anchors: Tensor) -> Tensor:
    """(G, B) whether (G, 2) widths and heights are within RATIO of the (B, 2) of anchors."""
    ratio = shapes[:, None] / anchors
    return torch.maximum(ratio, 1 / ratio.clamp(min=1e-6)).amax(2) < RATIO


def unlike(shapes: Tensor, anchors: Tensor) -> int:
    """How many (G, 2) widths and heights no anchor (scales, B, 2) answers for in `several`."""
    return int((~_alike(shapes, anchors.flatten(0, 1)).any(1)).sum())


class Grid(NamedTuple):
    """How a detector divides its input, and how some objects lie in its cells.

    grids           rows and columns of cells of each map
    anchors         width, height in pixels of the input, of each map; None = not chosen yet
    objects         how many
    same_cell       of them find their cell taken by another one
    same_anchor     of these the anchor as well
    """

    grids: list[tuple[int, int]]
    anchors: list[list[tuple[float, float]]] | None
    objects: int = 0
    same_cell: int = 0
    same_anchor: int = 0

    def sentences(self) -> list[str]:
        """For the user."""
        cells = ", ".join(f"{rows} x {columns}" for rows, columns in self.grids)
        if self.anchors is None:
            shapes = "chosen for the boxes of your data"
        else:
            shapes = "; ".join(
                ", ".join(f"{width:.0f} x {height:.0f}" for width, height in each)
                for each in self.anchors
            )
        told = [
            f"grid: {cells} cells (rows x columns); anchors in pixels, width x height: {shapes}"
        ]
        if self.objects:
            told.append(
                f"{self.same_cell} of {self.objects} objects share their cell with another one, "
                f"{self.same_anchor} also the anchor"
            )
        return told


def collisions(
    boxes: Sequence[Tensor], anchors: Tensor, strides: Sequence[int], sizes: Sequence[Size]
) -> tuple[int, int]:
    """How many objects find their cell taken by another one, and how many also its anchor."""
    labels = [each.new_zeros(len(each), dtype=torch.int64) for each in boxes]
    objects = flatten(boxes, labels)
    cells = places = 0
    for answers, size in zip(placed(objects, anchors, strides, sizes), sizes, strict=True):
        one = answers._replace(anchor=torch.zeros_like(answers.anchor))
        cells += len(torch.unique(_places(one, 1, size)))
        places += len(torch.unique(_places(answers, anchors.shape[1], size)))
    return len(objects.image) - cells, len(objects.image) - places


def corners_of_cells(size: Size, stride: int, like: Tensor) -> Tensor:
    """(H, W, 2) x, y in pixels of each cell's top left corner."""
    y, x = torch.meshgrid(
        torch.arange(size[0], device=like.device),
        torch.arange(size[1], device=like.device),
        indexing="ij",
    )
    return torch.stack([x, y], -1).float() * stride
