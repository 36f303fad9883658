"""What is true and what was found, drawn on the small pictures of a run's page."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from PIL import Image, ImageDraw

LEAST = 192
"""Pixels of a drawn picture's longer side, at least: lines need room."""

TRUE, FOUND = "#009e73", "#d55e00"

Box = Sequence[float]
Point = Sequence[float]


def placed(row: Mapping[str, Any], target: Any) -> bool:
    """Whether a row of predictions tells of places."""
    return row.get("view") is not None and bool(
        {"box", "points"} & row.keys() and target is not None
    )


def drawn(jpeg: bytes | None, row: Mapping[str, Any], target: Any) -> bytes | None:
    """The small picture with true places in green and found ones in orange.

    row: of predictions, with `view`: scale and shift (x, y, x, y) from pixels of the picture to
    shares of the small one.
    """
    if jpeg is None or not placed(row, target):
        return jpeg
    image = Image.open(io.BytesIO(jpeg)).convert("RGB")
    factor = max(1, math.ceil(LEAST / max(image.size)))
    image = image.resize((image.width * factor, image.height * factor), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    for color, boxes, points in (
        (TRUE, _true_boxes(target), _true_points(target)),
        (FOUND, _found_boxes(row), row.get("points") or []),
    ):
        for box in boxes:
            corners = [*_moved(box[:2], row["view"], image), *_moved(box[2:], row["view"], image)]
            draw.rectangle(corners, outline=color, width=2)
        for point in points:
            x, y = _moved(point, row["view"], image)
            draw.ellipse((x - 1.5, y - 1.5, x + 1.5, y + 1.5), fill=color)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=88)
    return file.getvalue()


def told(row: Mapping[str, Any]) -> tuple[str, str]:
    """What was found in a line, and how far off it is."""
    if "points" in row:
        return "error", f"{row['error']:.3f}"
    return row["label"] or "(nothing)", f"IoU {1 - row['error']:.2f}"


def _moved(point: Point, view: Sequence[float], image: Image.Image) -> tuple[float, float]:
    scale_x, scale_y, shift_x, shift_y = view
    x = (point[0] * scale_x + shift_x) * image.width
    return x, (point[1] * scale_y + shift_y) * image.height


def _true_boxes(target: Any) -> Iterable[Box]:
    return [target["box"]] if isinstance(target, Mapping) and target.get("box") else []


def _true_points(target: Any) -> Iterable[Point]:
    listed = target if isinstance(target, list) else []
    return [point for point in listed if isinstance(point, list)]


def _found_boxes(row: Mapping[str, Any]) -> Iterable[Box]:
    """The one box, where an object was found."""
    return [row["box"]] if row.get("label") is not None and "box" in row else []
