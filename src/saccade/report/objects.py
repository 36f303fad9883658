"""What a run's page tells of detections: curves by class, sizes, kinds of mistakes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from saccade.report import charts
from saccade.report.records import Records

MOST = 8
"""Classes whose curves are drawn: more lines cannot be told apart."""

SIZES = {"small": "below 32 x 32 pixels", "medium": "up to 96 x 96", "large": "beyond"}

MEANINGS = {
    "class": "in the right place, of the wrong class",
    "place": "of the right class, badly placed",
    "both": "badly placed and of the wrong class",
    "double": "a second box on one object",
    "background": "nothing is there",
    "missed": "an object without a box",
}


def section(records: Records) -> dict[str, Any] | None:
    """Curves of the weakest classes, scores by size and counts of mistakes on dev.

    None for a run that does not detect.
    """
    details = records.details.get("dev", {})
    curves = details.get("curves", {})
    if "precision" not in curves or "mistakes" not in details:
        return None
    drawn = _weakest(details)
    return {
        "precision": _chart(details, drawn, ("recall", "precision"), dots=False),
        "f1": _chart(details, drawn, ("confidence", "f1"), dots=True),
        "legend": [(f"c{place}", _named(details, row)) for place, row in enumerate(drawn)],
        "classes": len(details["classes"]),
        "shown": len(drawn),
        "sizes": [
            {"name": name, "meaning": SIZES[name], **details["by_size"][name]}
            for name in SIZES
            if name in details.get("by_size", {})
        ],
        "hits": details["hits"],
        "mistakes": [
            {"name": name, "meaning": MEANINGS.get(name, ""), "count": count}
            for name, count in details["mistakes"].items()
        ],
        "most": max(1, details["hits"], *details["mistakes"].values()),
    }


def _weakest(details: Mapping[str, Any]) -> list[int]:
    """Rows of the classes that are drawn: those with objects, the weakest ones where many."""
    scores = [details["per_class"][name].get("ap50") for name in details["classes"]]
    known = [row for row, score in enumerate(scores) if score is not None]
    return sorted(sorted(known, key=lambda row: float(scores[row]))[:MOST])


def _named(details: Mapping[str, Any], row: int) -> str:
    name = details["classes"][row]
    return f"{name} {details['per_class'][name]['ap50']:.2f}"


def _chart(
    details: Mapping[str, Any], rows: Sequence[int], axes: tuple[str, str], *, dots: bool
) -> str:
    """One line a class. dots: at the confidence from which boxes of the class are shown."""
    across, up = axes
    x, table = details["curves"][across], details["curves"][up]
    lines = []
    for place, row in enumerate(rows):
        name, values = details["classes"][row], [_number(value) for value in table[row]]
        lines.append(charts.Line(name, f"c{place}", x, values))
        if dots:
            threshold = details["per_class"][name]["threshold"]
            nearest = min(range(len(x)), key=lambda at: abs(x[at] - threshold))
            only = [value if at == nearest else math.nan for at, value in enumerate(values)]
            lines.append(charts.Line("", f"c{place}", x, only))
    return charts.lines(lines, across=across, shares=True) if lines else ""


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
