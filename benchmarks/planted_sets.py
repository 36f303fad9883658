"""Data sets in which faults are planted: small pictures in a pool, tables that name them.

A set is a pool of PNGs with their labels, in a fixed random order. The last of them are the clean
part: neither a training nor a diagnosis ever sees those.
"""

from __future__ import annotations

import csv
import gzip
import io
import os
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"

Row = tuple[Path, str, str]
"""Picture, label, part ("" = saccade splits)."""


@dataclass(frozen=True)
class PooledSet:
    """A set on disk. seen: used for training; clean: for the last word."""

    name: str
    folder: Path
    seen: tuple[tuple[Path, str], ...]
    clean: tuple[tuple[Path, str], ...]

    @property
    def classes(self) -> list[str]:
        return sorted({label for _, label in self.seen})

    def rows(self) -> list[Row]:
        return [(path, label, "") for path, label in self.seen]

    def parted(self, seed: int, dev: float = 0.2, test: float = 0.2) -> list[Row]:
        """The same rows with parts of our own."""
        order = np.random.default_rng((11, seed)).permutation(len(self.seen))
        part = np.empty(len(order), dtype=object)
        first, second = round(dev * len(order)), round((dev + test) * len(order))
        part[:] = "train"
        part[order[:first]], part[order[first:second]] = "dev", "test"
        return [(path, label, part[n]) for n, (path, label) in enumerate(self.seen)]


def write_table(rows: list[Row], place: Path) -> Path:
    """A CSV beside which saccade finds the pictures."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        parted = any(part for _, _, part in rows)
        writer.writerow(["path", "label", *(["split"] if parted else [])])
        for path, label, part in rows:
            shown = os.path.relpath(path, place.parent)
            writer.writerow([shown, label, *([part] if parted else [])])
    return place


def _digits() -> Iterator[tuple[Image.Image, str]]:
    from sklearn.datasets import load_digits

    found = load_digits()
    for pixels, label in zip(found.images, found.target, strict=True):
        yield Image.fromarray((pixels * 15.9375).astype(np.uint8)), str(label)


FASHION = "top trouser pullover dress coat sandal shirt sneaker bag boot".split(" ")  # noqa: SIM905


def _fashion() -> Iterator[tuple[Image.Image, str]]:
    folder = SHARED / "fashion-mnist"
    with gzip.open(folder / "train-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28)
    with gzip.open(folder / "train-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    for pixels, label in zip(images, labels, strict=True):
        yield Image.fromarray(pixels), FASHION[label]


def _cifar() -> Iterator[tuple[Image.Image, str]]:
    with zipfile.ZipFile(SHARED / "cifar10-jpg" / "train.zip") as archive:
        for name in sorted(archive.namelist()):
            if name.endswith((".jpg", ".jpeg", ".png")):
                picture = Image.open(io.BytesIO(archive.read(name)))
                yield picture.convert("RGB"), Path(name).parent.name


def _cells() -> Iterator[tuple[Image.Image, str]]:
    """Blood cells cut out of the photographs of bccd by their boxes."""
    folder = SHARED / "bccd"
    kept = {"RBC": 0, "WBC": 0, "Platelets": 0}
    for place in sorted((folder / "Annotations").glob("*.xml")):
        picture = Image.open(folder / "JPEGImages" / f"{place.stem}.jpg").convert("RGB")
        for thing in ET.parse(place).getroot().iter("object"):
            label = thing.findtext("name", "")
            box = [int(thing.findtext(f"bndbox/{key}", "0")) for key in _CORNERS]
            if min(box[2] - box[0], box[3] - box[1]) < 12 or kept[label] >= 700:
                continue
            kept[label] += 1
            yield picture.crop(tuple(box)).resize((40, 40)), label


_CORNERS = ("xmin", "ymin", "xmax", "ymax")

SETS: dict[str, tuple[Callable[[], Iterator[tuple[Image.Image, str]]], int, int]] = {
    "digits": (_digits, 1297, 500),
    "fashion": (_fashion, 2600, 1400),
    "cifar": (_cifar, 2600, 1400),
    "cells": (_cells, 1050, 350),
}
"""Name -> pictures, number seen, number clean."""


def halved(name: str, seed: int) -> str:
    """Thresholds are set on the "fit" half of sets and seeds, and judged on the "measured" one."""
    return ("fit", "measured")[(list(SETS).index(name) + seed) % 2]


def make_set(name: str, work: Path) -> PooledSet:
    """The set in `work`, written on the first call."""
    pictures, seen, clean = SETS[name]
    folder = work / "sets" / name
    if not (folder / "done").is_file():
        _write_pool(list(pictures()), seen + clean, folder)
    with (folder / "pool.csv").open(encoding="utf-8") as file:
        rows = [(folder / row["path"], row["label"]) for row in csv.DictReader(file)]
    return PooledSet(name, folder, tuple(rows[:seen]), tuple(rows[seen : seen + clean]))


def _write_pool(found: list[tuple[Image.Image, str]], count: int, folder: Path) -> None:
    (folder / "pool").mkdir(parents=True, exist_ok=True)
    order = np.random.default_rng(7).permutation(len(found))[:count]
    with (folder / "pool.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label"])
        for number, place in enumerate(order):
            picture, label = found[place]
            picture.save(folder / "pool" / f"{number}.png")
            writer.writerow([f"pool/{number}.png", label])
    (folder / "done").write_text("", encoding="utf-8")
