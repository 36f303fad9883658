"""Small data sets of boxes in every format, written by hand-made writers of a few lines."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIZE = (100, 80)
"""Width, height of every picture."""

Object = tuple[str, tuple[Any, Any, Any, Any]]
"""Class and x1, y1, x2, y2 as they shall be written."""

Pictures = Mapping[str, Sequence[Object]]


def picture(path: Path, *, orientation: int = 1, size: tuple[int, int] = SIZE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = sum(path.name.encode())
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1] // 4, size[0] // 4, 3))
    image = Image.fromarray(pixels.astype(np.uint8)).resize(size)
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(path, exif=exif)


def voc(root: Path, pictures: Pictures) -> Path:
    for name, objects in pictures.items():
        picture(root / "JPEGImages" / f"{name}.jpg")
        rows = "".join(
            f"<object><name>{label}</name><bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin>"
            f"<xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>"
            for label, (x1, y1, x2, y2) in objects
        )
        (root / "Annotations").mkdir(exist_ok=True)
        (root / "Annotations" / f"{name}.xml").write_text(
            f"<annotation><filename>{name}.jpg</filename><size><width>{SIZE[0]}</width>"
            f"<height>{SIZE[1]}</height><depth>3</depth></size>{rows}</annotation>"
        )
    return root


def coco(root: Path, pictures: Pictures, *, first: int = 1, corners: bool = False) -> Path:
    names = list(dict.fromkeys(label for own in pictures.values() for label, _ in own))
    annotations = []
    for image, own in enumerate(pictures.values()):
        for label, (x1, y1, x2, y2) in own:
            box = [x1, y1, x2, y2] if corners else [x1, y1, x2 - x1, y2 - y1]
            annotations.append(
                {"id": len(annotations), "image_id": image, "bbox": box, "iscrowd": 0,
                 "category_id": names.index(label) + first}
            )  # fmt: skip
    for name in pictures:
        picture(root / "images" / f"{name}.jpg")
    images = [
        {"id": image, "file_name": f"{name}.jpg", "width": SIZE[0], "height": SIZE[1]}
        for image, name in enumerate(pictures)
    ]
    categories = [{"id": first + place, "name": name} for place, name in enumerate(names)]
    (root / "instances.json").write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": categories})
    )
    return root


def yolo(root: Path, pictures: Pictures, *, first: int = 0) -> Path:
    names = sorted({label for own in pictures.values() for label, _ in own})
    (root / "labels").mkdir(parents=True)
    width, height = SIZE
    for name, own in pictures.items():
        picture(root / "images" / f"{name}.jpg")
        lines = [
            f"{names.index(label) + first} {(x1 + x2) / 2 / width} {(y1 + y2) / 2 / height} "
            f"{(x2 - x1) / width} {(y2 - y1) / height}"
            for label, (x1, y1, x2, y2) in own
        ]
        (root / "labels" / f"{name}.txt").write_text("\n".join(lines))
    (root / "classes.txt").write_text("\n".join(names))
    return root


def table(root: Path, pictures: Pictures) -> Path:
    lines = ["filename,width,height,class,xmin,ymin,xmax,ymax"]
    for name, own in pictures.items():
        picture(root / "images" / f"{name}.jpg")
        start = f"{name}.jpg,{SIZE[0]},{SIZE[1]}"
        lines += [f"{start},{label},{x1},{y1},{x2},{y2}" for label, (x1, y1, x2, y2) in own]
        lines += [] if own else [f"{start},,,,,"]
    (root / "boxes.csv").write_text("\n".join(lines))
    return root


WRITERS = {"voc": voc, "coco": coco, "yolo": yolo, "csv": table}
