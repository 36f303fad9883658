"""Boxes and points as files of every format; `convert` says what and where."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree

import yaml

from saccade.types import Example, Field

PARTS = {"train": "train", "dev": "val", "test": "test"}
"""Our names of parts -> those that the formats use."""

CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True)
class Item:
    """One picture as it is written. objects: class and xyxy; part: "train", "val", "test" or ""."""

    name: str
    example: Example
    width: int
    height: int
    objects: tuple[tuple[str, tuple[float, float, float, float]], ...]

    @property
    def part(self) -> str:
        return "" if self.example.split is None else PARTS[self.example.split]


def write(place: Path, data: bytes) -> None:
    """Into a folder that is made where it is not there."""
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)


def _number(value: float) -> str:
    """Ten digits: a picture of a million pixels wide keeps a thousandth of one."""
    return f"{value:.10g}"


def _write_voc(items: Sequence[Item], classes: Sequence[str], out: Path) -> None:
    parts: dict[str, list[str]] = {}
    for item in items:
        stem = PurePosixPath(item.name).stem
        parts.setdefault(item.part, []).append(stem)
        root = ElementTree.Element("annotation")
        ElementTree.SubElement(root, "folder").text = "JPEGImages"
        ElementTree.SubElement(root, "filename").text = item.name
        size = ElementTree.SubElement(root, "size")
        for side in ("width", "height"):
            ElementTree.SubElement(size, side).text = str(getattr(item, side))
        for label, box in item.objects:
            node = ElementTree.SubElement(root, "object")
            ElementTree.SubElement(node, "name").text = label
            bounds = ElementTree.SubElement(node, "bndbox")
            for corner, value in zip(CORNERS, box, strict=True):
                ElementTree.SubElement(bounds, corner).text = _number(value)
        ElementTree.indent(root)
        write(out / "Annotations" / f"{stem}.xml", ElementTree.tostring(root, "utf-8"))
    for part, stems in parts.items():
        if part:
            place = out / "ImageSets" / "Main" / f"{part}.txt"
            write(place, "".join(f"{stem}\n" for stem in stems).encode())
    _write_classes(classes, out / "classes.txt")


def _write_classes(classes: Sequence[str], place: Path) -> None:
    write(place, "".join(f"{name}\n" for name in classes).encode())


def _write_coco(items: Sequence[Item], classes: Sequence[str], out: Path) -> None:
    """One file for each part; ids of classes count from 1, as COCO's own do."""
    by_part: dict[str, list[Item]] = {}
    for item in items:
        by_part.setdefault(item.part, []).append(item)
    categories = [{"id": place, "name": name} for place, name in enumerate(classes, 1)]
    for part, own in by_part.items():
        annotations: list[dict[str, Any]] = []
        images = [
            {"id": number, "file_name": item.name, "width": item.width, "height": item.height}
            for number, item in enumerate(own, 1)
        ]
        for number, item in enumerate(own, 1):
            for label, (x1, y1, x2, y2) in item.objects:
                box = [float(_number(side)) for side in (x1, y1, x2 - x1, y2 - y1)]
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": number,
                        "category_id": classes.index(label) + 1,
                        "bbox": box,
                        "area": box[2] * box[3],
                        "iscrowd": 0,
                    }
                )
        value = {"images": images, "annotations": annotations, "categories": categories}
        place = out / "annotations" / f"instances{f'_{part}' if part else ''}.json"
        write(place, json.dumps(value, ensure_ascii=False).encode())


def _write_yolo(items: Sequence[Item], classes: Sequence[str], out: Path) -> None:
    """images/PART/a.jpg, labels/PART/a.txt and data.yaml; ids count from 0."""
    for item in items:
        lines = []
        for label, (x1, y1, x2, y2) in item.objects:
            numbers = (
                (x1 + x2) / 2 / item.width,
                (y1 + y2) / 2 / item.height,
                (x2 - x1) / item.width,
                (y2 - y1) / item.height,
            )
            lines.append(" ".join([str(classes.index(label)), *map(_number, numbers)]) + "\n")
        place = out / "labels" / item.part / f"{PurePosixPath(item.name).stem}.txt"
        write(place, "".join(lines).encode())
    parts = list(dict.fromkeys(item.part for item in items))
    settings: dict[str, Any] = {
        part: f"images/{part}" for part in ("train", "val", "test") if part in parts
    }
    if "" in parts:  # whoever reads this has to split it
        settings |= {"train": "images", "val": "images"}
    settings["names"] = dict(enumerate(classes))
    text = yaml.safe_dump(settings, allow_unicode=True, sort_keys=False)
    write(out / "data.yaml", text.encode())


def _write_table(items: Sequence[Item], classes: Sequence[str], out: Path) -> None:
    """boxes.csv: a row for each box; a row with blanks for a picture without one."""
    header_ = ["filename", "width", "height", "class", *CORNERS, "group", "source", "split"]
    rows: list[list[Any]] = []
    for item in items:
        start = [item.name, item.width, item.height]
        end = [item.example.group or "", item.example.source or "", item.part]
        for label, box in item.objects:
            rows.append([*start, label, *map(_number, box), *end])
        if not item.objects:
            rows.append([*start, *[""] * 5, *end])
    _write_rows(header_, rows, out / "boxes.csv")
    _write_classes(classes, out / "classes.txt")


def points_of(item: Item, field: Field) -> list[Any]:
    """[x, y] of each point, None where it is not visible."""
    return list(item.example.target.get(field.name) or [None] * len(field.classes))


def write_points(items: Sequence[Item], field: Field, out: Path) -> None:
    """points.csv: a row for each picture, x_NAME and y_NAME for each point."""
    names = [f"{axis}_{name}" for name in field.classes for axis in "xy"]
    rows = []
    for item in items:
        cells: list[str] = []
        for point in points_of(item, field):
            cells += ["", ""] if point is None else [_number(axis) for axis in point]
        example = item.example
        rows.append([item.name, *cells, example.group or "", example.source or "", item.part])
    _write_rows(["filename", *names, "group", "source", "split"], rows, out / "points.csv")


def _write_rows(names: Sequence[str], rows: Sequence[Sequence[Any]], place: Path) -> None:
    """Columns that are blank throughout are left out, but for those of boxes and points."""
    optional = {"group", "split"}
    used = [
        column
        for column, name in enumerate(names)
        if name not in optional or any(str(row[column]) for row in rows)
    ]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([names[column] for column in used])
    writer.writerows([row[column] for column in used] for row in rows)
    write(place, text.getvalue().encode("utf-8", "surrogateescape"))


WRITERS: Mapping[str, Callable[[Sequence[Item], Sequence[str], Path], None]] = {
    "voc": _write_voc,
    "coco": _write_coco,
    "yolo": _write_yolo,
    "csv": _write_table,
}
