"""What a run's page tells of the training and the data: curves, scores, counts."""

from __future__ import annotations

import base64
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from markupsafe import Markup

from saccade.report import charts
from saccade.report.records import PARTS, Records

SHARES = {"accuracy", "top5", "acc_iou50", "pixel_accuracy", "eer", "far", "frr"}
"""Metrics that people read in percent."""


def told(metric: str, value: float | None) -> str:
    """A metric's value for people."""
    if value is None or not math.isfinite(value):
        return "-"
    if metric.rpartition("/")[2] in SHARES:
        return f"{100 * value:.1f} %"
    return f"{value:.3f}" if abs(value) < 10 else charts.short(value)


MOST_CLASSES = 6
"""Scores of single classes beside those of all; more stand in their own table alone."""


def without_classes(names: Iterable[str]) -> list[str]:
    """Names of measures, those of single classes left out where there are many."""
    every = list(names)
    single = [name for name in every if name.rpartition("/")[2].startswith("iou_")]
    return every if len(single) <= MOST_CLASSES else [n for n in every if n not in single]


def picture(data: bytes | None) -> str | None:
    """A JPEG as the address of an <img>, so that the page needs no other file."""
    return "data:image/jpeg;base64," + base64.b64encode(data).decode() if data else None


@dataclass(frozen=True)
class Curve:
    """One chart of the training. log: its y axis is logarithmic."""

    title: str
    styles: tuple[tuple[str, str], ...]
    chart: Markup
    log: bool = False


def curves(records: Records) -> list[Curve]:
    """Loss, every metric and the learning rate over the epochs."""
    rows = records.results
    if not rows:
        return []
    best = best_epoch(records)
    found = [_curve(rows, "Loss", {"train": "train/loss", "dev": "val/loss"}, best)]
    for column in without_classes(_columns(rows, "metrics/")):
        name = column.removeprefix("metrics/")
        found.append(_curve(rows, name, {"train": f"train/{name}", "dev": column}, best))
    found.append(_curve(rows, "Learning rate", {"plain": "lr/pg0"}, None))
    return [curve for curve in found if curve.chart]


def best_epoch(records: Records) -> int | None:
    """The epoch whose dev score the card holds: that of the kept network."""
    main = records.main
    kept = records.card.get("metrics", {}).get(main, {}).get("value") if main else None
    scores = [(row.get(f"metrics/{main}"), int(row["epoch"])) for row in records.results]
    known = [(abs(score - kept), epoch) for score, epoch in scores if score is not None and kept]
    return min(known)[1] if known else None


def _curve(
    rows: Sequence[Mapping[str, float]], title: str, columns: Mapping[str, str], best: int | None
) -> Curve:
    drawn = [
        charts.Line(
            "rate" if style == "plain" else style,
            style,
            [row["epoch"] for row in rows],
            [row.get(column, math.nan) for row in rows],
        )
        for style, column in columns.items()
        if any(column in row for row in rows)
    ]
    values = [value for line in drawn for value in line.y if math.isfinite(value)]
    log = title == "Loss" and min(values, default=0) > 0 and max(values) > 20 * min(values)
    styles = tuple((line.style, line.name) for line in drawn) if "dev" in columns else ()
    return Curve(title, styles, charts.lines(drawn, log=log, mark=best), log)


def _columns(rows: Sequence[Mapping[str, float]], prefix: str) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row if name.startswith(prefix)))


def scores(records: Records) -> list[dict[str, Any]]:
    """One row per part: its measures, as far as they were taken."""
    rows = []
    kept = [row for row in records.results if row["epoch"] == best_epoch(records)]
    clean = {
        name.removeprefix("train/"): value
        for name, value in (kept[0] if kept else {}).items()
        if name.startswith("train/") and name != "train/loss"
    }
    if clean:
        rows.append({"part": "train", "note": "without augmentation", "values": clean})
    if records.card.get("metrics"):
        rows.append(
            {"part": "dev", "note": "chose the network", "measures": records.card["metrics"]}
        )
    if records.looks:
        count = len(records.looks)
        note = f"looked at {count} time{'s' if count > 1 else ''}"
        rows.append({"part": "test", "note": note, "measures": records.looks[-1]["metrics"]})
    return rows


def data(records: Records) -> dict[str, Any]:
    """Counts per class and part, sizes of the pictures."""
    images = records.images
    sides = list(zip(images.get("width", ()), images.get("height", ()), strict=True))
    smallest, largest = (min(sides, key=_area), max(sides, key=_area)) if sides else (None, None)
    counts = _class_counts(records)
    parts = [part for part in PARTS if part in images.get("split", ())]
    totals = Counter(images.get("split", ()))
    return {
        "name": records.card.get("data", {}).get("name") or records.args.get("run", {}).get("data"),
        "examples": len(images.get("key", ())),
        "parts": [(part, totals[part]) for part in parts],
        "classes": counts,
        "most": max((sum(row.values()) for row in counts.values()), default=0),
        "sides": None if not sides else (smallest, largest),
        "median": sides and tuple(int(median(each)) for each in zip(*sides, strict=True)),
        "sizes": len(set(sides)),
        "modes": Counter(images.get("mode", ())).most_common(),
    }


def _area(side: tuple[int, int]) -> int:
    return side[0] * side[1]


def _class_counts(records: Records) -> dict[str, dict[str, int]]:
    """Class -> part -> examples, from the manifest; classes in index order, heads one by one."""
    counts: dict[str, dict[str, int]] = {}
    fields = {
        field["name"]: field
        for field in records.card.get("fields", ())
        if field["kind"] in ("label", "labels", "box", "boxes")
    }
    for field in fields.values():
        counts |= {_title(fields, field["name"], name): {} for name in field["classes"]}
    for example in records.manifest.get("examples", ()):
        for field, value in (example.get("target") or {}).items():
            for name in _names(value) if field in fields else ():
                own = counts.setdefault(_title(fields, field, str(name)), {})
                own[example["part"]] = own.get(example["part"], 0) + 1
    return counts


def _names(value: Any) -> list[str]:
    """Different class names in one annotation: a name, several, or objects with one each."""
    items = value if isinstance(value, list) else [value]
    labels = [item.get("label") if isinstance(item, Mapping) else item for item in items]
    return list(dict.fromkeys(str(label) for label in labels if label is not None))


def _title(fields: Mapping[str, Any], field: str, name: str) -> str:
    return name if len(fields) == 1 else f"{field}: {name}"
