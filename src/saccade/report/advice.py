"""The diagnosis on the page: verdict, gaps, findings with the pictures that show them, ceilings."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from saccade.diagnose import Diagnosis
from saccade.diagnose.gaps import WORDS
from saccade.diagnose.mistakes import MistakeTable, automatic_slices, mistake_table
from saccade.diagnose.signals import error_text
from saccade.report.charts import short
from saccade.report.records import Records
from saccade.report.sections import picture
from saccade.types import Finding, Measure, Verdict

PICTURES = 12
"""Shown for one finding."""

ROWS = 12
"""Of the error table, and of the slices."""

SMALL = 64
"""Pictures of fewer pixels a side are shown so that each pixel can be seen."""


@dataclass(frozen=True)
class Shown:
    """A picture beside a finding. frame: left, top, width, height in percent of what matters."""

    picture: str
    small: bool
    caption: str
    frame: tuple[float, float, float, float] | None = None


def told(records: Records, diagnosis: Diagnosis) -> dict[str, Any]:
    """What the template advice.html.jinja shows."""
    table = mistake_table(records.run) if "dev" in diagnosis.errors else None
    return {
        "lines": diagnosis.verdict.lines[:2],
        "command": diagnosis.verdict.command,
        "around": _around(diagnosis.verdict),
        "gaps": _gaps(diagnosis),
        "findings": [_finding(records, diagnosis, finding) for finding in diagnosis.findings],
        "slices": _slices(table),
        "rows": _rows(table),
        "page": f"saccade errors {records.run.root} --open",
    }


def _around(verdict: Verdict) -> str:
    """What the last line says besides the command: what to do before, or what a word stands for."""
    before, _, after = verdict.lines[2].removeprefix("Next:").partition(verdict.command)
    return " ".join(f"{before} {after}".split()).strip("() ")


def _gaps(diagnosis: Diagnosis) -> list[dict[str, Any]]:
    """Errors and gaps with intervals, as places on one scale in percent of its length."""
    rows = diagnosis.rows()
    low = min([0.0, *(measure.low for _, measure in rows)])
    high = max([1e-9, *(measure.high for _, measure in rows)])

    def place(value: float) -> float:
        return round(100 * (value - low) / (high - low), 2)

    def words(value: float) -> str:
        return error_text(diagnosis.evidence, value)

    return [
        {
            "name": name,
            "gap": name in WORDS.values(),
            "value": words(measure.value),
            "range": f"{words(measure.low)} to {words(measure.high)}" if measure.n else "",
            "n": measure.n,
            "from": place(measure.low),
            "reach": round(place(measure.high) - place(measure.low), 2),
            "at": place(measure.value),
            "zero": place(0.0),
        }
        for name, measure in rows
    ]


def _finding(records: Records, diagnosis: Diagnosis, finding: Finding) -> dict[str, Any]:
    show = PROOFS.get(finding.name)
    return {
        "finding": finding,
        "gain": error_text(diagnosis.evidence, finding.expected_gain * diagnosis.evidence.scale),
        "evidence": [
            (name.replace("_", " "), text)
            for name, value in finding.evidence.items()
            if (text := _value(value))
        ],
        "pictures": show(records, diagnosis, finding)[:PICTURES] if show else [],
    }


def _value(value: Any) -> str:
    """A number, one with its interval, a name; long lists are left to the pictures."""
    if isinstance(value, Mapping) and {"value", "low", "high"} <= set(value):
        return f"{short(value['value'])} ({short(value['low'])} to {short(value['high'])})"
    if isinstance(value, float | int):
        return short(value) if math.isfinite(value) else ""
    return value if isinstance(value, str) else ""


def _suspects(records: Records, diagnosis: Diagnosis, finding: Finding) -> list[Shown]:
    """Suspected labels: what each picture is called, and what the network calls it."""
    rows = {row["key"]: row for row in records.predictions(str(finding.evidence["part"]))}
    chosen = [rows[key] for key in finding.evidence["first_suspects"] if key in rows][:PICTURES]
    jpegs = records.thumbnails(str(finding.evidence["part"]), [row["index"] for row in chosen])
    return [
        _shown(jpegs[row["index"]], f"labelled {row['target']}, looks like {row['label']}")
        for row in chosen
        if row["index"] in jpegs
    ]


def _copies(records: Records, diagnosis: Diagnosis, finding: Finding) -> list[Shown]:
    """Copies side by side: the held-out picture, then the one that is trained on."""
    part = str(finding.evidence["shown"])
    found = []
    for own, other in finding.evidence["copies"]:
        both = [records.thumbnails(part, [own]), records.thumbnails("train", [other])]
        if own in both[0]:
            found.append(_shown(both[0][own], part))
            twin = both[1].get(other, both[0][own])
            found.append(_shown(twin, "training"))
    return found


def _marks(records: Records, diagnosis: Diagnosis, finding: Finding) -> list[Shown]:
    """Two pictures of each class, with a frame where the class is given away."""
    places: Mapping[str, Any] = finding.evidence.get("places", {})
    rows = records.predictions("dev")
    jpegs = records.thumbnails("dev", [row["index"] for row in rows])
    found = []
    for name, place in places.items():
        own = [row for row in rows if row["target"] == name and row["index"] in jpegs][:2]
        found += [_shown(jpegs[row["index"]], name, tuple(place)) for row in own]
    return found


def _unlike(records: Records, diagnosis: Diagnosis, finding: Finding) -> list[Shown]:
    """Pictures of training and of dev, in turn."""
    random = np.random.default_rng(0)
    columns = []
    for part in ("train", "dev"):
        indices = [row["index"] for row in records.predictions(part)]
        jpegs = records.thumbnails(part, indices)
        drawn = random.permutation(sorted(jpegs))[: PICTURES // 2].tolist()
        columns.append([_shown(jpegs[index], part) for index in drawn])
    return [shown for both in zip(*columns, strict=False) for shown in both]


PROOFS: dict[str, Callable[[Records, Diagnosis, Finding], list[Shown]]] = {
    "label-noise": _suspects,
    "leakage": _copies,
    "shortcut": _marks,
    "data-mismatch": _unlike,
}
"""Finding -> the pictures that prove it."""


def _shown(
    jpeg: bytes, caption: str, frame: tuple[float, float, float, float] | None = None
) -> Shown:
    return Shown(str(picture(jpeg)), _small(jpeg), caption, frame)


def _small(jpeg: bytes) -> bool:
    return max(Image.open(io.BytesIO(jpeg)).size) <= SMALL


def _slices(table: MistakeTable | None) -> list[dict[str, Any]]:
    """Where the errors lie, and what is left at best when a slice is mended."""
    if table is None:
        return []

    def words(measure: Measure) -> str:
        if not table.percent:
            return f"{short(measure.value)} ({short(measure.low)} to {short(measure.high)})"
        low, high = 100 * measure.low, 100 * measure.high
        return f"{100 * measure.value:.1f} % ({low:.1f} to {high:.1f})"

    return [
        {
            "kind": item.kind,
            "name": item.name,
            "mistakes": item.mistakes,
            "share": f"{100 * item.share.value:.0f} %",
            "width": round(100 * item.share.value, 1),
            "ceiling": words(item.ceiling),
        }
        for item in automatic_slices(table)[:ROWS]
    ]


def _rows(table: MistakeTable | None) -> list[dict[str, Any]]:
    """A fair sample of the mistakes, as the error table holds them."""
    if table is None:
        return []
    chosen = [row for row in table.shown if row.wrong][:ROWS]
    return [
        {
            "row": row,
            "chances": [
                "" if math.isnan(value) else f"{100 * value:.0f} %"
                for value in (row.p_true, row.p_predicted)
            ],
            "shown": _shown(table.thumbnails[row.index], row.key)
            if row.index in table.thumbnails
            else None,
        }
        for row in chosen
    ]
