"""Tables of boxes (CSV, TSV): one row for each box, with the picture, four numbers and a class.

The numbers are corners (xmin ymin xmax ymax, x1 y1 x2 y2, left top right bottom) or corner and
size (x y w h, x y width height), in columns of their own or in one as "[x, y, w, h]". A row with
blank numbers says that its picture shows no object.
"""

from __future__ import annotations

import math
import posixpath
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from saccade.data.dataset import Dataset
from saccade.data.formats.annotated import Boxes, build
from saccade.data.formats.finding import class_names, missing, parts_of_tables
from saccade.data.formats.frames import Annotated, Drawn
from saccade.data.formats.rows import Rows, bad, is_number, parse
from saccade.data.formats.table import Paths, cell_of, path_column, split_of, tables
from saccade.data.places import Reading
from saccade.data.tree import Folder, Tree, printable, shown
from saccade.errors import SaccadeError
from saccade.types import Split

_CORNERS = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("x_min", "y_min", "x_max", "y_max"),
    ("x1", "y1", "x2", "y2"),
    ("left", "top", "right", "bottom"),
    ("bbox_xmin", "bbox_ymin", "bbox_xmax", "bbox_ymax"),
)
_SIZES = (  # width and height last: beside w and h they are the picture's
    ("x", "y", "w", "h"),
    ("xmin", "ymin", "w", "h"),
    ("x_min", "y_min", "w", "h"),
    ("x1", "y1", "w", "h"),
    ("left", "top", "w", "h"),
    ("x", "y", "width", "height"),
    ("xmin", "ymin", "width", "height"),
    ("x_min", "y_min", "width", "height"),
    ("x1", "y1", "width", "height"),
    ("left", "top", "width", "height"),
    ("bbox_x", "bbox_y", "bbox_w", "bbox_h"),
    ("bbox_x", "bbox_y", "bbox_width", "bbox_height"),
)
_PACKED = ("bbox", "box", "bounding_box")
_PICTURE = (
    ("image_width", "image_height"),
    ("img_width", "img_height"),
    ("width", "height"),
    ("w", "h"),
)
_LABELS = ("class", "label", "name", "category", "class_name", "label_name", "class_id")


def columns(header: Sequence[str]) -> tuple[Reading, list[int]] | None:
    """What the box columns mean and where they are; None where there are none."""
    names = [name.casefold() for name in header]
    if {"x1", "x2"} <= set(names) and {"x0", "x3"} & set(names):
        return None  # more than two corners: points
    for form, known in ((Reading("xyxy"), _CORNERS), (Reading("xywh"), _SIZES)):
        for own in known:
            if set(own) <= set(names):
                return form, [names.index(name) for name in own]
    return None


def unpacked(rows: Rows) -> Rows:
    """Rows in which four numbers of one cell, "[x, y, w, h]", have columns of their own."""
    names = [name.casefold() for name in rows.header]
    place = next((names.index(name) for name in _PACKED if name in names), None)
    if place is None or columns(rows.header):
        return rows
    found = [_four(cells[place]) for cells in rows.cells]
    if not any(found):
        return rows
    return replace(
        rows,
        header=(*rows.header, "bbox_x", "bbox_y", "bbox_w", "bbox_h"),
        cells=[
            [*cells, *(four or [cells[place].strip()] * 4)]
            for cells, four in zip(rows.cells, found, strict=True)
        ],
    )


def _four(cell: str) -> list[str] | None:
    """The numbers of "[1, 2, 3, 4]", "(1 2 3 4)" or "1;2;3;4"."""
    words = re.split(r"[\s,;]+", cell.strip(" []()"))
    return words if len(words) == 4 and all(map(is_number, words)) else None


def fits(rows: Rows) -> bool:
    return path_column(rows.header) is not None and columns(unpacked(rows).header) is not None


def sniff(tree: Tree) -> int:
    """3 where a table near the root has a column of pictures and four of a box."""
    return 3 if _found(tree) else 0


def _found(tree: Tree) -> list[str]:
    found = []
    for key in tables(tree):
        try:
            rows = parse(tree.head(key, 1 << 16), key, whole=False)
        except SaccadeError:  # no table of boxes; whoever takes it for another says what is wrong
            continue
        found += [key] if fits(rows) else []
    return found


def read(tree: Tree, task: str | None = None) -> Dataset:
    """The table of boxes, or those named after parts (train_labels.csv, test_labels.csv)."""
    found = _found(tree)
    parts = parts_of_tables(tree, found, "boxes")
    rows = {key: unpacked(parse(tree.load(key), key)) for key in parts or found}
    return _read(tree, rows, dict(parts), task)


def read_file(tree: Tree, path: Path, task: str | None = None) -> Dataset:
    """The table at `path`, its pictures below `tree`."""
    rows = unpacked(parse(Folder(path.parent).load(path.name), str(path)))
    return _read(tree, {path.name: rows}, {}, task)


def _read(
    tree: Tree, tables_: dict[str, Rows], parts: dict[str, Split], task: str | None
) -> Dataset:
    pictures: list[Annotated] = []
    lost: list[str] = []
    readings = set()
    for key, rows in tables_.items():
        reading, own, without = _pictures(tree, key, rows, parts.get(key))
        readings.add(reading)
        pictures += own
        lost += without
    if len(readings) != 1:
        raise bad(next(iter(tables_)), "has other box columns than the tables beside it")
    names = class_names(tree)
    seen = {item.label for picture in pictures for item in picture.objects} - {None}
    listed = names if names is not None and seen <= set(names) else None
    found = Boxes(
        pictures=pictures,
        reading=readings.pop(),
        classes=listed,
        reason=f"{shown(list(tables_))} has a row for each box: {len(pictures)} pictures",
        notices=missing(tree, lost, len(lost) + len(pictures)),
    )
    return build(tree, found, task)


def _pictures(
    tree: Tree, where: str, rows: Rows, part: Split | None
) -> tuple[Reading, list[Annotated], list[str]]:
    at, meant = path_column(rows.header), columns(rows.header)
    assert at is not None and meant is not None
    reading, places = meant
    roles = {name.casefold(): place for place, name in enumerate(rows.header)}
    label = next((roles[name] for name in _LABELS if name in roles), None)
    paths = Paths(tree, posixpath.dirname(where) if where in tree.files else "")
    objects: dict[str, list[Drawn]] = defaultdict(list)
    first: dict[str, int] = {}
    lost: dict[str, None] = {}
    for row, (cells, line) in enumerate(zip(rows.cells, rows.lines, strict=True)):
        key = paths.find(cells[at])
        if key is None:
            lost[printable(cells[at])] = None
            continue
        first.setdefault(key, row)
        if any(cells[place].strip() for place in places):
            objects[key].append(_drawn(cells, places, label, line))
    return (
        reading,
        [
            Annotated(
                key=key,
                objects=tuple(objects[key]),
                split=part or split_of(rows.cells[row], roles, rows.lines[row], where),
                size=_size(rows.cells[row], roles, set(places)),
                group=cell_of(rows.cells[row], roles, "group"),
                source=cell_of(rows.cells[row], roles, "source"),
            )
            for key, row in first.items()
        ],
        list(lost),
    )


def _drawn(cells: Sequence[str], places: Sequence[int], label: int | None, line: int) -> Drawn:
    """Without a column of classes every box is an "object"."""
    x, y, right, bottom = (_number(cells[place]) for place in places)
    name = "object" if label is None else cells[label].strip() or None
    return Drawn((x, y, right, bottom), name, f"line {line}")


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan


def _size(
    cells: Sequence[str], roles: dict[str, int], taken: set[int]
) -> tuple[float, float] | None:
    """Width and height of the picture where columns state them."""
    for names in _PICTURE:
        places = [roles[name] for name in names if name in roles]
        if len(places) == 2 and not taken & set(places):
            width, height = (_number(cells[place]) for place in places)
            if width > 0 and height > 0:
                return width, height
    return None
