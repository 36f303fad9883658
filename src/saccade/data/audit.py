"""What is wrong with a data set, and what is in it, before anything is trained on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from saccade.data.checks import classes, copies, pictures
from saccade.data.checks.facts import Facts
from saccade.data.dataset import Dataset
from saccade.data.ingest import Ingested
from saccade.data.manifest import aligned
from saccade.data.splits import PARTS, Splits
from saccade.types import Notice, Severity

Check = Callable[[Facts], Iterable[Notice]]

CHECKS: tuple[Check, ...] = (
    copies.exact_copies,
    copies.conflicting_labels,
    copies.shared_groups,
    copies.near_copies,
    classes.imbalance,
    classes.tiny_classes,
    classes.rare_classes,
    pictures.constant_pictures,
    pictures.wrong_suffixes,
    pictures.mixed_modes,
    pictures.odd_sizes,
)


def audit(
    dataset: Dataset, ingested: Ingested, splits: Splits | np.ndarray | None = None
) -> list[Notice]:
    """Everything worth saying about a data set, worst first.

    Args:
        dataset: as opened, or its readable examples only.
        ingested: its pictures.
        splits: parts of the readable pictures, or (N,) their names alone; None = those that the
            user's files name.

    Returns:
        What the reader noticed, unreadable files, what the split noticed, then each check's
        finding. Files of pairs and groups stand next to each other.
    """
    facts = _facts(dataset, ingested, splits)
    told = [*dataset.notices, *ingested.broken]
    if isinstance(splits, Splits):
        told += splits.notices
    for check in CHECKS:
        told += check(facts)
    return list(worst_first(told))


def worst_first(notices: Iterable[Notice]) -> tuple[Notice, ...]:
    """Each notice once, errors before warnings before what is good to know."""
    ranks: dict[Severity, int] = {"error": 0, "warning": 1, "info": 2}
    return tuple(sorted(dict.fromkeys(notices), key=lambda notice: ranks[notice.severity]))


def summary(
    dataset: Dataset, ingested: Ingested, splits: Splits | np.ndarray | None = None
) -> dict[str, Any]:
    """Counts for the user, as plain JSON values; arguments as `audit`.

    Returns:
        examples (readable ones), broken (unreadable), classes {name: n}, splits {part: {class: n}},
        parts {part: n}, sizes (width and height, each min, median, max; common: the most frequent
        [width, height, n]), modes {mode: n}, and values {target: min, mean, max, missing}.
    """
    facts = _facts(dataset, ingested, splits)
    counts = {part: Counter[str]() for part in PARTS if (facts.part == part).any()}
    for own, part in zip(facts.classes, facts.part.tolist(), strict=True):
        if part in counts:
            counts[part].update(own)
    order = facts.class_order()
    every = Counter(name for own in facts.classes for name in own)
    modes = Counter(map(str, facts.images["mode"].tolist()))
    return {
        "examples": len(facts.dataset),
        "broken": sum(len(notice.files) for notice in ingested.broken),
        "classes": {name: every[name] for name in order},
        "splits": {part: {name: n[name] for name in order} for part, n in counts.items()},
        "parts": {part: int((facts.part == part).sum()) for part in counts},
        "sizes": _sizes(facts),
        "modes": dict(modes.most_common()),
        "values": _values(facts),
    }


def _facts(dataset: Dataset, ingested: Ingested, splits: Splits | np.ndarray | None) -> Facts:
    readable = aligned(dataset, ingested)
    if splits is None:
        part = np.array([example.split or "" for example in readable.examples], dtype="<U5")
    else:
        part = splits.part if isinstance(splits, Splits) else np.asarray(splits)
    assert len(part) == len(readable), "one part per readable picture expected"
    return Facts(readable, ingested, part)


def _sizes(facts: Facts) -> dict[str, Any]:
    columns = {name: facts.images[name].astype(int) for name in ("width", "height")}
    if not len(facts.part):
        return {}
    pairs = Counter(zip(columns["width"].tolist(), columns["height"].tolist(), strict=True))
    told: dict[str, Any] = {
        name: {
            "min": int(column.min()),
            "median": float(np.median(column)),
            "max": int(column.max()),
        }
        for name, column in columns.items()
    }
    told["common"] = [[width, height, n] for (width, height), n in pairs.most_common(5)]
    return told


def _values(facts: Facts) -> dict[str, dict[str, float | int | None]]:
    told: dict[str, dict[str, float | int | None]] = {}
    for field in facts.dataset.fields:
        if field.kind != "values":
            continue
        rows = [
            e.target.get(field.name) or [None] * len(field.classes) for e in facts.dataset.examples
        ]
        table = np.array(rows, dtype=float).reshape(-1, len(field.classes))  # None becomes NaN
        for name, column in zip(field.classes, table.T, strict=True):
            known = column[np.isfinite(column)]
            told[name] = {
                "min": float(known.min()) if len(known) else None,
                "mean": float(known.mean()) if len(known) else None,
                "max": float(known.max()) if len(known) else None,
                "missing": len(column) - len(known),
            }
    return told
