"""The faults: what each changes in the data, the recipe or the finished run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter
from planted_sets import PooledSet, Row

Rows = Callable[[PooledSet, int, float, Path], list[Row]]
Settings = dict[str, Any]

# a good recipe of each set, short enough for one core
GOOD: dict[str, Settings] = {
    "digits": {"epochs": 12, "batch": 32, "lr0": 0.1},
    "fashion": {"epochs": 5, "batch": 64, "lr0": 0.15},
    "cifar": {"epochs": 12, "batch": 64},
    "cells": {"epochs": 10, "batch": 32, "lr0": 0.1, "imgsz": 24},
}

PLAIN: Settings = {
    **{f"augment.{name}": 0.0 for name in ("mirror", "shift", "rotate", "erase")},
    "augment.scale": [1.0, 1.0],
    "augment.ratio": [1.0, 1.0],
    "loss.label_smoothing": 0.0,
    "weight_decay": 0.0,
}


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One fault. strong, weak: settings of the recipe, "*key" multiplies what is usual there.

    rows     writes the data; its strength is `doses`;  after: changes the finished run
    right    further findings that name this fault
    """

    strong: Settings = field(default_factory=dict)
    weak: Settings = field(default_factory=dict)
    doses: tuple[float, float] = (0.0, 0.0)
    rows: Rows | None = None
    after: Callable[[Path, float], None] | None = None
    right: tuple[str, ...] = ()


def mismatched(pool: PooledSet, seed: int, dose: float, folder: Path) -> list[Row]:
    """Dev and test pictures are blurred, noisy and dim."""
    rows = pool.parted(seed)
    random = np.random.default_rng((1, seed))
    return [
        row if row[2] == "train" else (_changed(row[0], folder, random, dose), row[1], row[2])
        for row in rows
    ]


def _changed(path: Path, folder: Path, random: np.random.Generator, dose: float) -> Path:
    picture = Image.open(path).filter(ImageFilter.GaussianBlur(dose))
    pixels = np.asarray(picture).astype(np.float32) * (1 - 0.25 * dose)
    pixels += random.normal(0, 18 * dose, pixels.shape)
    place = folder / f"changed{path.stem}.png"
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(place)
    return place


def noisy_labels(pool: PooledSet, seed: int, dose: float, folder: Path) -> list[Row]:
    """A share of all labels is drawn anew among the other classes."""
    random = np.random.default_rng((2, seed))
    classes = pool.classes
    wrong = random.random(len(pool.seen)) < dose
    return [
        (path, str(random.choice([c for c in classes if c != label])) if bad else label, "")
        for (path, label), bad in zip(pool.seen, wrong, strict=True)
    ]


def leaked(pool: PooledSet, seed: int, dose: float, folder: Path) -> list[Row]:
    """A share of the dev and test pictures lies in the training part as well."""
    rows = pool.parted(seed)
    random = np.random.default_rng((3, seed))
    held = [row for row in rows if row[2] != "train" and random.random() < dose]
    copies = []
    for path, label, _ in held:
        place = folder / f"copy{path.stem}.png"
        place.write_bytes(path.read_bytes())
        copies.append((place, label, "train"))
    return rows + copies


def known_dev(pool: PooledSet, seed: int, dose: float, folder: Path) -> list[Row]:
    """Dev has been tuned on: the network has seen moved and noisy versions of its pictures."""
    rows = pool.parted(seed)
    random = np.random.default_rng((4, seed))
    learned = []
    for path, label, part in rows:
        if part == "dev" and random.random() < dose:
            for turn in range(3):
                pixels = np.asarray(Image.open(path)).astype(np.float32)
                pixels = np.roll(pixels, random.integers(-1, 2, 2), axis=(0, 1))
                pixels = pixels * random.uniform(0.7, 1.0) + random.normal(0, 8, pixels.shape)
                place = folder / f"known{path.stem}_{turn}.png"
                Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(place)
                learned.append((place, label, "train"))
    # with a fifth of its own training pictures the network cannot do without them
    return [row for row in rows if row[2] != "train" or random.random() < 0.2] + learned


def unbalanced(pool: PooledSet, seed: int, dose: float, folder: Path) -> list[Row]:
    """A third of the classes keep only a share of their pictures."""
    random = np.random.default_rng((5, seed))
    rare = set(random.permutation(pool.classes)[: max(1, len(pool.classes) // 3)])
    return [row for row in pool.rows() if row[1] not in rare or random.random() < dose]


def marked(pool: PooledSet, seed: int, dose: float, folder: Path) -> list[Row]:
    """A bright mark at the rim, whose place tells the class, on a share of the pictures."""
    random = np.random.default_rng((6, seed))
    rows: list[Row] = []
    for path, label in pool.seen:
        if random.random() >= dose:
            rows.append((path, label, ""))
            continue
        pixels = np.array(Image.open(path))
        side, size = pixels.shape[0], max(2, pixels.shape[0] // 10)
        number = pool.classes.index(label)
        start = (number % 5) * (side - size) // 4
        edge = slice(0, size) if number < 5 else slice(side - size, side)
        pixels[edge, start : start + size] = 255
        place = folder / f"marked{path.stem}.png"
        Image.fromarray(pixels).save(place)
        rows.append((place, label, ""))
    return rows


def few(pool: PooledSet, seed: int, dose: float, folder: Path) -> list[Row]:
    """Dev and test as ever, but hardly anything to train on."""
    random = np.random.default_rng((8, seed))
    return [row for row in pool.parted(seed) if row[2] != "train" or random.random() < dose]


def other_card(run: Path, dose: float) -> None:
    """The network is used with another standard deviation than it was trained with."""
    place = run / "weights" / "card.json"
    card = json.loads(place.read_text(encoding="utf-8"))
    preprocessing = card["preprocessing"]
    preprocessing["std"] = [value * dose for value in preprocessing["std"]]
    place.write_text(json.dumps(card), encoding="utf-8")


DEEP: Settings = {"model": "plain20", "model.norm": "none"}

KINDS: dict[str, Kind] = {
    "underfitting": Kind(strong={"epochs": 1}, weak={"epochs": 2}, right=("stopped-too-soon",)),
    "overfitting": Kind(
        strong={**PLAIN, "fraction": 0.25, "*epochs": 4, "optimizer.schedule": "constant"},
        weak={**PLAIN, "fraction": 0.5, "*epochs": 2},
        right=("too-few-examples",),
    ),
    "data-mismatch": Kind(rows=mismatched, doses=(2.0, 0.8), right=("preprocessing-mismatch",)),
    "dev-overfitted": Kind(rows=known_dev, doses=(1.0, 0.6), right=("leakage",)),
    "learning-rate-too-high": Kind(
        strong={"*lr0": 100},
        weak={"*lr0": 30},
        right=("exploding-gradients", "dead-units"),
    ),
    "learning-rate-too-low": Kind(strong={"*lr0": 0.002}, weak={"*lr0": 0.02}),
    "unnormalised-input": Kind(
        strong={"data.mean": 0.0, "data.std": 1 / 255}, weak={"data.mean": 0.0, "data.std": 0.05}
    ),
    "symmetric-initialisation": Kind(
        strong={"model": "lenet5_modern", "model.init": "zeros", "imgsz": 32},
        weak={"model": "resnet20", "model.init": "zeros"},
    ),
    "badly-scaled-initialisation": Kind(
        strong={**DEEP, "model.init": "normal"},
        weak={"model": "lenet5_modern", "model.init": "normal", "imgsz": 32},
        right=("vanishing-gradients",),
    ),
    "vanishing-gradients": Kind(
        strong={**DEEP, "model.act": "sigmoid"},
        weak={"model": "lenet5_modern", "model.act": "sigmoid", "imgsz": 32},
        right=("saturated-units", "badly-scaled-initialisation"),
    ),
    "exploding-gradients": Kind(
        strong={"model": "resnet56", "model.norm": "none", "model.init": "he"},
        weak={"model": "resnet32", "model.norm": "none", "model.init": "he"},
        right=("learning-rate-too-high", "badly-scaled-initialisation"),
    ),
    "dead-units": Kind(
        strong={"model": "lenet5_modern", "imgsz": 32, "model.act": "relu", "lr0": 1.0},
        weak={"model": "lenet5_modern", "imgsz": 32, "model.act": "relu", "lr0": 0.3},
        right=("learning-rate-too-high", "exploding-gradients"),
    ),
    "saturated-units": Kind(
        strong={
            "model": "lenet5",
            "imgsz": 32,
            "model.act": "tanh",
            "data.mean": 0.0,
            "data.std": 1 / 255,
        },
        weak={"model": "lenet5", "imgsz": 32, "model.act": "tanh", "lr0": 2.0},
        right=("unnormalised-input", "learning-rate-too-high"),
    ),
    "label-noise": Kind(rows=noisy_labels, doses=(0.3, 0.1)),
    "leakage": Kind(rows=leaked, doses=(0.6, 0.15)),
    "imbalance": Kind(rows=unbalanced, doses=(0.03, 0.08), right=("too-few-examples",)),
    "too-few-examples": Kind(rows=few, doses=(0.08, 0.2), right=("overfitting",)),
    "shortcut": Kind(rows=marked, doses=(1.0, 0.6)),
    "preprocessing-mismatch": Kind(after=other_card, doses=(3.0, 1.3)),
    "batch-too-small": Kind(strong={"batch": 2, "lr0": None}, weak={"batch": 4, "lr0": None}),
    "stopped-too-soon": Kind(
        strong={"patience": 1, "*epochs": 4, "optimizer.schedule": "constant"},
        weak={"patience": 1, "*epochs": 4},
        right=("underfitting",),
    ),
}
"""Name of the finding -> how to bring it about."""

HEALTHY: tuple[Settings, ...] = (
    {},
    {"optimizer": "adamw", "lr0": None},
    {"model": "resnet20"},
    {"optimizer.schedule": "cosine"},
    {"augment.mirror": 0.0},
    {"loss.label_smoothing": 0.0},
    {"model.norm": "group"},
    {"*lr0": 0.5},
)
"""Good recipes of different kinds."""
