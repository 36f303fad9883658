"""Detections of a run drawn on their pictures: hits, false alarms and misses."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from saccade.ops.average_precision import Objects
from saccade.ops.mistakes import KINDS, RIGHT, kinds
from saccade.report.records import Records

HIT, FALSE, MISSED = "#3ddc84", "#ff7a45", "#ffffff"
"""Green boxes are right, orange ones are not; white dashes stand where an object was missed."""


def has_boxes(row: Mapping[str, Any]) -> bool:
    """Whether a row of predictions holds any number of boxes."""
    return "boxes" in row


def judged(
    row: Mapping[str, Any], truth: Any, card: Mapping[str, Any]
) -> list[tuple[str, str, list[float]]]:
    """("hit" or a kind of mistake, class, box in the picture) of each box that counts or lacks."""
    classes = [str(name) for name in card["fields"][0]["classes"]]
    least = (card.get("decision") or {}).get("thresholds") or [0.25] * len(classes)
    codes = {name: place for place, name in enumerate(classes)}
    kept = [
        (codes[name], score, box)
        for name, score, box in zip(row["labels"], row["scores"], row["boxes"], strict=True)
        if score >= least[codes[name]]
    ]
    objects = [(codes[item.get("label") or classes[0]], 1.0, item["box"]) for item in truth or []]
    found, true = _as_objects(kept), _as_objects(objects)
    of_found, of_true = kinds(found, true)
    marks = [
        ("hit" if code == RIGHT else KINDS[code], classes[label], box)
        for code, (label, _, box) in zip(of_found.tolist(), kept, strict=True)
    ]
    missed = KINDS.index("missed")
    marks += [
        ("missed", classes[label], box)
        for code, (label, _, box) in zip(of_true.tolist(), objects, strict=True)
        if code == missed
    ]
    return marks


def _as_objects(rows: list[tuple[int, float, list[float]]]) -> Objects:
    return Objects(
        pictures=np.zeros(len(rows), dtype=np.int64),
        labels=np.array([label for label, _, _ in rows], dtype=np.int64),
        boxes=np.array([box for _, _, box in rows], dtype=np.float64).reshape(-1, 4),
        scores=np.array([score for _, score, _ in rows], dtype=np.float64),
    )


def in_words(marks: list[tuple[str, str, list[float]]]) -> list[tuple[str, str]]:
    """(kind, how many) of what there is, hits first."""
    counts = {kind: sum(mark[0] == kind for mark in marks) for kind in ("hit", *KINDS)}
    return [(kind, str(count)) for kind, count in counts.items() if count]


def outlined(
    jpeg: bytes,
    marks: list[tuple[str, str, list[float]]],
    size: tuple[int, int],
    card: Mapping[str, Any],
) -> bytes:
    """The small picture with its boxes. size: width, height of the displayed picture."""
    picture = Image.open(io.BytesIO(jpeg)).convert("RGB")
    across, left, down, top = _placed(size, card["preprocessing"], picture.size)
    draw = ImageDraw.Draw(picture)
    for kind, _, (x1, y1, x2, y2) in sorted(marks, key=lambda mark: mark[0] != "hit"):
        corners = (
            x1 * across + left,
            y1 * down + top,
            x2 * across + left,
            y2 * down + top,
        )
        if kind == "missed":
            _dashed(draw, corners)
        else:
            draw.rectangle(corners, outline=HIT if kind == "hit" else FALSE, width=2)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=88)
    return file.getvalue()


def _placed(
    size: tuple[int, int], preprocessing: Mapping[str, Any], small: tuple[int, int]
) -> tuple[float, float, float, float]:
    """Scale and start across, scale and start down, from the picture to its thumbnail."""
    width, height = preprocessing["width"], preprocessing["height"]
    scales = [width / size[0], height / size[1]]
    if preprocessing["fit"] != "stretch":
        scales = [min(scales) if preprocessing["fit"] == "pad" else max(scales)] * 2
    starts = [(width - size[0] * scales[0]) / 2, (height - size[1] * scales[1]) / 2]
    across, down = small[0] / width, small[1] / height
    return scales[0] * across, starts[0] * across, scales[1] * down, starts[1] * down


def _dashed(draw: ImageDraw.ImageDraw, box: tuple[float, float, float, float]) -> None:
    x1, y1, x2, y2 = box
    for start, end in (
        ((x1, y1), (x2, y1)),
        ((x2, y1), (x2, y2)),
        ((x2, y2), (x1, y2)),
        ((x1, y2), (x1, y1)),
    ):
        length = max(abs(end[0] - start[0]), abs(end[1] - start[1]), 1.0)
        for step in range(0, int(length), 8):
            part = (step / length, min(step + 4, length) / length)
            places = [
                (start[0] + (end[0] - start[0]) * at, start[1] + (end[1] - start[1]) * at)
                for at in part
            ]
            draw.line(places, fill=MISSED, width=2)


def marks_of(records: Records, row: Mapping[str, Any]) -> list[tuple[str, str, list[float]]]:
    """`judged` of a row of the run's predictions."""
    return judged(row, json.loads(row["target"] or "null"), records.card)


def shown(
    records: Records, row: Mapping[str, Any], jpeg: bytes | None
) -> tuple[bytes | None, list[tuple[str, str]]]:
    """The thumbnail with its boxes, and what there is in words."""
    marks = marks_of(records, row)
    images = records.images
    if jpeg is None or "width" not in images:
        return jpeg, in_words(marks)
    place = row["index"]
    size = (images["width"][place], images["height"][place])
    return outlined(jpeg, marks, size, records.card), in_words(marks)
