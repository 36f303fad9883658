"""Tables that act on a finding: the run's own examples, less what is at fault, ready to train on.

They are written into the run (advice/NAME.csv) and name the user's pictures where they lie; nothing
of the user's is changed.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from saccade.diagnose import commands, pictures
from saccade.diagnose.findings.label_noise import worst_labels
from saccade.files import write_atomic
from saccade.types import Evidence

Entry = Mapping[str, Any]


def write_tables(evidence: Evidence, told: Sequence[str]) -> list[Path]:
    """The tables that these commands name."""
    written = []
    for what, keep in KEPT.items():
        place = Path(evidence.run) / "advice" / f"{what}.csv"
        if any(place.as_posix() in command for command in told):
            written.append(write_table(evidence, what, keep(evidence)))
    return written


def write_table(evidence: Evidence, what: str, entries: Sequence[Entry]) -> Path:
    """advice/WHAT.csv of the run, from entries of its manifest."""
    place = Path(evidence.run) / "advice" / f"{what}.csv"
    place.parent.mkdir(exist_ok=True)
    text = _table(evidence, entries, place.absolute().parent)
    write_atomic(place, text.encode("utf-8", "surrogateescape"))
    return place


ENOUGH = 100
"""Pictures that a dev or test part cannot do without, or half of what it has."""


def _no_copies(evidence: Evidence) -> list[Entry]:
    """Dev and test pictures that training also holds are left out: what is learned from stays.

    Where that leaves too little to measure on, all parts are drawn anew, copies together.
    """
    examples = _examples(evidence)
    held = pictures.also_trained_on(evidence)
    kept = [entry for entry in examples if entry["key"] not in held]
    for part in ("dev", "test"):
        before, after = (sum(e["part"] == part for e in these) for these in (examples, kept))
        if after < min(ENOUGH, before / 2):
            return _redrawn(evidence, dev=1.0)
    return kept


def _no_suspects(evidence: Evidence) -> list[Entry]:
    """Suspects are left out everywhere: the same criteria for training, dev and test."""
    suspects = worst_labels(evidence)
    return [entry for entry in _examples(evidence) if entry["key"] not in suspects]


def half_of_dev(evidence: Evidence) -> list[Entry]:
    """Half of dev moves into training, which is then no longer without pictures of its kind."""
    examples = _examples(evidence)
    places = _places([entry for entry in examples if entry["part"] == "dev"], seed=2)
    return [
        {**entry, "part": "train"} if places.get(entry["key"], 1.0) < 0.5 else entry
        for entry in examples
    ]


def _redrawn(evidence: Evidence, dev: float = 1.5) -> list[Entry]:
    """All examples in parts drawn anew; dev is that much larger. Groups, copies stay together."""
    examples = _examples(evidence)
    places = _places(examples, seed=1, families=pictures.families(evidence))
    share = {part: sum(entry["part"] == part for entry in examples) for part in ("dev", "test")}
    until = dev * share["dev"] / max(1, len(examples))
    test = until + share["test"] / max(1, len(examples))
    return [{**entry, "part": _part(places[entry["key"]], until, test)} for entry in examples]


def _part(place: float, dev: float, test: float) -> str:
    return "dev" if place < dev else "test" if place < test else "train"


def _places(
    entries: Sequence[Entry], *, seed: int, families: Mapping[str, str] | None = None
) -> dict[str, float]:
    """Key -> a place between 0 and 1, drawn by lot; the same for a group and for copies."""
    known = families or {}
    kinds = [
        str(known.get(each["key"]) or each.get("group") or each.get("sha256") or each["key"])
        for each in entries
    ]
    names = sorted(set(kinds))
    order = np.random.default_rng(seed).permutation(len(names)) / max(1, len(names))
    place = dict(zip(names, order.tolist(), strict=True))
    return {each["key"]: place[kind] for each, kind in zip(entries, kinds, strict=True)}


KEPT: dict[str, Callable[[Evidence], list[Entry]]] = {
    "copies": _no_copies,
    "suspects": _no_suspects,
    "mismatch": half_of_dev,
    "redrawn": _redrawn,
}
"""Name of the table -> the examples in it."""


def _examples(evidence: Evidence) -> list[Entry]:
    """Of the manifest, less what was dropped. Train-dev is training data, to be set aside anew."""
    return [
        {**entry, "part": "train"} if entry["part"] == "train-dev" else entry
        for entry in evidence.data.get("examples", ())
        if entry["part"]
    ]


def _table(evidence: Evidence, entries: Sequence[Entry], folder: Path) -> str:
    """CSV: path from `folder`, targets, group, source, split."""
    fields = evidence.data["fields"]
    names = [
        name
        for field in fields
        for name in (field["classes"] if field["kind"] == "values" else [field["name"]])
    ]
    extra = [name for name in ("group", "source") if any(name in entry for entry in entries)]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", *names, *extra, "split"])
    for entry in entries:
        path = os.path.relpath(Path(commands.root_of(evidence)) / entry["key"], folder)
        cells = [cell for field in fields for cell in _cells(field, entry)]
        others = [entry.get(name) or "" for name in extra]
        writer.writerow([path, *cells, *others, entry["part"]])
    return text.getvalue()


def _cells(field: Mapping[str, Any], entry: Entry) -> list[str]:
    value = (entry.get("target") or {}).get(field["name"])
    if field["kind"] == "values":
        numbers = value or [None] * len(field["classes"])
        return ["" if number is None else repr(number) for number in numbers]
    if field["kind"] == "labels":
        return ["|".join(value or ())]
    return [value if isinstance(value, str) else "" if value is None else json.dumps(value)]
