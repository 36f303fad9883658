"""Outlines as masks: polygons and run lengths of COCO files, polygons of YOLO text files.

A class of its own, background, is what lies in no outline. Where outlines overlap the smaller one
lies on top.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from saccade.data.dataset import Dataset, choose_task
from saccade.data.formats import coco, yolo
from saccade.data.formats.finding import Finder, class_names, missing, part_of, part_of_folder
from saccade.data.formats.rows import is_number
from saccade.data.read import header
from saccade.data.tree import Tree
from saccade.errors import SaccadeError
from saccade.ops.outlines import fill
from saccade.types import Example, Field, Notice, Split

BACKGROUND = "background"


@dataclass(frozen=True)
class Shape:
    """One thing. rings: (P, 2) x, y each, in pixels, or shares where `relative`; or run lengths."""

    label: str
    rings: tuple[np.ndarray, ...] = ()
    runs: tuple[int, ...] = ()
    size: tuple[int, int] = (0, 0)
    relative: bool = False


@dataclass(frozen=True)
class Outlines:
    """A source of pictures whose masks are drawn from outlines; a mask's key is its picture's."""

    tree: Tree
    shapes: Mapping[str, Sequence[Shape]]

    def load(self, key: str) -> bytes:
        return self.tree.load(key)

    def mask(self, key: str, classes: Sequence[str]) -> np.ndarray:
        """(H, W) int16 indices into `classes`. Raises SaccadeError naming the picture."""
        head = header(self.tree.load(key))
        table = {name: place for place, name in enumerate(classes)}
        mask = np.full((head.height, head.width), table.get(BACKGROUND, -1), dtype=np.int16)
        drawn = []
        for shape in self.shapes[key]:
            if shape.label not in table:
                raise SaccadeError(
                    f"{key}: class {shape.label!r}; the classes are {', '.join(classes)[:300]}",
                    name="unknown-class",
                    files=[key],
                )
            inside = _inside(shape, key, (head.height, head.width))
            drawn.append((int(inside.sum()), table[shape.label], inside))
        for _, index, inside in sorted(drawn, key=lambda each: -each[0]):
            mask[inside] = index
        return mask

    def present(self, key: str) -> tuple[str, ...]:
        """Names of the classes that a mask holds, the background aside."""
        return tuple(sorted({shape.label for shape in self.shapes[key]}))


def _inside(shape: Shape, key: str, size: tuple[int, int]) -> np.ndarray:
    """(H, W) bool: the pixels of one thing."""
    if shape.runs:
        if shape.size != size:
            raise SaccadeError(
                f"{key}: a mask of run lengths is {shape.size[0]} x {shape.size[1]} pixels (height "
                f"x width), the picture {size[0]} x {size[1]}",
                name="bad-target",
                files=[key],
            )
        return _unrolled(shape.runs, size)
    inside = np.zeros(size, dtype=np.uint8)
    scale = np.array([size[1], size[0]]) if shape.relative else 1.0
    for ring in shape.rings:
        fill(inside, ring * scale, 1)
    return inside > 0


def _unrolled(runs: Sequence[int], size: tuple[int, int]) -> np.ndarray:
    """Lengths of zeros and ones in turn, column by column."""
    values = np.arange(len(runs)) % 2 == 1
    flat = np.repeat(values, runs)[: size[0] * size[1]]
    flat = np.pad(flat, (0, size[0] * size[1] - len(flat)))
    return flat.reshape(size[1], size[0]).T


def decode_runs(text: str) -> tuple[int, ...]:
    """Run lengths of COCO's compressed text: 5 bits a character, differences from the third on."""
    runs: list[int] = []
    place = 0
    while place < len(text):
        value = shift = 0
        more = True
        while more:
            bits = ord(text[place]) - 48
            value |= (bits & 0x1F) << shift
            more = bool(bits & 0x20)
            place += 1
            shift += 5
            if not more and bits & 0x10:
                value |= -1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
    return tuple(runs)


def sniff_coco(tree: Tree) -> int:
    """2 where a COCO file holds outlines: taken where segmentation is asked for."""
    heads = (tree.head(key, 1 << 20) for key in coco.annotation_files(tree))
    return 2 if any(b'"segmentation"' in head for head in heads) else 0


def read_coco(tree: Tree, task: str | None = None) -> Dataset:
    """Pictures of every COCO file with their outlines. Raises SaccadeError naming what is amiss."""
    finder = Finder(tree)
    shapes: dict[str, list[Shape]] = {}
    parts: dict[str, Split | None] = {}
    classes: dict[str, None] = {}
    lost: list[str] = []
    total = 0
    for key in coco.annotation_files(tree):
        data = coco.parse(tree.load(key), key)
        part = part_of(key)
        names = {row["id"]: str(row["name"]) for row in data["categories"]}
        classes |= dict.fromkeys(names[number] for number in sorted(names, key=str))
        total += len(data["images"])
        finder.claim(str(row["file_name"]) for row in data["images"])
        found: dict[Any, list[Shape]] = defaultdict(list)
        for row in data["annotations"]:
            if row.get("segmentation"):
                label = names.get(row.get("category_id"), str(row.get("category_id")))
                found[row.get("image_id")].append(_of_coco(row["segmentation"], label, key))
        for row in data["images"]:
            picture = finder.find(str(row["file_name"]), near=key, part=part)
            if picture is None:
                lost.append(str(row["file_name"]))
                continue
            if parts.get(picture, part) != part:
                # two parts call different pictures by one name: the folder's own one is there
                if part != part_of_folder(picture):
                    lost.append(str(row["file_name"]))
                    continue
                shapes[picture] = []
            shapes.setdefault(picture, []).extend(found[row["id"]])
            parts[picture] = part
    # one part alone may have been fetched
    told = missing(tree, lost, total, most=0.5 if not shapes else 1.0)
    return _dataset(tree, shapes, parts, classes, task, notices=told)


def _of_coco(given: Any, label: str, key: str) -> Shape:
    try:
        if isinstance(given, Mapping):
            runs = given["counts"]
            runs = decode_runs(runs) if isinstance(runs, str) else tuple(map(int, runs))
            if min(runs, default=0) < 0:
                raise ValueError("a negative run length")
            return Shape(label, runs=runs, size=(int(given["size"][0]), int(given["size"][1])))
        rings = [np.array(ring, dtype=float).reshape(-1, 2) for ring in given]
        if not all(np.isfinite(ring).all() for ring in rings):
            raise ValueError("a coordinate is no finite number")
        return Shape(label, tuple(ring for ring in rings if len(ring) > 2))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise SaccadeError(
            f"{key}: an outline of class {label!r} cannot be read ({error}); expected lists of "
            "x, y or run lengths with counts and size",
            name="bad-annotations",
            files=[key],
        ) from error


def sniff_yolo(tree: Tree) -> int:
    """2 where text files beside the pictures hold polygons."""
    if not yolo.sniff(tree):
        return 0
    pictures = list(yolo.pictures_by_part(tree, {}))[: yolo.TRIED]
    heads = (_lines(tree, key) for key in pictures)
    return 2 if any(len(row) > 6 for rows in heads for row in rows) else 0


def _lines(tree: Tree, picture: str) -> list[list[str]]:
    text = yolo.label_file(picture)
    return yolo.read_lines(tree, text, {text} if tree.exists(text) else set())


def read_yolo(tree: Tree, task: str | None = None) -> Dataset:
    """Pictures with YOLO's text files of polygons; boxes among them are rectangles."""
    key = yolo.settings_file(tree)
    settings = yolo.read_settings(tree.load(key), key) if key else {}
    parts = yolo.pictures_by_part(tree, settings)
    names = yolo.names_of(settings) or class_names(tree)
    shapes = {
        picture: [_of_yolo(row, names, picture) for row in _lines(tree, picture) if row]
        for picture in parts
    }
    ids = sorted({shape.label for own in shapes.values() for shape in own}, key=_number)
    return _dataset(tree, shapes, parts, list(names or ids), task)


def _number(label: str) -> tuple[int, str]:
    return (int(label), "") if label.isdecimal() else (0, label)


def _of_yolo(row: Sequence[str], names: Sequence[str] | None, picture: str) -> Shape:
    numbers = [float(word) for word in row[1:] if is_number(word)]
    label = row[0]
    if names is not None and label.isdecimal() and int(label) < len(names):
        label = names[int(label)]
    if len(numbers) in (4, 5):
        x, y, width, height = numbers[:4]
        left, top, right, bottom = x - width / 2, y - height / 2, x + width / 2, y + height / 2
        numbers = [left, top, right, top, right, bottom, left, bottom]
    if len(numbers) < 6 or len(numbers) % 2:
        raise SaccadeError(
            f"{yolo.label_file(picture)}: {len(numbers)} numbers after the class; expected x y of "
            "three points or more",
            name="bad-annotations",
            files=[yolo.label_file(picture)],
        )
    return Shape(label, (np.array(numbers).reshape(-1, 2),), relative=True)


def _dataset(
    tree: Tree,
    shapes: Mapping[str, Sequence[Shape]],
    parts: Mapping[str, Split | None],
    names: Iterable[str],
    task: str | None,
    *,
    notices: Sequence[Notice] = (),
) -> Dataset:
    choose_task(task, ("segmentation",), tree.root)
    classes = tuple(dict.fromkeys([BACKGROUND, *names]))
    examples = [Example(key=key, target={"mask": key}, split=parts[key]) for key in sorted(shapes)]
    count = sum(map(len, shapes.values()))
    return Dataset(
        name=tree.name,
        root=tree.root,
        examples=tuple(examples),
        fields=(Field(name="mask", kind="mask", classes=classes),),
        source=Outlines(tree, shapes),
        notices=(*tree.notices, *notices),
        tasks=("segmentation",),
        reason=f"{count} outlines in {len(examples)} pictures, of {len(classes) - 1} classes",
    )
