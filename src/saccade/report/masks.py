"""What a run's page tells of masks: classes one by one, the worst pictures with their errors."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from saccade.report import charts
from saccade.report.drawing import color_of
from saccade.report.records import Records, views
from saccade.report.sections import picture

WORST = 12
"""Pictures that are shown."""

SIDE = 320
"""Longer side of each view of a picture."""

WRONG, UNKNOWN = (210, 72, 31), (128, 128, 128)
STRENGTH = 0.5
"""How much of a class's colour lies over the picture."""


def section(records: Records) -> dict[str, Any] | None:
    """Rows per class, the worst pictures, counted things; None where the task has no masks."""
    details = next((d for _, d in views(records.details.get("dev", {})) if _rows(d)), None)
    if details is None:
        return None
    rows = records.predictions("dev")
    known = [row for row in rows if row["error"] is not None and row["error"] == row["error"]]
    worst = sorted(known, key=lambda row: -row["error"])[:WORST]
    jpegs = records.thumbnails("dev", [row["index"] for row in worst])
    classes = details["classes"]
    return {
        "classes": _class_rows(details),
        "cards": [_card(row, jpegs.get(row["index"]), classes) for row in worst],
        "examples": len(known),
        "legend": [(name, color_of(place)) for place, name in enumerate(classes)][:40],
        "things": _things(rows),
    }


def _rows(details: Mapping[str, Any]) -> Mapping[str, Any]:
    rows: Mapping[str, Any] = details.get("per_pixel_class", {})
    return rows


def _class_rows(details: Mapping[str, Any]) -> list[dict[str, Any]]:
    total = sum(row["pixels"] for row in _rows(details).values()) or 1
    found = []
    for place, (name, row) in enumerate(_rows(details).items()):
        measures = {
            key: {**row[key], "chart": charts.interval(*(row[key][k] for k in ORDER))}
            for key in ("iou", "dice", "boundary_f")
        }
        found.append(
            {
                "name": name,
                "color": color_of(place),
                "share": row["pixels"] / total,
                "pictures": row["pictures"],
                "measures": measures,
            }
        )
    return sorted(found, key=lambda row: _rank(row["measures"]["iou"]["value"]))


ORDER = ("value", "low", "high")


def _rank(value: float | None) -> float:
    return 2.0 if value is None else value


def _things(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """How many things were found and how many there are, where masks count them."""
    pairs = [
        (row["things"], row["true_things"]) for row in rows if row.get("true_things") is not None
    ]
    if not pairs:
        return None
    found, true = (np.array(each, dtype=float) for each in zip(*pairs, strict=True))
    return {
        "found": int(found.sum()),
        "true": int(true.sum()),
        "error": float(np.abs(found - true).mean()),
        "pictures": len(pairs),
    }


def _card(row: Mapping[str, Any], jpeg: bytes | None, classes: Sequence[str]) -> dict[str, Any]:
    truth, guess = (unpacked(row[name]) for name in ("true_mask", "mask"))
    ground = _ground(jpeg, truth.shape)
    shown = (
        ("picture", ground),
        ("true", tinted(ground, truth)),
        ("predicted", tinted(ground, guess)),
        ("errors", errors(ground, truth, guess)),
    )
    missed = [
        (classes[index], int(((truth == index) & (guess != index)).sum()))
        for index in np.unique(truth[(truth >= 0) & (truth != guess)]).tolist()
    ]
    things = ""
    if row.get("true_things") is not None:
        things = f"{row['things']} things found, {row['true_things']} there"
    return {
        "key": row["key"],
        "iou": 1 - row["error"],
        "views": [(name, picture(_jpeg(view))) for name, view in shown],
        "missed": sorted(missed, key=lambda pair: -pair[1])[:4],
        "pixels": int((truth >= 0).sum()),
        "things": things,
    }


def unpacked(data: bytes) -> np.ndarray:
    """(H, W) int64 classes of a kept mask, -1 where it is unknown."""
    return np.asarray(Image.open(io.BytesIO(data))).astype(np.int64) - 1


def _rgb(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def tinted(ground: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Classes above the background as colours over the picture; unknown pixels grey."""
    table = np.array(
        [UNKNOWN, (0, 0, 0), *(_rgb(color_of(n)) for n in range(1, int(mask.max(initial=0)) + 1))]
    )
    over = table[mask + 1]
    share = np.where((mask == 0)[..., None], 0.0, STRENGTH)
    mixed: np.ndarray = ground * (1 - share) + over * share
    return mixed.round().astype(np.uint8)


def errors(ground: np.ndarray, truth: np.ndarray, guess: np.ndarray) -> np.ndarray:
    """Wrong pixels in colour on a pale picture; unknown ones grey."""
    grey = ground.mean(axis=2, keepdims=True).repeat(3, axis=2)
    pale = 255 - (255 - grey) * 0.45
    pale[(truth >= 0) & (truth != guess)] = WRONG
    pale[truth < 0] = UNKNOWN
    seen: np.ndarray = pale.round().astype(np.uint8)
    return seen


def _ground(jpeg: bytes | None, shape: tuple[int, ...]) -> np.ndarray:
    """The picture as large as its mask; white where none was kept."""
    if jpeg is None:
        return np.full((*shape, 3), 255, dtype=np.uint8)
    seen = Image.open(io.BytesIO(jpeg)).convert("RGB")
    return np.asarray(seen.resize((shape[1], shape[0]), Image.Resampling.BILINEAR))


def _jpeg(pixels: np.ndarray) -> bytes:
    seen = Image.fromarray(pixels)
    seen.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    seen.save(file, "JPEG", quality=86)
    return file.getvalue()
