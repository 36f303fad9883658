"""Boxes as people wrote them, judged one by one: kept, clipped, put in order, or dropped.

No fault of one box changes another, and no picture is left out for a box. Data are refused only
where not one box is usable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from saccade.data.places import allowance, beyond
from saccade.data.tree import printable
from saccade.types import Notice, Severity

SILENT = 0.01
"""Pixels outside the picture that are rounding, not a fault."""

SHOWN = 3

_FATES: dict[str, tuple[Severity, str, str]] = {
    "box-without-class": ("warning", "have no class", "dropped"),
    "box-unknown-class": ("warning", "have a class id without a name", "dropped"),
    "box-not-a-number": ("warning", "have a coordinate that is no finite number", "dropped"),
    "box-negative-size": ("warning", "have a negative width or height", "dropped"),
    "box-wrong-order": ("warning", "have their corners in the wrong order", "put in order"),
    "box-zero-size": ("warning", "have no width or no height", "dropped"),
    "box-outside": (
        "warning",
        "reach more than a pixel or 1 % of the side outside their picture",
        "dropped",
    ),
    "box-clipped": ("info", "reach up to a pixel or 1 % of the side outside", "clipped"),
}
"""Fault -> severity, what is wrong, what becomes of the box. Tested in this order."""


@dataclass(frozen=True)
class Judged:
    """boxes: (M, 4) as they are used; kept: (M,) bool; faults: name -> (M,) bool."""

    boxes: np.ndarray
    kept: np.ndarray
    faults: dict[str, np.ndarray]


def judge(
    boxes: np.ndarray,
    sizes: np.ndarray,
    *,
    sized: bool,
    nameless: np.ndarray,
    strange: np.ndarray,
) -> Judged:
    """Decide on every box.

    Args:
        boxes: (M, 4) float64 x1, y1, x2, y2 in pixels of the displayed picture, in any order.
        sizes: (M, 2) width, height of the displayed pictures; NaN = unknown, nothing is outside.
        sized: width and height were written, not corners: then a negative one has no meaning.
        nameless: (M,) boxes without a class.
        strange: (M,) boxes with an id that no class has.
    """
    broken = ~np.isfinite(boxes).all(axis=1)
    boxes = np.where(broken[:, None], 0.0, boxes)
    turned = (boxes[:, 2:] < boxes[:, :2]).any(axis=1) & ~broken
    if not sized:
        boxes = np.concatenate(
            [np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])], axis=1
        )
    empty = (boxes[:, 2:] == boxes[:, :2]).any(axis=1) & ~broken
    over = np.nan_to_num(beyond(boxes, sizes))  # (M, 2)
    far = (over > np.nan_to_num(allowance(sizes), nan=np.inf)).any(axis=1)
    limit = np.nan_to_num(np.concatenate([sizes, sizes], axis=1), nan=np.inf)
    clipped = np.clip(boxes, 0, limit)
    far |= (clipped[:, 2:] <= clipped[:, :2]).any(axis=1) & ~empty & ~turned
    found = {
        "box-without-class": nameless,
        "box-unknown-class": strange,
        "box-not-a-number": broken,
        "box-negative-size": turned & sized,
        "box-wrong-order": turned & (not sized),
        "box-zero-size": empty,
        "box-outside": far,
        "box-clipped": (over > SILENT).any(axis=1),
    }
    return _decide(clipped, found)


def _decide(boxes: np.ndarray, found: dict[str, np.ndarray]) -> Judged:
    """A dropped box counts under its first fault alone."""
    kept = np.ones(len(boxes), dtype=bool)
    faults = {}
    for name, has in found.items():
        faults[name] = has & kept
        if _FATES[name][2] == "dropped":
            kept &= ~has
    for name in found:
        if _FATES[name][2] != "dropped":
            faults[name] &= kept
    return Judged(boxes, kept, faults)


def notices(judged: Judged, keys: Sequence[str], places: Sequence[str]) -> list[Notice]:
    """One for each kind of fault. keys, places: of each box, its picture and where it stands."""
    told = []
    for name, has in judged.faults.items():
        rows = np.flatnonzero(has).tolist()
        if not rows:
            continue
        severity, what, fate = _FATES[name]
        some = ", ".join(f"{printable(keys[row])} ({places[row]})" for row in rows[:SHOWN])
        more = " ..." if len(rows) > SHOWN else ""
        noun = "1 box" if len(rows) == 1 else f"{len(rows)} boxes"
        verb = what if len(rows) > 1 else _singular(what)
        message = f"{noun} {verb}: {some}{more}; {fate}, all others are as they were"
        files = tuple(dict.fromkeys(keys[row] for row in rows))
        told.append(Notice(name=name, severity=severity, message=message, files=files))
    return told


def _singular(what: str) -> str:
    for plural, singular in (("have their", "has its"), ("have", "has"), ("reach", "reaches")):
        if what.startswith(plural):
            return what.replace(plural, singular, 1).replace(" their ", " its ")
    return what
