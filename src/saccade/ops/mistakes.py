"""What kind of mistake each false detection is, and which objects were missed.

The six kinds of Bolya et al. 2020 (TIDE), https://arxiv.org/abs/2008.08115, section 2.2, told by
overlap alone: a detection with IoU >= HIT is right in place, one with NEAR <= IoU < HIT is near.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from saccade.ops.average_precision import Array, Objects, match

HIT, NEAR = 0.5, 0.1
KINDS = ("class", "place", "both", "double", "background", "missed")
"""class: right place, wrong class; place: right class, near; both: near and wrong class; double: a
second box on an object that has one; background: near nothing; missed: an object that no detection
is at, or near with its class."""

Codes = npt.NDArray[np.int64]
RIGHT, FREE = -1, -2
"""Instead of a place in KINDS: a hit; a detection that counts neither way (a crowd)."""


def kinds(found: Objects, true: Objects) -> tuple[Codes, Codes]:
    """Place in KINDS, or RIGHT or FREE: of each detection (D,), and of each object (O,).

    An object is RIGHT when it was hit, "missed" when it was missed, and otherwise has the kind
    ("class" or "place") of the mistaken detection that explains it.
    """
    matches = match(found, true, thresholds=(HIT,), ranges={"all": (0.0, 1e10)}, most=10**9)
    taken = np.full(len(found), -1, dtype=np.int64)
    ignored = np.zeros(len(found), dtype=bool)
    taken[matches.rows] = matches.object[:, 0, 0]
    ignored[matches.rows] = matches.ignored[:, 0, 0]
    of_found = np.where(ignored, FREE, RIGHT)
    of_true = np.full(len(true), KINDS.index("missed"))
    hit = taken[(taken >= 0) & ~ignored]
    of_true[hit] = RIGHT
    if true.crowd is not None:
        of_true[true.crowd] = FREE
    for row in np.flatnonzero((taken < 0) & ~ignored):
        kind, at = _kind(found, int(row), true, of_true)
        of_found[row] = KINDS.index(kind)
        if at >= 0 and of_true[at] == KINDS.index("missed") and kind in ("class", "place"):
            of_true[at] = KINDS.index(kind)
    return of_found, of_true


def _kind(found: Objects, row: int, true: Objects, of_true: Codes) -> tuple[str, int]:
    """The kind of a false detection, and the object it is about, -1 none."""
    near = np.flatnonzero(true.pictures == found.pictures[row])
    if not len(near):
        return "background", -1
    overlap = _overlaps(found.boxes[row], true.boxes[near])
    same = true.labels[near] == found.labels[row]
    for kind, wanted, least in (
        ("double", same & (of_true[near] == RIGHT), HIT),
        ("class", ~same, HIT),
        ("place", same, NEAR),
        ("both", ~same, NEAR),
    ):
        best = int(np.where(wanted, overlap, -1).argmax())
        if wanted[best] and overlap[best] >= least:
            return kind, int(near[best])
    return "background", -1


def _overlaps(box: Array, others: Array) -> Array:
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    shared = np.maximum(sides, 0).prod(axis=1)
    union = (box[2:] - box[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(axis=1) - shared
    overlap: Array = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return overlap
