"""From pictures with boxes, as any format tells them, to a data set in displayed pixels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from saccade.data.dataset import Dataset, choose_task, ordered
from saccade.data.formats import faults
from saccade.data.formats.finding import part_of_folder
from saccade.data.formats.frames import (
    Annotated,
    frame_of,
    headers_of,
    orientations,
    size_of,
    to_displayed,
)
from saccade.data.places import Reading, corners, guess
from saccade.data.read import Header
from saccade.data.tree import Tree, shown
from saccade.errors import SaccadeError
from saccade.types import Example, Field, FieldKind, Notice

FIELD = "objects"
MOSTLY = 0.75
"""Share of pictures with at most one object from which localization fits as well."""


@dataclass(frozen=True)
class Boxes:
    """What a reader found. classes: in index order, where the format has an order; else None."""

    pictures: Sequence[Annotated]
    reading: Reading
    classes: tuple[str, ...] | None
    reason: str
    notices: Sequence[Notice] = ()


def build(tree: Tree, found: Boxes, task: str | None) -> Dataset:
    """Judge every box and make the data set.

    Fitting are detection (field kind "boxes"), and localization ("box") where nearly every picture
    has at most one object; of several the largest is taken then. Raises SaccadeError "bad-boxes"
    where no box is usable.
    """
    pictures, repeated = _merged(found.pictures)
    if not pictures:
        raise SaccadeError(
            f"{tree.root}: the annotations name no picture that is there",
            name="missing-files",
            files=[tree.root],
        )
    headers = headers_of(tree, [picture.key for picture in pictures])
    boxes, told = _placed(pictures, headers, found)
    notices = [*tree.notices, *found.notices, *repeated, *told]
    kept = [len(own) for own in boxes]
    if not sum(kept):
        reasons = "; ".join(notice.message for notice in told) or "there are none"
        raise SaccadeError(f"{tree.root}: not one box is usable: {reasons}", name="bad-boxes",
                           files=[picture.key for picture in pictures[:20]])  # fmt: skip
    classes = found.classes or _classes(pictures, boxes)
    single = float(np.mean([count <= 1 for count in kept]))
    tasks = ("detection", "localization") if single >= MOSTLY else ("detection",)
    chosen = choose_task(task, tasks, tree.root)
    kind: FieldKind = "box" if chosen == "localization" else "boxes"
    if kind == "box":
        notices += _several(pictures, kept)
    examples = tuple(
        Example(
            key=picture.key,
            target={FIELD: _largest(own) if kind == "box" else own},
            split=picture.split,
            group=picture.group,
            source=picture.source,
        )
        for picture, own in zip(pictures, boxes, strict=True)
    )
    return Dataset(
        name=tree.name,
        root=tree.root,
        examples=examples,
        fields=(Field(name=FIELD, kind=kind, classes=classes),),
        source=tree,
        notices=tuple([*notices, *_strangers(examples, boxes)]),
        tasks=tasks,
        reason=_reason(found, task, single, kept),
    )


def _reason(found: Boxes, task: str | None, single: float, kept: list[int]) -> str:
    if task is not None:
        return f"the task {task} was asked for"
    also = "; with at most one object in a picture, --task localization fits too"
    return f"{found.reason} with {sum(kept)} boxes" + (also if single == 1 else "")


def _merged(pictures: Sequence[Annotated]) -> tuple[list[Annotated], list[Notice]]:
    """Pictures that are told of several times, as one."""
    merged: dict[str, Annotated] = {}
    repeated: list[str] = []
    pictures, strange = _of_own_part(pictures)
    for picture in pictures:
        before = merged.get(picture.key)
        if before is not None:
            repeated.append(picture.key)
            picture = replace(before, objects=before.objects + picture.objects)
        merged[picture.key] = picture
    message = (
        f"{len(repeated)} pictures are annotated more than once: {shown(repeated)}; their boxes "
        "are taken together"
    )
    notice = Notice(
        name="repeated-picture", severity="warning", message=message, files=tuple(repeated)
    )
    return [merged[key] for key in sorted(merged)], [*strange, *([notice] if repeated else [])]


def _of_own_part(pictures: Sequence[Annotated]) -> tuple[list[Annotated], list[Notice]]:
    """Without annotations of another part than that of the folder the picture was found in.

    Only where both parts claim the picture: two parts may call different pictures by one name, of
    which one is not there.
    """
    parts: dict[str, set[Any]] = defaultdict(set)
    for picture in pictures:
        parts[picture.key].add(picture.split)
    kept, strange = [], []
    for picture in pictures:
        folder = part_of_folder(picture.key)
        if folder in parts[picture.key] and picture.split not in (None, folder):
            strange.append(picture.key)
        else:
            kept.append(picture)
    message = (
        f"{len(strange)} annotations name pictures that are only there in the folder of another "
        f"part, where they have annotations of their own: {shown(strange)}; they are left out"
    )
    notice = Notice(
        name="picture-of-another-part", severity="warning", message=message, files=tuple(strange)
    )
    return kept, [notice] if strange else []


def _placed(
    pictures: Sequence[Annotated], headers: Sequence[Header | None], found: Boxes
) -> tuple[list[list[dict[str, Any]]], list[Notice]]:
    """The usable boxes of each picture in displayed pixels, and what was noticed."""
    turned, told = orientations(pictures, headers)
    frames = np.array(
        [frame_of(*each) for each in zip(pictures, headers, turned, strict=True)], dtype=np.float64
    ).reshape(-1, 2)
    drawn = [(row, item) for row, picture in enumerate(pictures) for item in picture.objects]
    rows = np.array([row for row, _ in drawn], dtype=np.int64)
    numbers = np.array([item.numbers for _, item in drawn], dtype=np.float64).reshape(-1, 4)
    with np.errstate(invalid="ignore", over="ignore"):
        reading = guess(numbers, frames[rows], found.reading)
        boxes = corners(numbers, frames[rows], reading)
    if reading != found.reading:
        told.append(_mixed_up(found.reading, reading, [picture.key for picture in pictures]))
    boxes, rescaled = to_displayed(boxes, rows, pictures, headers, turned, frames)
    sizes = np.array([size_of(each) for each in headers], dtype=np.float64).reshape(-1, 2)
    judged = faults.judge(
        boxes,
        sizes[rows],
        sized=reading.form != "xyxy",
        nameless=np.array([item.label is None for _, item in drawn], dtype=bool),
        strange=np.array([not item.known for _, item in drawn], dtype=bool),
    )
    keys = [pictures[row].key for row in rows.tolist()]
    told += rescaled + faults.notices(judged, keys, [item.place for _, item in drawn])
    usable: list[list[dict[str, Any]]] = [[] for _ in pictures]
    for index in np.flatnonzero(judged.kept).tolist():
        row, item = drawn[index]
        usable[row].append({"box": judged.boxes[index].tolist(), "label": item.label})
    return usable, told


def _mixed_up(stated: Reading, found: Reading, keys: list[str]) -> Notice:
    return Notice(
        name="box-format-guessed",
        severity="warning",
        message=f"the boxes make no sense as {stated}, as this format has them; they are read as "
        f"{found}, which fits their pictures: look at some of them",
        files=tuple(keys[:20]),
    )


def _classes(
    pictures: Sequence[Annotated], boxes: Sequence[list[dict[str, Any]]]
) -> tuple[str, ...]:
    """In alphabetical order where the format has none, as class folders."""
    return ordered(item["label"] for own in boxes for item in own)


def _strangers(
    examples: Sequence[Example], boxes: Sequence[list[dict[str, Any]]]
) -> Iterable[Notice]:
    """Classes that other parts have and training lacks: measured there, never learned."""
    parts = [example.split in (None, "train") for example in examples]
    learned = {
        item["label"] for own, ours in zip(boxes, parts, strict=True) if ours for item in own
    }
    lost: dict[str, list[str]] = {}
    for example, own in zip(examples, boxes, strict=True):
        for item in own:
            if learned and item["label"] not in learned:
                lost.setdefault(item["label"], []).append(example.key)
    if lost:
        files = tuple(dict.fromkeys(key for keys in lost.values() for key in keys))
        yield Notice(
            name="class-not-in-training",
            severity="warning",
            message=f"no training picture shows {', '.join(sorted(lost))}, other parts do; "
            "they cannot be found there",
            files=files,
        )


def _several(pictures: Sequence[Annotated], kept: Sequence[int]) -> Iterable[Notice]:
    files = [picture.key for picture, count in zip(pictures, kept, strict=True) if count > 1]
    if files:
        yield Notice(
            name="several-objects",
            severity="warning",
            message=f"{len(files)} pictures show more than one object ({shown(files)}); "
            "localization means one, the largest: --task detection finds all",
            files=tuple(files),
        )


def _largest(objects: list[dict[str, Any]]) -> dict[str, Any]:
    """The target of a `box` field: the largest object, or that there is none."""

    def area(item: dict[str, Any]) -> float:
        x1, y1, x2, y2 = item["box"]
        return float((x2 - x1) * (y2 - y1))

    return max(objects, key=area) if objects else {"box": None, "label": None}
