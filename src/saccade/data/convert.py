"""A data set of boxes or points written in another format, pictures and all, outside its folder.

What is written opens again as it was: pictures, parts, boxes in the same order, classes in the same
order (classes.txt says it where a format has none), so that counts and ids are kept.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from saccade.data.dataset import Dataset
from saccade.data.read import header
from saccade.data.writers import WRITERS, Item, points_of, write, write_points
from saccade.errors import SaccadeError
from saccade.files import check_outside
from saccade.types import Example, Field

FORMATS = ("voc", "coco", "yolo", "csv")


@dataclass(frozen=True)
class Converted:
    """What was written: pictures, boxes or points; unreadable pictures that were left out."""

    pictures: int
    annotations: int
    left_out: tuple[str, ...]


def convert(dataset: Dataset, to: str, out: Path) -> Converted:
    """Write `dataset` into the new folder `out`.

    Raises SaccadeError where `out` is not empty or lies in the data's own folder, where the format
    is unknown, or where the data have neither boxes nor points.
    """
    field = _field(dataset, to)
    _check_place(out, dataset)
    items, left_out = _items(dataset, field)
    if not items:
        raise SaccadeError(
            f"{dataset.root}: no picture can be read, so there is nothing to write",
            name="broken-files",
            files=left_out,
        )
    folder = out / ("JPEGImages" if to == "voc" else "images")
    for item in items:
        place = f"{item.part}/{item.name}" if to == "yolo" and item.part else item.name
        write(folder / place, _encoded(dataset, item.example.key))
    if field.kind == "points":
        write_points(items, field, out)
        points = sum(len(points_of(item, field)) for item in items)
        return Converted(len(items), points, tuple(left_out))
    WRITERS[to](items, field.classes, out)
    return Converted(len(items), sum(len(item.objects) for item in items), tuple(left_out))


def _field(dataset: Dataset, to: str) -> Field:
    if to not in FORMATS:
        raise SaccadeError(
            f"--to {to}: no such format; there are {', '.join(FORMATS)}", name="unknown-format"
        )
    placed = [field for field in dataset.fields if field.kind in ("box", "boxes", "points")]
    if not placed:
        raise SaccadeError(
            f"{dataset.root}: has neither boxes nor points, which are what the formats differ in",
            name="nothing-to-convert",
        )
    if placed[0].kind == "points" and to != "csv":
        raise SaccadeError("points are written as a table alone: --to csv", name="unknown-format")
    return placed[0]


def _check_place(out: Path, dataset: Dataset) -> None:
    check_outside(out, dataset.root, "the folder")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SaccadeError(
            f"{out}: is there already; name a new folder", name="exists", files=[str(out)]
        )


def _items(dataset: Dataset, field: Field) -> tuple[list[Item], list[str]]:
    items, left_out = [], []
    names = _names([example.key for example in dataset.examples])
    for name, example in zip(names, dataset.examples, strict=True):
        try:
            width, height = _size(dataset.source.load(example.key))
        except SaccadeError:
            left_out.append(example.key)
            continue
        items.append(Item(name, example, width, height, _objects(example, field)))
    return items, left_out


def _names(keys: Sequence[str]) -> list[str]:
    """A file name for each picture, no two alike but for their endings.

    Its own where it can be, else with its folders, with its ending, with a number.
    """
    bare = [PurePosixPath(key).name.replace("#", "-") for key in keys]
    folders = [key.replace("/", "_").replace("#", "-") for key in keys]
    ended = [f"{PurePosixPath(name).stem}_{PurePosixPath(name).suffix[1:]}" for name in folders]
    found = bare
    for other in (folders, ended, [f"{name}_{place}" for place, name in enumerate(ended)]):
        alike = Counter(_stem(name) for name in found)
        found = [
            name if alike[_stem(name)] == 1 else longer
            for name, longer in zip(found, other, strict=True)
        ]
    endings = [PurePosixPath(name).suffix or ".png" for name in bare]
    return [
        name if PurePosixPath(name).suffix == ending else name + ending
        for name, ending in zip(found, endings, strict=True)
    ]


def _stem(name: str) -> str:
    return PurePosixPath(name).stem.casefold()


def _size(data: bytes | np.ndarray) -> tuple[int, int]:
    if isinstance(data, np.ndarray):
        return data.shape[1], data.shape[0]
    head = header(data)
    return head.width, head.height


def _encoded(dataset: Dataset, key: str) -> bytes:
    """The user's own bytes; pictures from arrays become PNG."""
    data = dataset.source.load(key)
    if isinstance(data, bytes):
        return data
    file = io.BytesIO()
    Image.fromarray(data).save(file, "PNG")
    return file.getvalue()


def _objects(example: Example, field: Field) -> tuple[Any, ...]:
    value = example.target.get(field.name)
    if field.kind == "points" or value is None:
        return ()
    listed = value if isinstance(value, list) else [value] if value["box"] is not None else []
    return tuple((item["label"], tuple(item["box"])) for item in listed)
