"""Pictures as annotated and as displayed: which way up, and how large, boxes were drawn on.

EXIF: where a file says that its picture is stored turned, the size that the annotation states
tells whether boxes were drawn on the stored or on the displayed picture. Where it cannot tell
(no size stated, or equal sides), they are taken as in the rest of the set, else as displayed.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from saccade.data.places import turn_boxes
from saccade.data.read import MAX_PIXELS, Header, header
from saccade.data.survey import each
from saccade.data.tree import Tree, shown
from saccade.errors import SaccadeError
from saccade.types import Notice, Split

HEAD = 1 << 16


@dataclass(frozen=True)
class Drawn:
    """One box as written. numbers: four, NaN where one is none; place: "object 2", "line 7".

    label: its class, None where none is written; known: False where its id has no name.
    """

    numbers: tuple[float, float, float, float]
    label: str | None
    place: str
    known: bool = True


@dataclass(frozen=True)
class Annotated:
    """One picture and its boxes. size: width, height that the annotation states, None = none."""

    key: str
    objects: tuple[Drawn, ...] = ()
    split: Split | None = None
    size: tuple[float, float] | None = None
    group: str | None = None
    source: str | None = None


def headers_of(tree: Tree, keys: Sequence[str]) -> list[Header | None]:
    """What each file says of its picture; None where it cannot be read, which ingest will name."""

    def look(row: int) -> Header | None:
        try:
            return header(tree.head(keys[row], HEAD), max_pixels=MAX_PIXELS)
        except SaccadeError:  # the size may stand further behind
            pass
        try:
            return header(tree.load(keys[row]), max_pixels=MAX_PIXELS)
        except SaccadeError:
            return None

    return list(each(look, len(keys), os.cpu_count() or 1))


def size_of(head: Header | None) -> tuple[float, float]:
    return (np.nan, np.nan) if head is None else (head.width, head.height)


def _stored(head: Header) -> tuple[int, int]:
    return (head.height, head.width) if head.turned > 4 else (head.width, head.height)


def frame_of(
    picture: Annotated, head: Header | None, turned: bool
) -> tuple[float, float] | tuple[int, int]:
    """Width, height of what the boxes were drawn on: as stated, else of the picture itself."""
    if picture.size is not None:
        return picture.size
    if head is None:
        return np.nan, np.nan
    return _stored(head) if turned else (head.width, head.height)


def orientations(
    pictures: Sequence[Annotated], headers: Sequence[Header | None]
) -> tuple[list[bool], list[Notice]]:
    """Of each picture whether its boxes lie on the stored one and have to be turned."""
    votes: list[bool | None] = []
    for picture, head in zip(pictures, headers, strict=True):
        vote: bool | None = None
        if picture.size is not None and head is not None and head.turned > 4:
            shown_size, stored = (head.width, head.height), _stored(head)
            if shown_size != stored and picture.size in (shown_size, stored):
                vote = picture.size == stored
        votes.append(vote)
    counts = Counter(vote for vote in votes if vote is not None)
    usual = counts[True] > counts[False]
    turned = [
        head is not None and head.turned > 1 and (usual if vote is None else vote)
        for vote, head in zip(votes, headers, strict=True)
    ]
    files = [picture.key for picture, own in zip(pictures, turned, strict=True) if own]
    message = (
        f"{len(files)} pictures are stored turned (EXIF) and were annotated as stored: "
        f"{shown(files)}; their boxes are turned along"
    )
    notice = Notice(name="boxes-turned", severity="info", message=message, files=tuple(files))
    return turned, [notice] if files else []


def to_displayed(
    boxes: np.ndarray,
    rows: np.ndarray,
    pictures: Sequence[Annotated],
    headers: Sequence[Header | None],
    turned: Sequence[bool],
    frames: np.ndarray,
) -> tuple[np.ndarray, list[Notice]]:
    """Boxes of annotated pictures -> of displayed ones: turned, and scaled where sizes differ."""
    boxes, scaled, odd = boxes.copy(), [], []
    starts = np.searchsorted(rows, np.arange(len(pictures) + 1))
    for row, (picture, head) in enumerate(zip(pictures, headers, strict=True)):
        if head is None:
            continue
        own = slice(starts[row], starts[row + 1])
        stored = _stored(head) if turned[row] else (head.width, head.height)
        if picture.size is not None and picture.size != stored:
            factors = np.array(stored) / frames[row]
            if abs(factors[0] / factors[1] - 1) <= 0.01:
                boxes[own] *= np.tile(factors, 2)
                scaled.append(picture.key)
            else:
                odd.append(picture.key)
        if turned[row]:
            boxes[own] = turn_boxes(boxes[own], head.turned, stored)
    return boxes, [
        *_notice("annotated-at-other-size", scaled, "were annotated at another size; their boxes "
                 "are scaled along"),
        *_notice("size-mismatch", odd, "have other sides than their annotations say; their boxes "
                 "are taken as pixels of the picture, look at some"),
    ]  # fmt: skip


def _notice(name: str, keys: list[str], what: str) -> Iterable[Notice]:
    if keys:
        message = f"{len(keys)} pictures {what}: {shown(keys)}"
        yield Notice(name=name, severity="warning", message=message, files=tuple(keys))
