"""What was tried against a data mismatch, and whether it helped on pictures that nobody saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from saccade.data.manifest import groups_of
from saccade.diagnose import commands
from saccade.diagnose.evidence import read_evidence
from saccade.diagnose.tables import Entry, half_of_dev, write_table
from saccade.errors import SaccadeError
from saccade.ops.intervals import mean_interval
from saccade.training.run import RunFolder
from saccade.types import Evidence, Measure


@dataclass(frozen=True, kw_only=True)
class Remedy:
    """One remedy. told: what it did; run: its run; error: on the half of dev that judges.

    change  error - that of the run as it was, on the same pictures, with its interval
    """

    name: str
    told: str
    run: str
    table: str
    error: Measure
    change: Measure

    @property
    def helps(self) -> bool:
        """Whether the error fell beyond noise."""
        return self.change.high < 0


@dataclass(frozen=True)
class Halves:
    """Dev cut in two: one half may be used by a remedy, the other judges. Keys of each."""

    evidence: Evidence
    entries: Sequence[Entry]
    train: tuple[str, ...]
    used: tuple[str, ...]
    judging: tuple[str, ...]

    def moved(self) -> Path:
        """A table in which the used half is trained on."""
        return write_table(self.evidence, "mismatch", self.entries)

    def with_copies(self, copies: Mapping[str, Path]) -> Path:
        """A table with altered copies of training pictures; the used half of dev is left out."""
        kept = [entry for entry in self.entries if entry["key"] not in set(self.used)]
        extra = [
            {**entry, "key": str(copies[entry["key"]].absolute()), "source": "synthetic"}
            for entry in kept
            if entry["key"] in copies
        ]
        return write_table(self.evidence, "synthetic", [*kept, *extra])


def halve(run: RunFolder) -> Halves:
    """The halves of a run's dev part. Raises SaccadeError where dev is too small or not scored."""
    evidence = read_evidence(run)
    known = [entry["key"] for entry in evidence.data.get("examples", ()) if entry["part"] == "dev"]
    if "dev" not in evidence.predictions or len(known) < 20:
        raise SaccadeError(
            f"{run.root}: {len(known)} scored dev pictures are too few to try remedies on; "
            "expected 20 or more in a finished run.",
            name="no-dev",
        )
    if not commands.tabular(evidence):
        raise SaccadeError(
            f"{run.root}: remedies are tried on pictures that are files, with labels or numbers; "
            "those of this run lie in an archive, or have boxes, points or masks. Try "
            f"{commands.without(evidence, 'mismatch')}",
            name="no-table",
        )
    entries = half_of_dev(evidence)
    dev = set(known)
    place = {entry["key"]: entry["part"] for entry in entries}
    if {place[key] for key in known} != {"train", "dev"}:
        raise SaccadeError(
            f"{run.root}: the dev pictures are one group, which cannot be cut in two to try "
            "remedies on.",
            name="no-dev",
        )
    return Halves(
        evidence=evidence,
        entries=entries,
        train=tuple(key for key, part in place.items() if part == "train" and key not in dev),
        used=tuple(key for key in known if place[key] == "train"),
        judging=tuple(key for key in known if place[key] == "dev"),
    )


def compare(halves: Halves, run: RunFolder, *, name: str, told: str, table: Path) -> Remedy:
    """The remedy's run against the run as it was, on the half of dev that judges."""
    before = _errors(halves.evidence)
    after = _errors(read_evidence(run))
    marks = _marks(halves.evidence.data)
    both = [marks[key] for key in halves.judging if marks[key] in before and marks[key] in after]
    first, second = (np.array([found[mark] for mark in both]) for found in (before, after))
    keys = {mark: key for key, mark in marks.items()}
    groups = groups_of(halves.evidence.data, [keys[mark] for mark in both])
    return Remedy(
        name=name,
        told=told,
        run=str(run.root),
        table=str(table),
        error=_measure(second, groups),
        change=_measure(second - first, groups),
    )


def _marks(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Key -> hash of the file: the same picture has other keys in other runs."""
    return {entry["key"]: entry["sha256"] for entry in manifest["examples"]}


def _errors(evidence: Evidence) -> dict[str, float]:
    marks, rows = _marks(evidence.data), evidence.predictions["dev"]
    pairs = zip(rows["key"].tolist(), rows["error"].tolist(), strict=True)
    return {marks[key]: float(error) for key, error in pairs}


def _measure(values: np.ndarray, groups: Sequence[str] | None) -> Measure:
    value, low, high, count = mean_interval(values, groups)
    return Measure(value=value, low=low, high=high, n=count)
