"""The faults: what each changes in the data, the recipe or the finished run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from planted_rows import (
    few,
    few_of_a_kind,
    known_dev,
    leaked,
    marked,
    mismatched,
    mismatched_clean,
    noisy_labels,
    other_card,
    unbalanced,
)
from planted_sets import PooledSet, Row

Rows = Callable[[PooledSet, int, float, Path], list[Row]]
Settings = dict[str, Any]

# a good recipe of each set, short enough for one core
GOOD: dict[str, Settings] = {
    "digits": {"optimizer": "sgd", "epochs": 10, "batch": 32, "lr0": 0.1},
    "fashion": {"optimizer": "sgd", "epochs": 6, "batch": 32, "lr0": 0.08, "imgsz": 20},
    "cifar": {"optimizer": "sgd", "epochs": 10, "batch": 32, "lr0": 0.06, "imgsz": 20},
    "cells": {"optimizer": "sgd", "epochs": 10, "batch": 32, "lr0": 0.1, "imgsz": 20},
}

OTHER = {"digits": "fashion", "fashion": "digits", "cifar": "cells", "cells": "cifar"}
"""The set whose pictures have little to do with a set's own."""

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

    "weights" is "own" or "other": a network that was trained on the half of this set's pictures
    that the rows leave out, or on a set of other things.

    rows     writes the data; its strength is `doses`;  after: changes the finished run
    clean    writes the clean part, where what the network is meant for is not like the pool
    right    further findings that name this fault
    """

    strong: Settings = field(default_factory=dict)
    weak: Settings = field(default_factory=dict)
    doses: tuple[float, float] = (0.0, 0.0)
    rows: Rows | None = None
    clean: Rows | None = None
    after: Callable[[Path, float], None] | None = None
    right: tuple[str, ...] = ()


BARE: Settings = {"model": "lenet5_modern", "model.norm": "none", "imgsz": 32}

DEEP: Settings = {"model": "plain20", "model.norm": "none"}

KINDS: dict[str, Kind] = {
    "underfitting": Kind(strong={"epochs": 1}, weak={"epochs": 2}, right=("stopped-too-soon",)),
    "overfitting": Kind(
        strong={**PLAIN, "fraction": 0.25, "*epochs": 4, "optimizer.schedule": "constant"},
        weak={**PLAIN, "fraction": 0.5, "*epochs": 2},
        right=("too-few-examples",),
    ),
    "data-mismatch": Kind(
        rows=mismatched,
        clean=mismatched_clean,
        doses=(2.0, 0.8),
        right=("preprocessing-mismatch",),
    ),
    "dev-overfitted": Kind(rows=known_dev, doses=(1.0, 0.6), right=("leakage",)),
    "learning-rate-too-high": Kind(  # a schedule that ends at nothing heals most of it
        strong={"*lr0": 100, "optimizer.schedule": "constant"},
        weak={"*lr0": 30, "optimizer.schedule": "constant"},
        right=("exploding-gradients", "dead-units"),
    ),
    "learning-rate-too-low": Kind(strong={"*lr0": 0.002}, weak={"*lr0": 0.02}),
    "unnormalised-input": Kind(  # batch norm behind the first layer heals all of it
        strong={**BARE, "data.mean": 0.0, "data.std": 1 / 255},
        weak={**BARE, "data.mean": 0.0, "data.std": 0.05},
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
        strong={"model": "resnet56", "model.norm": "none", "model.init": "he", "*epochs": 0.4},
        weak={"model": "resnet32", "model.norm": "none", "model.init": "he", "*epochs": 0.6},
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
    "batch-too-small": Kind(
        strong={"batch": 2, "lr0": None, "*epochs": 0.4},
        weak={"batch": 4, "lr0": None, "*epochs": 0.7},
    ),
    "frozen-too-much": Kind(
        strong={"weights": "other", "freeze": "all"},
        weak={"weights": "other", "freeze": 2},
        right=("underfitting",),
    ),
    "frozen-too-little": Kind(
        strong={"weights": "own", "freeze": "none", "*epochs": 3, **PLAIN},
        weak={"weights": "own", "freeze": "none", "*epochs": 2},
        rows=few_of_a_kind,
        doses=(40, 80),
        right=("too-few-examples", "overfitting"),
    ),
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
    {"optimizer": "muon", "lr0": None},
    {"batch": 64, "*lr0": 1.5},
    {"model": "lenet5_modern", "imgsz": 28, "*epochs": 1.5},
    {"dropout": 0.1},
    {"optimizer.ema": 0.95, "*epochs": 1.2},
    {"weights": "own"},
    {"optimizer": "adam", "lr0": 0.001, "*epochs": 1.2},
    {"augment.erase": 0.1, "*epochs": 1.3},
    {"*epochs": 1.5, "lr0": None},
)
"""Good recipes of different kinds."""
