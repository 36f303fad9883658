"""Annotations of examples as tensors, class names as indices."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from saccade.data.dataset import Dataset
from saccade.errors import SaccadeError
from saccade.types import Example, Field, Geometry


def encode_targets(
    dataset: Dataset,
    rows: Sequence[int] | np.ndarray | None = None,
    *,
    geometry: Geometry | None = None,
    canvas: tuple[int, int] | None = None,
) -> dict[str, Any]:
    """Tensors for the annotations of some examples, as `types.Field` tells.

    Args:
        dataset: whose examples and class tables.
        rows: of `dataset.examples`; None = all.
        geometry: picture to canvas, one per row; needed for masks only.
        canvas: height, width of the stored pictures; needed for masks only.

    Returns:
        By field name. Boxes and points are in pixels of the displayed picture; masks lie on the
        canvas, (N, height, width) int16, -1 outside the picture. A missing box is NaN with label
        -1, a missing point 0 and not visible, a missing list of boxes empty.

    Raises:
        SaccadeError: "unknown-class" or "bad-target", naming the example.
    """
    chosen = range(len(dataset)) if rows is None else np.asarray(rows).tolist()
    examples = [dataset.examples[row] for row in chosen]
    targets: dict[str, Any] = {}
    for field in dataset.fields:
        if field.kind == "mask":
            targets[field.name] = _masks(dataset.source, examples, field, geometry, canvas)
        elif field.kind in _ENCODERS:
            _encode(examples, field, targets)
    return targets


def _encode(examples: Sequence[Example], field: Field, targets: dict[str, Any]) -> None:
    table = {name: index for index, name in enumerate(field.classes)}
    encode, collate = _ENCODERS[field.kind]
    found = []
    for example in examples:
        try:
            found.append(encode(example.target.get(field.name), table))
        except KeyError as error:
            raise SaccadeError(
                f"{example.key}: {field.name} is {error}; known are {', '.join(table)[:200]}",
                name="unknown-class",
                files=[example.key],
            ) from error
        except (TypeError, ValueError) as error:
            raise SaccadeError(
                f"{example.key}: {field.name} cannot be read as {field.kind}: {error}",
                name="bad-target",
                files=[example.key],
            ) from error
    main, second, suffix = collate(found, len(table))
    targets[field.name] = main
    if suffix:
        targets[field.name + suffix] = second


Table = Mapping[str, int]


def _label(value: Any, table: Table) -> int:
    return -1 if value is None else table[value]


def _identity(value: Any, table: Table) -> int:
    return -1 if value is None else table.get(value, -1)


def _labels(value: Any, table: Table) -> list[float]:
    if value is None:
        return [float("nan")] * len(table)
    present = {table[name] for name in value}
    return [float(index in present) for index in range(len(table))]


def _values(value: Any, table: Table) -> list[float]:
    given = [None] * len(table) if value is None else list(value)
    if len(given) != len(table):
        raise ValueError(f"{len(given)} numbers, expected {len(table)}")
    return [float("nan") if number is None else float(number) for number in given]


def _box(value: Any, table: Table) -> tuple[list[float], int]:
    if value is None:
        return [float("nan")] * 4, -1
    if value.get("box") is None:
        return [0.0] * 4, -1
    return _corners(value["box"]), _class(value, table)


def _boxes(value: Any, table: Table) -> tuple[list[list[float]], list[int]]:
    objects = value or []
    return [_corners(item["box"]) for item in objects], [_class(item, table) for item in objects]


def _class(value: Mapping[str, Any], table: Table) -> int:
    """One class of objects needs no name."""
    label = value.get("label")
    return 0 if label is None and len(table) <= 1 else table[label]  # type: ignore[index]


def _corners(box: Sequence[float]) -> list[float]:
    x1, y1, x2, y2 = (float(number) for number in box)
    return [x1, y1, x2, y2]


def _points(value: Any, table: Table) -> tuple[list[list[float]], list[bool]]:
    given = [None] * len(table) if value is None else list(value)
    if len(given) != len(table):
        raise ValueError(f"{len(given)} points, expected {len(table)}")
    places = [[0.0, 0.0] if point is None else [float(axis) for axis in point] for point in given]
    return places, [point is not None for point in given]


Collated = tuple[Any, Any, str]


def _collate_indices(found: list[Any], size: int) -> Collated:
    return torch.tensor(found, dtype=torch.int64), None, ""


def _collate_rows(found: list[Any], size: int) -> Collated:
    return torch.tensor(found, dtype=torch.float32).view(len(found), size), None, ""


def _collate_box(found: list[Any], size: int) -> Collated:
    boxes = torch.tensor([box for box, _ in found], dtype=torch.float32).view(-1, 4)
    return boxes, torch.tensor([label for _, label in found], dtype=torch.int64), ".label"


def _collate_boxes(found: list[Any], size: int) -> Collated:
    boxes = [torch.tensor(boxes, dtype=torch.float32).view(-1, 4) for boxes, _ in found]
    return boxes, [torch.tensor(labels, dtype=torch.int64) for _, labels in found], ".label"


def _collate_points(found: list[Any], size: int) -> Collated:
    points = torch.tensor([places for places, _ in found], dtype=torch.float32)
    visible = torch.tensor([seen for _, seen in found], dtype=torch.bool)
    return points.view(len(found), size, 2), visible.view(len(found), size), ".visible"


_ENCODERS: dict[str, tuple[Callable[[Any, Table], Any], Callable[[list[Any], int], Collated]]] = {
    "label": (_label, _collate_indices),
    "identity": (_identity, _collate_indices),
    "labels": (_labels, _collate_rows),
    "values": (_values, _collate_rows),
    "box": (_box, _collate_box),
    "boxes": (_boxes, _collate_boxes),
    "points": (_points, _collate_points),
}


def _masks(
    source: Any,
    examples: Sequence[Example],
    field: Field,
    geometry: Geometry | None,
    canvas: tuple[int, int] | None,
) -> Tensor:
    if geometry is None or canvas is None:
        raise SaccadeError(f"{field.name}: masks need the pictures' geometry and canvas")
    masks = np.full((len(examples), *canvas), -1, dtype=np.int16)
    faults: list[SaccadeError] = []
    for row, example in enumerate(examples):
        size = tuple(geometry.size[row].tolist())
        try:
            mask = _read_mask(source, example, field, size)
        except SaccadeError as error:
            faults.append(error)
            continue
        if mask is not None:
            masks[row] = _on_canvas(mask, geometry.matrix[row].numpy(), canvas)
    if faults:
        raise _together(faults)
    return torch.from_numpy(masks)


def _read_mask(
    source: Any, example: Example, field: Field, size: tuple[int, ...]
) -> np.ndarray | None:
    """(H, W) indices, decoded now where the target is a path; None where it is missing."""
    mask = example.target.get(field.name)
    if mask is None:
        return None
    path = mask if isinstance(mask, str) else example.key
    if isinstance(mask, str):
        mask = source.mask(mask, field.classes)
    if np.shape(mask) != size:
        found = " x ".join(map(str, np.shape(mask)))
        raise SaccadeError(
            f"{path}: {field.name} is {found} pixels (height x width), its picture {example.key} "
            f"is {' x '.join(map(str, size))}; a mask must be as large as its picture",
            name="bad-target",
            files=[path],
        )
    return np.asarray(mask)


def _together(faults: Sequence[SaccadeError]) -> SaccadeError:
    """One error that names the first masks at fault and lists the files of all."""
    told = "; ".join(error.message for error in faults[:3])
    more = f" (and {len(faults) - 3} more masks)" if len(faults) > 3 else ""
    files = [file for error in faults for file in error.files]
    return SaccadeError(told + more, name=faults[0].name, files=files)


def _on_canvas(mask: np.ndarray, matrix: np.ndarray, canvas: tuple[int, int]) -> np.ndarray:
    """The nearest picture pixel of each canvas pixel; -1 outside the picture."""
    lines, outside = [], []
    for axis, side in ((1, 0), (0, 1)):  # y with height, x with width
        place = (np.arange(canvas[side]) + 0.5 - matrix[axis, 2]) / matrix[axis, axis]
        place = np.floor(place).astype(np.int64)
        outside.append((place < 0) | (place >= mask.shape[side]))
        lines.append(place.clip(0, mask.shape[side] - 1))
    laid: np.ndarray = mask[lines[0][:, None], lines[1]].astype(np.int16)
    laid[outside[0][:, None] | outside[1]] = -1
    return laid
