"""How boxes and points follow their pictures into the network input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

Targets = Mapping[str, Any]
KEPT = 0.25
"""Share of an object's box that must stay in the input for the object to count."""


def follow(
    targets: Targets, rows: Tensor, matrices: Tensor, size: tuple[int, int]
) -> dict[str, Any]:
    """The targets of a batch, boxes and points moved along with their pictures; masks left out.

    Args:
        targets: of `encode_targets`.
        rows: (N,) int64 into them.
        matrices: (N, 3, 3) float64 from displayed picture to network input.
        size: height, width of the network input.

    Returns:
        Boxes are the bounds of the moved corners, clipped to the input. An object of whose box
        less than KEPT stays in the input is dropped (`box`: label -1), a point outside not visible.
    """
    moved: dict[str, Any] = {}
    chosen = rows.tolist()
    for name, value in targets.items():
        if isinstance(value, Tensor):
            moved[name] = value[rows]
        else:
            moved[name] = [value[row] for row in chosen]
    for name in targets:
        kind = spatial_kind(name, targets)
        if kind == "points":
            visible = name + ".visible"
            moved[name], inside = _move_points(moved[name], matrices, size)
            moved[visible] = moved[visible] & inside
        elif kind == "box":
            moved[name], kept = _move_boxes(moved[name][:, None], matrices, size)
            label = name + ".label"
            lost = (moved[label] >= 0) & ~kept[:, 0]
            moved[label] = torch.where(lost, -1, moved[label])
            empty = (moved[label] < 0)[:, None] & ~moved[name][:, 0].isnan()
            moved[name] = moved[name][:, 0].masked_fill(empty, 0.0)
        elif kind == "boxes":
            _move_lists(moved, name, matrices, size)
    return moved


def spatial_kind(name: str, targets: Targets) -> str | None:
    """What of places target `name` holds: points, box, boxes, mask, or None where it has none."""
    value = targets[name]
    if name + ".visible" in targets:
        return "points"
    if name + ".label" in targets:
        return "box" if isinstance(value, Tensor) else "boxes"
    is_mask = isinstance(value, Tensor) and value.ndim >= 3 and not value.is_floating_point()
    return "mask" if is_mask else None


def _move_lists(moved: dict[str, Any], name: str, matrices: Tensor, size: tuple[int, int]) -> None:
    label = name + ".label"
    for row, boxes in enumerate(moved[name]):
        placed, kept = _move_boxes(boxes[None], matrices[row : row + 1], size)
        moved[name][row] = placed[0][kept[0]]
        moved[label][row] = moved[label][row][kept[0]]


def _move_points(points: Tensor, matrices: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """(N, P, 2) through (N, 3, 3); and which (N, P) lie inside."""
    placed = project(points, matrices)
    limit = torch.tensor([size[1], size[0]])
    return placed, ((placed >= 0) & (placed <= limit)).all(dim=2)


def project(points: Tensor, matrices: Tensor) -> Tensor:
    """Points (N, P, 2) through projections (N, 3, 3); float32, computed in float64."""
    places = points.double()
    mapped = places @ matrices[:, :, :2].mT + matrices[:, None, :, 2]  # (N, P, 3)
    return (mapped[..., :2] / mapped[..., 2:]).float()


def _move_boxes(boxes: Tensor, matrices: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """(N, M, 4) through (N, 3, 3), clipped; and which (N, M) keep enough of their area."""
    count, objects, _ = boxes.shape
    corners = boxes[:, :, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(count, objects * 4, 2)
    placed = project(corners, matrices).view(count, objects, 4, 2)
    low, high = placed.amin(dim=2), placed.amax(dim=2)  # (N, M, 2)
    limit = torch.tensor([size[1], size[0]], dtype=torch.float32)
    clipped_low = torch.minimum(low.clamp(min=0), limit)
    clipped_high = torch.minimum(high.clamp(min=0), limit)
    area = (high - low).prod(dim=2)
    kept = (clipped_high - clipped_low).prod(dim=2) >= KEPT * area
    return torch.cat([clipped_low, clipped_high], dim=2), kept & (area > 0)
