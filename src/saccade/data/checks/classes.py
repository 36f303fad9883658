"""Classes with too few examples, in all or beside the others."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

import numpy as np

from saccade.data import splits
from saccade.data.checks.facts import Facts, listed, some_of
from saccade.data.splits import PARTS
from saccade.types import Notice

TINY = 10  # training examples of a class below which little can be learnt
IMBALANCE = 10  # times that the largest class may be the smallest


def imbalance(facts: Facts) -> Iterator[Notice]:
    """A class with many times the training examples of another."""
    counts = {name: n for name, n in facts.training_counts().items() if n}
    if len(counts) < 2:
        return
    large, small = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
    if counts[large] < IMBALANCE * counts[small]:
        return
    several = any(field.kind != "label" for field in facts.dataset.fields)
    yield Notice(
        name="imbalance",
        severity="info" if several else "warning",
        message=f"class {large!r} has {counts[large]:,} training examples, {small!r} "
        f"{counts[small]:,}, {counts[large] / counts[small]:.0f} times fewer; add pictures of the "
        "small classes, or train with --set data.sampling=balanced",
        files=(large, small),
    )


def tiny_classes(facts: Facts) -> Iterator[Notice]:
    """Classes with so few training examples that little can be learnt."""
    counts = facts.training_counts()
    tiny = [name for name in facts.class_order() if counts[name] < TINY]
    if tiny:
        named = listed([f"{name!r} {counts[name]}" for name in tiny])
        yield Notice(
            name="tiny-class",
            severity="warning",
            message=f"{some_of(len(tiny), 'class')} with fewer than {TINY} training examples "
            f"({named}); add pictures of them or merge classes",
            files=tuple(tiny),
        )


def rare_classes(facts: Facts) -> Iterator[Notice]:
    """Classes that our own split could not put into every part."""
    own = np.array([example.split in (None, "train") for example in facts.dataset.examples])
    parts = [part for part in PARTS if ((facts.part == part) & own).any()]
    counts: Counter[str] = Counter()
    present: dict[str, set[str]] = defaultdict(set)
    for row in np.flatnonzero(own).tolist():
        counts.update(facts.classes[row])
        for name in facts.classes[row]:
            present[name].add(str(facts.part[row]))
    missing = {name: n for name, n in counts.items() if len(present[name]) < len(parts)}
    yield from splits.rare_classes(missing, parts)
