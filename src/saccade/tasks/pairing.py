"""Names of points: which a mirror exchanges, and which two measure a face."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from saccade.errors import SaccadeError, unknown_name

FACE = tuple(map(str, range(68)))
"""The 68 points of Multi-PIE and 300-W (Sagonas et al. 2013, figure 1), counted from 0."""

FACE_EYES = (36, 45)
"""Outer corners of the eyes among them."""

_FACE_PAIRS = (
    *((place, 16 - place) for place in range(8)),  # jaw
    *((17 + place, 26 - place) for place in range(5)),  # brows
    (31, 35), (32, 34),  # nostrils
    (36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46),  # eyes
    (48, 54), (49, 53), (50, 52), (55, 59), (56, 58), (60, 64), (61, 63), (65, 67),  # mouth
)  # fmt: skip

_SIDES = (("left", "right"), ("l", "r"))
_OUTER = ("outer", "lateral", "exo")


def swapped(names: Sequence[str], declared: str | None) -> tuple[int, ...]:
    """For each point the place of the one that has its name in a mirrored picture.

    declared: "left_eye:right_eye,...", "none", or None where the names are to tell.
    Raises SaccadeError for a name that is not there or stands in two pairs.
    """
    order = list(range(len(names)))
    if declared == "none":
        return tuple(order)
    pairs = _inferred(names) if declared is None else _declared(names, declared)
    for one, other in pairs:
        order[one], order[other] = other, one
    return tuple(order)


def has_pairs(names: Sequence[str], declared: str | None) -> bool:
    """Whether it is known what a mirror does to the names: then pictures may be mirrored."""
    return declared is not None or bool(_inferred(names))


def _inferred(names: Sequence[str]) -> list[tuple[int, int]]:
    if _is_face(names):
        return list(_FACE_PAIRS)
    places = {name.casefold(): place for place, name in enumerate(names)}
    found = []
    for name, place in places.items():
        words = re.split(r"([^a-z]+)", name)
        for left, right in _SIDES:
            if left not in words and right not in words:
                continue
            # both at once: the left corner of the left eye becomes the right one of the right eye
            swap = {left: right, right: left}
            other = places.get("".join(swap.get(word, word) for word in words), place)
            if place < other:
                found.append((place, other))
            break
    return found


def _is_face(names: Sequence[str]) -> bool:
    numbers = [name for name in names if name.isdecimal()]
    if len(names) != len(FACE) or len(numbers) != len(names):
        return False
    return tuple(int(name) - int(names[0]) for name in names) == tuple(range(len(FACE)))


def _declared(names: Sequence[str], declared: str) -> list[tuple[int, int]]:
    places = {name: place for place, name in enumerate(names)}
    found, used = [], set()
    for pair in declared.split(","):
        ends = [end.strip() for end in pair.split(":")]
        if len(ends) != 2:
            raise SaccadeError(
                f"loss.pairs: {pair!r} is no pair; expected left:right, with commas between pairs",
                name="bad-setting",
            )
        for end in ends:
            if end not in places:
                raise unknown_name("point", end, names)
            if end in used:
                raise SaccadeError(f"loss.pairs: {end!r} is in two pairs", name="bad-setting")
            used.add(end)
        found.append((places[ends[0]], places[ends[1]]))
    return found


def yardstick(names: Sequence[str], declared: str | None) -> tuple[int, int] | None:
    """Places of the two points whose distance measures errors; None = the points' box."""
    if declared == "box":
        return None
    if declared is not None:
        ends = [name.strip() for name in declared.split(",")]
        if len(ends) != 2 or ends[0] == ends[1]:
            raise SaccadeError(
                f"loss.normalise_by: {declared!r}; expected two names of points with a comma "
                "between, or box",
                name="bad-setting",
            )
        for name in ends:
            if name not in names:
                raise unknown_name("point", name, names)
        return names.index(ends[0]), names.index(ends[1])
    return FACE_EYES if _is_face(names) else _eyes(names)


def _eyes(names: Sequence[str]) -> tuple[int, int] | None:
    """The pair whose names say eye: outer corners before whatever comes first."""
    eyes = [
        pair
        for pair in _inferred(names)
        if "eye" in names[pair[0]].casefold() and "brow" not in names[pair[0]].casefold()
    ]
    outer = [pair for pair in eyes if any(word in names[pair[0]].casefold() for word in _OUTER)]
    return next(iter([*outer, *eyes]), None)


def lengths(points: Tensor, visible: Tensor, ends: tuple[int, int] | None) -> Tensor:
    """(N,) what errors are divided by, in pixels; NaN where it cannot be measured.

    points: (N, P, 2) true ones; visible: (N, P). Where one of `ends` is not visible, and without
    ends, it is the diagonal of the visible points' box.
    """
    low = torch.where(visible[:, :, None], points, torch.inf).amin(dim=1)
    high = torch.where(visible[:, :, None], points, -torch.inf).amax(dim=1)
    found = (high - low).norm(dim=1)
    if ends is not None:
        between = (points[:, ends[0]] - points[:, ends[1]]).norm(dim=1)
        found = torch.where(visible[:, list(ends)].all(dim=1), between, found)
    return torch.where((found > 0) & found.isfinite(), found, torch.nan)


def normalised(
    found: Tensor, points: Tensor, visible: Tensor, ends: tuple[int, int] | None
) -> Tensor:
    """(N,) mean distance of found to true visible points over `lengths`; NaN without a length.

    found, points: (N, P, 2) in pixels; visible: (N, P).
    """
    distances = (found - points).norm(dim=2)
    mean = torch.where(visible, distances, 0.0).sum(dim=1) / visible.sum(dim=1)
    return mean / lengths(points, visible, ends)
