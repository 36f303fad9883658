"""Pictures that are there more than once, and groups torn apart: leakage and conflicts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from saccade.data.checks.facts import (
    Facts,
    by_parts,
    grouped,
    groups_of,
    listed,
    pictures,
    some_of,
)
from saccade.types import Notice

MANY = 0.05  # share of pictures that are copies from which on they weigh


def exact_copies(facts: Facts) -> Iterator[Notice]:
    """The same picture in two parts (leakage), or twice in one."""
    crossing, within = by_parts(facts, groups_of(facts.copies))
    if crossing:
        yield grouped(
            facts,
            "duplicate-across-splits",
            "error",
            crossing,
            f"{pictures(crossing)} lie in more than one part with the same pixels, so that the "
            "measured quality is too good ({first}); remove the copies from all parts but one",
        )
    within = [rows for rows in within if len({facts.labels[row] for row in rows}) == 1]
    if within:  # those with different labels are a fault of their own
        heavy = sum(len(rows) - 1 for rows in within) > MANY * len(facts.part)
        yield grouped(
            facts,
            "duplicate",
            "warning" if heavy else "info",
            within,
            f"{pictures(within)} are copies of each other within one part and count several "
            "times ({first}); remove all but one of each",
        )


def near_copies(facts: Facts) -> Iterator[Notice]:
    """The same picture resized or saved again, or frames that differ hardly."""
    crossing, within = by_parts(facts, groups_of(facts.likenesses))
    if crossing:
        yield grouped(
            facts,
            "near-duplicate-across-splits",
            "warning",
            crossing,
            f"{pictures(crossing)} lie in more than one part and are nearly the same, resized, "
            f"saved again or taken moments apart ({{first}}){_disagreeing(facts, crossing)}; "
            "remove the copies or give them a common `group`, so that they stay in one part",
        )
    if within:
        yield grouped(
            facts,
            "near-duplicate",
            "info",
            within,
            f"{pictures(within)} within one part are nearly the same ({{first}})"
            f"{_disagreeing(facts, within)}; remove copies that add nothing",
        )


def conflicting_labels(facts: Facts) -> Iterator[Notice]:
    """The same pixels with different annotations: at least one is wrong."""
    groups = [rows for rows in groups_of(facts.copies) if len({facts.labels[r] for r in rows}) > 1]
    if groups:
        yield grouped(
            facts,
            "conflicting-labels",
            "error",
            groups,
            f"{pictures(groups)} have the same pixels but different labels ({{first}}); correct "
            "the labels or remove the copies",
        )


def shared_groups(facts: Facts) -> Iterator[Notice]:
    """A group that the user's own parts divide."""
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row, example in enumerate(facts.dataset.examples):
        if example.group is not None:
            rows_of[example.group].append(row)
    crossing, _ = by_parts(facts, list(rows_of.values()))
    if crossing:
        names = [str(facts.dataset.examples[rows[0]].group) for rows in crossing]
        yield grouped(
            facts,
            "group-across-splits",
            "error",
            crossing,
            f"{some_of(len(crossing), 'group')} ({listed(names)}) lie in more than one part, so "
            "that the measured quality is too good; move each group into one part",
        )


def _disagreeing(facts: Facts, groups: Sequence[Sequence[int]]) -> str:
    count = sum(len({facts.labels[row] for row in rows}) > 1 for rows in groups)
    return f", {some_of(count, 'set')} of them with different labels" if count else ""
