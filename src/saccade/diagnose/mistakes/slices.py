"""Where the errors lie: for every tag and slice its share of the errors, and the ceiling.

The ceiling is the error that would be left if every picture of the slice were right: what working
on it can gain at best.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from saccade.diagnose.mistakes.table import MistakeTable, Row
from saccade.ops.intervals import bootstrap, wilson
from saccade.types import Measure

CONFUSIONS = 10
"""Pairs of true and predicted class that are told, the most frequent ones."""


@dataclass(frozen=True, kw_only=True)
class Slice:
    """Some of the pictures. kind: tag (a person's), trait, class, confusion, source.

    examples  pictures of the slice; of a person's tag, tagged ones among those looked at
    mistakes  wrong ones among them
    looked    mistakes the share stands on: all, or those a person has looked at
    share     of the error, 0..1, with its interval
    ceiling   error left at best, with the interval of the share
    error     error inside the slice, NaN for a person's tag
    """

    kind: str
    name: str
    examples: int
    mistakes: int
    looked: int
    share: Measure
    ceiling: Measure
    error: float

    def sentence(self, now: float, *, percent: bool) -> str:
        """Such as: all foggy right: 10.0 % -> 6.1 % at best."""
        before, after = (_told(value, percent) for value in (now, self.ceiling.value))
        return f"all {self.name} right: {before} -> {after} at best"

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        values = {**vars(self), "share": vars(self.share), "ceiling": vars(self.ceiling)}
        return dict(values)


def automatic_slices(table: MistakeTable) -> list[Slice]:
    """By automatic tag, true class, source and confusion; the largest share first."""
    rows = table.everything
    found = [
        _slice(table, "trait", name, [name in row.traits for row in rows])
        for name in dict.fromkeys(name for row in rows for name in row.traits)
    ]
    found += [
        _slice(table, "class", name, [row.key in keys for row in rows])
        for name, keys in table.members.items()
    ]
    sources = sorted({row.source for row in rows} - {""})
    found += [
        _slice(table, "source", name, [row.source == name for row in rows]) for name in sources
    ]
    return _ranked([*found, *_confusions(table)])


def tag_slices(
    table: MistakeTable, tags: Mapping[str, Iterable[str]], looked: Iterable[str]
) -> list[Slice]:
    """By a person's tags. tags: tag -> keys;  looked: keys of mistakes that were looked at."""
    seen = set(looked)
    base = [row for row in table.wrong_shown if row.key in seen]
    found = []
    for name, keys in tags.items():
        own = set(keys)
        inside = np.array([row.key in own for row in base], dtype=bool)
        found.append(_measured(table, "tag", name, base, inside, error=float("nan")))
    return _ranked(found)


def _slice(table: MistakeTable, kind: str, name: str, belongs: Sequence[bool]) -> Slice:
    inside = np.array(belongs, dtype=bool)
    error = float(table.errors[inside].mean()) if inside.any() else float("nan")
    return _measured(table, kind, name, table.everything, inside, error=error)


def _measured(
    table: MistakeTable,
    kind: str,
    name: str,
    rows: Sequence[Row],
    inside: np.ndarray,
    *,
    error: float,
) -> Slice:
    """Of tagged `rows`, the share is taken to hold for all mistakes of the part."""
    errors = np.array([row.error for row in rows], dtype=np.float64)
    wrong = np.array([row.wrong for row in rows], dtype=bool)
    share = _share(errors, inside)
    # a person looks at mistakes alone, so that tags can only explain their part of the error
    now = float(table.errors.mean()) if len(table.errors) else float("nan")
    total = table.error_of_mistakes if kind == "tag" else now
    ceiling = Measure(
        value=now - total * share.value,
        low=now - total * share.high,
        high=now - total * share.low,
        n=len(table.errors),
    )
    return Slice(
        kind=kind,
        name=name,
        examples=int(inside.sum()),
        mistakes=int((inside & wrong).sum()),
        looked=int(wrong.sum()),
        share=share,
        ceiling=ceiling,
        error=error,
    )


def _share(errors: np.ndarray, inside: np.ndarray) -> Measure:
    """Share of the sum of errors that lies inside; Wilson for zeros and ones, else bootstrap."""
    total = float(errors.sum())
    if total == 0:
        return Measure(value=0.0, low=0.0, high=1.0, n=0)
    value = min(1.0, float(errors[inside].sum()) / total)
    if np.isin(errors, (0.0, 1.0)).all():
        low, high = wilson(errors[inside].sum(), total)
    else:
        columns = np.stack([errors * inside, errors], axis=1)
        low, high = bootstrap(columns, lambda sums: sums[:, 0] / np.maximum(sums[:, 1], 1e-30))
        low, high = max(0.0, low), min(1.0, high)
    return Measure(
        value=value, low=min(low, value), high=max(high, value), n=int((errors > 0).sum())
    )


def _confusions(table: MistakeTable) -> list[Slice]:
    """Pairs of classes that are confused more than once."""
    if not table.classes:
        return []
    pairs = [(row.true, row.predicted) if row.wrong else None for row in table.everything]
    counts = Counter(pair for pair in pairs if pair is not None)
    return [
        _slice(
            table, "confusion", f"{pair[0]} taken for {pair[1]}", [each == pair for each in pairs]
        )
        for pair, count in counts.most_common(CONFUSIONS)
        if count > 1
    ]


def _ranked(slices: list[Slice]) -> list[Slice]:
    return sorted((item for item in slices if item.mistakes), key=lambda item: -item.share.value)


def _told(value: float, percent: bool) -> str:
    return f"{100 * value:.1f} %" if percent else f"{value:.4g}"
