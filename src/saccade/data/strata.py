"""What a fair split keeps in proportion (strata) and what it must not part (units)."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from saccade.data.dataset import Dataset
from saccade.data.duplicates import clusters
from saccade.types import Example, Field

MAX_BINS = 10  # quantile bins of a numeric target
BIN_EXAMPLES = 10  # examples in each bin, at least
CLASSES = frozenset({"label", "labels", "box", "boxes", "identity"})  # kinds with class names
BIN = "\0"  # begins the name of a bin, so that no class can have the same


def units(
    examples: Sequence[Example],
    images: Mapping[str, np.ndarray] | None = None,
    together: np.ndarray | None = None,
) -> np.ndarray:
    """(N,) int64: the same number for examples that have to lie in one part.

    These are members of one group, files with the same bytes or the same pixels, and whatever
    `together`, (M, 2) pairs of positions, links; also by a chain of such links.
    """
    pairs = [] if together is None else [tuple(pair) for pair in np.asarray(together).tolist()]
    columns: list[Sequence[Hashable]] = [[example.group for example in examples]]
    for name in ("sha256", "pixel_hash"):
        if images is not None and name in images:
            assert len(images[name]) == len(examples), "one row of facts per example expected"
            columns.append(images[name].tolist())
    for column in columns:
        first: dict[Hashable, int] = {}
        for row, value in enumerate(column):
            if value not in (None, ""):
                start = first.setdefault(value, row)
                if start != row:
                    pairs.append((start, row))
    return clusters(np.array(pairs, dtype=np.int64).reshape(-1, 2), len(examples))


def strata(dataset: Dataset) -> list[tuple[str, ...]]:
    """For each example what to keep in proportion: its classes and the bins of its numbers.

    Numbers lie in quantile bins, so many that each has at least BIN_EXAMPLES examples; the names
    of bins begin with BIN.
    """
    tags = [list(names) for names in classes_of(dataset)]
    for field in dataset.fields:
        if field.kind == "values":
            _add_bins(tags, field, dataset.examples)
    return [tuple(own) for own in tags]


def classes_of(dataset: Dataset) -> list[tuple[str, ...]]:
    """For each example the names of its classes: "name", or "field: name" if several fields."""
    present = getattr(dataset.source, "present", None)  # masks tell it without being decoded
    kinds = CLASSES if present is None else CLASSES | {"mask"}
    fields = [field for field in dataset.fields if field.kind in kinds]
    several = len(fields) > 1
    tags: list[tuple[str, ...]] = []
    for example in dataset.examples:
        own: list[str] = []
        for field in fields:
            target = example.target.get(field.name)
            if present is not None and field.kind == "mask":
                names = present(target) if isinstance(target, str) else ()
            else:
                names = class_names(field, target)
            own.extend(f"{field.name}: {name}" if several else name for name in names)
        tags.append(tuple(own))
    return tags


def class_names(field: Field, target: Any) -> tuple[str, ...]:
    """The different class names in one annotation, in order of appearance; () where missing."""
    if target is None:
        return ()
    if field.kind in ("label", "identity"):
        return (str(target),)
    if field.kind == "labels":
        return tuple(dict.fromkeys(target))
    objects = [target] if field.kind == "box" else target if field.kind == "boxes" else ()
    named = (item["label"] for item in objects if item.get("label") is not None)
    return tuple(dict.fromkeys(named))


def _add_bins(tags: list[list[str]], field: Field, examples: Sequence[Example]) -> None:
    for column in range(len(field.classes)):
        values = np.array([_number(example.target.get(field.name), column) for example in examples])
        known = np.isfinite(values)
        bins = min(MAX_BINS, int(known.sum()) // BIN_EXAMPLES)
        if bins < 2:
            continue
        edges = np.unique(np.quantile(values[known], np.linspace(0, 1, bins + 1)[1:-1]))
        places = np.searchsorted(edges, values, side="right")
        for own, place, has in zip(tags, places.tolist(), known.tolist(), strict=True):
            own.append(f"{BIN}{field.classes[column]} {place if has else 'missing'}")


def _number(target: Any, column: int) -> float:
    value = None if target is None else target[column]
    return math.nan if value is None else float(value)
