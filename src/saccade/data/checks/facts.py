"""What the checks look at, and how their findings are put into words."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from saccade.data.dataset import Dataset
from saccade.data.duplicates import clusters, near_duplicates, worth_searching
from saccade.data.ingest import Ingested
from saccade.data.manifest import plain
from saccade.data.strata import class_names, classes_of, units
from saccade.types import Example, Notice, Severity

SHOWN = 5  # names in a message; a notice's `files` holds all


@dataclass(frozen=True)
class Facts:
    """What the checks look at; row i means the same readable picture everywhere.

    part: (N,) "train", "dev", "test", or "" where none is decided.
    """

    dataset: Dataset
    ingested: Ingested
    part: np.ndarray

    @property
    def images(self) -> dict[str, np.ndarray]:
        return self.ingested.images

    @property
    def keys(self) -> list[str]:
        return [example.key for example in self.dataset.examples]

    @cached_property
    def classes(self) -> list[tuple[str, ...]]:
        return classes_of(self.dataset)

    @cached_property
    def labels(self) -> list[str]:
        """Each example's annotation as text, to compare; of places only what lies there.

        Nobody draws the same box or point twice to the pixel.
        """
        placed = [
            field
            for field in self.dataset.fields
            if field.kind in ("box", "boxes", "points", "mask")
        ]
        told = []
        for example in self.dataset.examples:
            target = dict(example.target)
            for field in placed:
                target[field.name] = sorted(class_names(field, target.get(field.name)))
            told.append(json.dumps(plain(target), sort_keys=True))
        return told

    @cached_property
    def copies(self) -> np.ndarray:
        """(N,) the same number for pictures with the same pixels."""
        ungrouped = [Example(key=key) for key in self.keys]
        return units(ungrouped, self.images)

    @cached_property
    def likenesses(self) -> np.ndarray:
        """(N,) the same number for near-copies; of exact copies only the first takes part."""
        first = np.unique(self.copies, return_index=True)[1]
        searched = worth_searching(self.images)
        searched &= np.isin(np.arange(len(searched)), first)
        pairs = near_duplicates(self.ingested.pixels, self.images["phash"], searched)
        return clusters(pairs, len(searched))

    def training_counts(self) -> Counter[str]:
        """Class -> training examples (all examples where no part is decided)."""
        counts: Counter[str] = Counter({name: 0 for own in self.classes for name in own})
        for own, part in zip(self.classes, self.part.tolist(), strict=True):
            if part in ("train", ""):
                counts.update(own)
        return counts

    def class_order(self) -> list[str]:
        """Every class, in the order of the class tables."""
        kinds = {name for own in self.classes for name in own}
        tables = [
            name
            for field in self.dataset.fields
            for short in field.classes
            for name in (short, f"{field.name}: {short}")
        ]
        known = [name for name in dict.fromkeys(tables) if name in kinds]
        return [*known, *sorted(kinds - set(known))]


def groups_of(numbers: np.ndarray) -> list[list[int]]:
    """Rows with the same number, wherever there are two or more, in order of their first row."""
    order = np.argsort(numbers, kind="stable")
    starts = np.flatnonzero(np.diff(numbers[order])) + 1
    return [rows.tolist() for rows in np.split(order, starts) if len(rows) > 1]


def by_parts(
    facts: Facts, groups: Sequence[Sequence[int]]
) -> tuple[list[Sequence[int]], list[Sequence[int]]]:
    """Groups whose rows lie in several parts, and those within one."""
    crossing = [rows for rows in groups if len({str(facts.part[row]) for row in rows}) > 1]
    within = [rows for rows in groups if len({str(facts.part[row]) for row in rows}) == 1]
    return crossing, within


def grouped(
    facts: Facts, name: str, severity: Severity, groups: Sequence[Sequence[int]], message: str
) -> Notice:
    """A finding on groups of pictures; "{first}" in the message becomes an example."""
    keys = tuple(tuple(facts.keys[row] for row in rows) for rows in groups)
    parts = [str(facts.part[row]) for row in groups[0][:2]]
    told = [
        f"{key} ({part})" if part else key for key, part in zip(keys[0][:2], parts, strict=True)
    ]
    return Notice(
        name=name,
        severity=severity,
        message=message.replace("{first}", "for example " + " and ".join(told)),
        files=tuple(key for own in keys for key in own),
        groups=keys,
    )


def on_pictures(
    facts: Facts, rows: np.ndarray, name: str, severity: Severity, message: str
) -> Iterator[Notice]:
    """A finding on single pictures, none where there are no rows."""
    if len(rows):
        keys = tuple(facts.keys[row] for row in rows.tolist())
        some = f"{some_of(len(keys), 'picture')} ({listed(keys, 2)}): "
        yield Notice(name=name, severity=severity, message=some + message, files=keys)


def pictures(groups: Sequence[Sequence[int]]) -> str:
    """Such as "7 pictures in 3 sets"."""
    count = sum(map(len, groups))
    return f"{some_of(count, 'picture')} in {some_of(len(groups), 'set')}"


def some_of(count: int, noun: str) -> str:
    """Such as "1 class" or "1,200 pictures"."""
    plural = noun + ("es" if noun.endswith("s") else "s")
    return f"{count:,} {noun if count == 1 else plural}"


def listed(names: Sequence[str], shown: int = SHOWN) -> str:
    """Such as "a, b, c and 4 more"."""
    more = f" and {len(names) - shown:,} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
