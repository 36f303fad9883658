"""What a run's page tells of the network's answers: by class, by target, picture by picture."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from saccade.report import boxes, charts, matrix, places
from saccade.report.records import Records, per_class, views
from saccade.report.sections import picture

MISTAKES = 48
"""Pictures in the gallery of mistakes."""

POINTS = 2000
"""Of a scatter plot; more hide each other."""


def confusions(records: Records) -> list[dict[str, Any]]:
    """A matrix with its most frequent mistakes, per head that has classes."""
    found = []
    for field, details in views(records.details.get("dev", {})):
        if details.get("confusion"):
            classes, counts = details["classes"], details["confusion"]
            found.append(
                {
                    "field": field,
                    "chart": matrix.draw(classes, counts),
                    "pairs": matrix.confused(classes, counts),
                    "classes": len(classes),
                    "shown": len(matrix.worst_classes(counts)),
                }
            )
    return found


def class_tables(records: Records) -> list[dict[str, Any]]:
    """Rows per class with intervals drawn, the weakest first; thresholds where there are some."""
    found = []
    for field, details in views(records.details.get("dev", {})):
        thresholds = _thresholds(records, field, details)
        rows = [_class_row(row, thresholds.get(row["name"])) for row in per_class(details)]
        if rows:
            rows.sort(key=lambda row: row["rank"])
            precise = any(row["average_precision"] is not None for row in rows)
            found.append(
                {"field": field, "rows": rows, "precise": precise, "cut": bool(thresholds)}
            )
    return found


def _class_row(row: Mapping[str, Any], threshold: float | None) -> dict[str, Any]:
    measures = {name: row.get(name) or {} for name in ("precision", "recall", "f1")}
    shown = {
        name: {
            **{key: measure.get(key) for key in ("value", "low", "high")},
            "chart": charts.interval(*(measure.get(key) for key in ("value", "low", "high"))),
        }
        for name, measure in measures.items()
    }
    rank = shown["f1"]["value"]
    return {
        "name": row["name"],
        "examples": row.get("examples"),
        "measures": shown,
        "average_precision": row.get("average_precision", row.get("ap50")),
        "threshold": threshold,
        "rank": 2.0 if rank is None else rank,
    }


def _thresholds(records: Records, field: str, details: Mapping[str, Any]) -> dict[str, float]:
    """Class -> probability from which on it is said to be there, where a task chose them."""
    decision = records.card.get("decision") or {}
    values = (decision.get(field, decision) if field else decision).get("thresholds")
    return dict(zip(details.get("classes", ()), values, strict=False)) if values else {}


def regressions(records: Records) -> list[dict[str, Any]]:
    """Predicted over true and the residuals, per target."""
    rows = records.predictions("dev")
    found = []
    for field, details in views(records.details.get("dev", {})):
        for place, name in enumerate(details.get("targets", ())):
            pairs = (_pair(row, field, place, name) for row in rows)
            known = [pair for pair in pairs if pair is not None]
            # a regular sample keeps the picture's shape where there are too many points
            drawn = known[:: max(1, math.ceil(len(known) / POINTS))]
            if known:
                truth, guess, keys = zip(*drawn, strict=True)
                residuals = [guess - truth for truth, guess, _ in known]
                found.append(
                    {
                        "name": f"{field}: {name}" if field else name,
                        "scatter": charts.scatter(truth, guess, keys, name),
                        "residuals": charts.histogram(residuals, f"predicted - true {name}"),
                        "measures": details.get("per_target", {}).get(name, {}),
                        "points": (len(drawn), len(known)),
                    }
                )
    return found


def _pair(
    row: Mapping[str, Any], field: str, place: int, name: str
) -> tuple[float, float, str] | None:
    """True and predicted value and the example's key; None where the target is missing."""
    target = parsed(row["target"])
    if field:
        values = (target or {}).get(field)
        guess = parsed(row["result"])[field]["values"][name]
    else:
        values, guess = target, row["values"][place]
    if not values or values[place] is None:
        return None
    return float(values[place]), float(guess), str(row["key"])


def parsed(text: str | None) -> Any:
    """A target as it was: JSON where it is more than a name."""
    try:
        return json.loads(text) if text else None
    except ValueError:
        return text


def mistakes(records: Records) -> dict[str, Any]:
    """The dev examples with the largest loss; mistakes alone where there are any."""
    rows = [row for row in records.predictions("dev") if _known(row["loss"])]
    if rows and "true_mask" in rows[0]:  # shown with their masks, see `report.masks`
        rows = []
    wrong = [row for row in rows if (row["error"] or 0) > 0]
    chosen = sorted(wrong or rows, key=lambda row: -row["loss"])[:MISTAKES]
    pictures = records.thumbnails("dev", [row["index"] for row in chosen])
    classes = next((tuple(f["classes"]) for f in records.card.get("fields", ())), ())
    for row in chosen:
        if boxes.has_boxes(row):
            jpeg, row["told"] = boxes.shown(records, row, pictures.get(row["index"]))
            if jpeg is not None:
                pictures[row["index"]] = jpeg
    cards = [
        {
            "key": row["key"],
            "picture": picture(
                places.drawn(pictures.get(row["index"]), row, parsed(row["target"]))
            ),
            "small": _small(pictures.get(row["index"])),
            "wrong": (row["error"] or 0) > 0,
            "loss": row["loss"],
            "lines": explained(row, classes),
        }
        for row in chosen
    ]
    drawn = any(places.placed(row, parsed(row["target"])) for row in chosen)
    return {"cards": cards, "wrong": len(wrong), "examples": len(rows), "drawn": drawn}


def _small(jpeg: bytes | None) -> bool:
    """Of so few pixels that each should be seen."""
    return jpeg is not None and max(Image.open(io.BytesIO(jpeg)).size) <= 64


def _known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def explained(row: Mapping[str, Any], classes: Sequence[str]) -> list[tuple[str, str, str]]:
    """(what, name, number): true and predicted with their probabilities or values."""
    if boxes.has_boxes(row):
        return [("", kind, count) for kind, count in row.get("told", [])]
    if "view" in row and ("box" in row or "points" in row):
        return _of_places(row)
    if "label" in row and "probabilities" in row:
        chances = dict(zip(classes, row["probabilities"], strict=False))
        return [
            ("true", str(name), f"{100 * chances[name]:.1f} %" if name in chances else "")
            for name in (row["target"],)
        ] + [("predicted", row["label"], f"{100 * row['score']:.1f} %")]
    target = parsed(row["target"])
    if "labels" in row and "probabilities" in row:
        chances = dict(zip(classes, row["probabilities"], strict=False))
        missed = [name for name in target or () if name not in row["labels"]]
        extra = [name for name in row["labels"] if name not in (target or ())]
        return [
            (what, name, f"{100 * chances.get(name, math.nan):.1f} %")
            for what, names in (("missed", missed), ("false", extra))
            for name in names
        ]
    if "values" in row:
        pairs = zip(classes, target or [], row["values"], strict=False)
        return [
            ("", name, f"{charts.short(guess)} for {charts.short(truth)}")
            for name, truth, guess in pairs
            if truth is not None
        ]
    result = parsed(row.get("result"))
    if isinstance(target, Mapping) and isinstance(result, Mapping):
        heads = ((field, target.get(field), head) for field, head in result.items())
        return [
            (field, _compared(truth, head), "") for field, truth, head in heads if truth is not None
        ]
    return []


def _of_places(row: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Of one object its class and the overlap of its boxes, of points their error."""
    if "points" in row:
        return [("error", f"{row['error']:.3f}", "")]
    target = parsed(row["target"]) or {}
    found = row["label"] or "(nothing)"
    return [
        ("true", str(target.get("label") or "(nothing)"), ""),
        ("predicted", found, f"{100 * row['score']:.1f} %"),
        ("overlap", f"{1 - row['error']:.2f}", ""),
    ]


def _compared(truth: Any, head: Mapping[str, Any]) -> str:
    """What one head of several found, and what is true."""
    if "values" in head:
        pairs = zip(head["values"].values(), truth, strict=False)
        numbers = (f"{guess:.4g} for {true:.4g}" for guess, true in pairs if true is not None)
        return ", ".join(numbers)
    found = head.get("label", head.get("labels"))
    if found == truth:
        return f"{_joined(truth)}, right"
    return f"{_joined(found)} for {_joined(truth)}"


def _joined(names: Any) -> str:
    return ", ".join(names) or "(none)" if isinstance(names, list) else str(names)
