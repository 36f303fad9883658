"""The error table: a row for every mistake, and for a drawn sample of what was right."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from saccade.data.manifest import in_shares
from saccade.diagnose.evidence import read_evidence
from saccade.diagnose.mistakes.traits import traits
from saccade.diagnose.mistakes.words import result_words, target_words
from saccade.diagnose.signals import classes
from saccade.errors import SaccadeError
from saccade.training.run import RunFolder
from saccade.types import Evidence, Measure

RIGHT = 100
"""Examples of what was right that are drawn: a look at them keeps the criteria fair."""

NEIGHBOURS = 5
"""Training examples whose classes are asked for the nearest class."""

WORST = 0.2
"""Share of examples that counts as mistakes where hardly any error is exactly zero."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One example. p_true, p_predicted: probabilities, NaN where a task has none.

    nearest  class of most of the nearest training examples by embedding, "" where unknown
    traits   automatic tags
    """

    index: int
    key: str
    true: str
    predicted: str
    p_true: float
    p_predicted: float
    loss: float
    error: float
    wrong: bool
    nearest: str
    traits: tuple[str, ...]
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class MistakeTable:
    """All examples of one part as rows, and those that are shown.

    everything  every example with a known error, in the order of the predictions
    classes     of tasks with one class per example;  members: class -> keys of which it is true
    shown       the mistakes in an order drawn once, so that the first ones are a fair sample of
                all, then the drawn right ones
    """

    run: RunFolder
    task: str
    part: str
    error: Measure
    classes: tuple[str, ...]
    everything: tuple[Row, ...]
    shown: tuple[Row, ...]
    rule: str
    percent: bool
    thumbnails: Mapping[int, bytes]
    members: Mapping[str, frozenset[str]]

    @cached_property
    def mistakes(self) -> int:
        return sum(row.wrong for row in self.everything)

    @cached_property
    def errors(self) -> np.ndarray:
        """(n,) of every example."""
        return np.array([row.error for row in self.everything], dtype=np.float64)

    @cached_property
    def error_of_mistakes(self) -> float:
        """What the mistakes add to the mean error."""
        wrong = np.array([row.wrong for row in self.everything], dtype=bool)
        return float(self.errors[wrong].sum()) / max(1, len(wrong))

    @cached_property
    def wrong_shown(self) -> tuple[Row, ...]:
        """The mistakes in the order drawn."""
        return tuple(row for row in self.shown if row.wrong)

    @cached_property
    def by_key(self) -> dict[str, Row]:
        return {row.key: row for row in self.everything}


def mistake_table(run: RunFolder, part: str = "dev", *, right: int = RIGHT) -> MistakeTable:
    """The error table of one part of a run, from the run folder alone.

    right: examples drawn from those that were right. Raises SaccadeError where the part has not
    been scored.
    """
    evidence = read_evidence(run)
    if part not in evidence.predictions:
        there = ", ".join(evidence.predictions) or "none: the training is not finished"
        command = shlex.join(["saccade", "val", str(run.root), "--split", part])
        told = shlex.join(["saccade", "diagnose", str(run.root)])
        score = f"`{command}` scores it" if evidence.predictions else f"`{told}` says how to go on"
        raise SaccadeError(
            f"{run.root}: {part} has not been scored; scored parts: {there}. {score}.",
            name="not-scored",
        )
    jpegs = _thumbnails(run, part)
    rows, rule = _rows(evidence, part, jpegs)
    random = np.random.default_rng(0)
    wrong = [row for row in rows if row.wrong]
    others = [row for row in rows if not row.wrong]
    chosen = sorted(random.permutation(len(others))[:right].tolist())
    shown = [wrong[place] for place in random.permutation(len(wrong)).tolist()]
    return MistakeTable(
        run=run,
        task=evidence.task,
        part=part,
        error=evidence.errors[part],
        classes=classes(evidence) if evidence.task == "classification" else (),
        everything=tuple(rows),
        shown=(*shown, *(others[place] for place in chosen)),
        rule=rule,
        percent=in_shares(evidence.data) and all(row.error <= 1 for row in rows),
        thumbnails=jpegs,
        members=_members(evidence, rows),
    )


def _rows(evidence: Evidence, part: str, jpegs: Mapping[int, bytes]) -> tuple[list[Row], str]:
    columns = evidence.predictions[part]
    errors = np.asarray(columns["error"], dtype=np.float64)
    wrong, rule = mistaken(errors)
    tags = traits(evidence, part, jpegs)
    nearest = _nearest(evidence, part)
    names = classes(evidence)
    sources = {e["key"]: e.get("source") or "" for e in evidence.data.get("examples", ())}
    records = _records(columns, ("label", "labels", "values", "result"))
    found = []
    for place in np.flatnonzero(np.isfinite(errors)).tolist():
        true, key = target_words(columns["target"][place], names), str(columns["key"][place])
        row = Row(
            index=int(columns["index"][place]),
            key=key,
            true=true,
            predicted=result_words(records[place], names),
            p_true=_probability(columns, place, names, true),
            p_predicted=float(columns["score"][place]) if "score" in columns else math.nan,
            loss=float(columns["loss"][place]),
            error=float(errors[place]),
            wrong=bool(wrong[place]),
            nearest=nearest[place],
            traits=tuple(name for name, values in tags.items() if values[place]),
            source=sources.get(key, ""),
        )
        found.append(row)
    return found, rule


def _members(evidence: Evidence, rows: Sequence[Row]) -> dict[str, frozenset[str]]:
    """Class -> keys of which it is true, where targets are one class or a list of them."""
    kinds = [field.get("kind") for field in evidence.data.get("fields", ())]
    if kinds not in (["label"], ["labels"]):
        return {}
    several = kinds == ["labels"]
    named = {row.key: row.true.split("|") if several else [row.true] for row in rows}
    return {
        name: frozenset(key for key, own in named.items() if name in own)
        for name in classes(evidence)
    }


def mistaken(errors: np.ndarray) -> tuple[np.ndarray, str]:
    """(n,) which errors count as mistakes, and the rule in words.

    Errors above zero where zero is common (classes, label sets); else the largest fifth.
    """
    known = errors[np.isfinite(errors)]
    if len(known) == 0 or (known == 0).mean() >= 0.05 or set(known) <= {0.0, 1.0}:
        return np.nan_to_num(errors) > 0, "an error above zero"
    limit = float(np.quantile(known, 1 - WORST))
    return np.nan_to_num(errors) > limit, f"the {WORST:.0%} with the largest error (> {limit:.4g})"


def _records(columns: Mapping[str, Any], names: Sequence[str]) -> list[dict[str, Any]]:
    kept = {name: columns[name].tolist() for name in names if name in columns}
    count = len(columns["key"])
    return [{name: values[place] for name, values in kept.items()} for place in range(count)]


def _probability(columns: Mapping[str, Any], place: int, names: Sequence[str], true: str) -> float:
    """Of the true class, where the task has one class per example."""
    table = columns.get("probabilities")
    if table is None or table.ndim != 2 or true not in names or "score" not in columns:
        return math.nan
    return float(table[place][names.index(true)])


def _nearest(evidence: Evidence, part: str) -> list[str]:
    """Class of most of the nearest training examples (cosine), for tasks with one class."""
    own, known = evidence.predictions[part], evidence.predictions.get("train", {})
    usable = evidence.task == "classification" and all(
        "embedding" in rows and rows["embedding"].ndim == 2 for rows in (own, known)
    )
    if not usable or len(known["key"]) <= NEIGHBOURS:
        return [""] * len(own["key"])
    labels, codes = np.unique(known["target"].astype(str), return_inverse=True)
    train, queries = _unit(known["embedding"]), _unit(own["embedding"])
    found = []
    for start in range(0, len(queries), 1024):
        likeness = queries[start : start + 1024] @ train.T
        if part == "train":  # the nearest example is oneself
            likeness[np.arange(len(likeness)), np.arange(start, start + len(likeness))] = -2
        near = np.argpartition(-likeness, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
        votes = np.stack([(codes[near] == code).sum(axis=1) for code in range(len(labels))])
        found += labels[votes.argmax(axis=0)].tolist()
    return found


def _unit(table: np.ndarray) -> np.ndarray:
    values = table.astype(np.float32)
    unit: np.ndarray = values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-9)
    return unit


def _thumbnails(run: RunFolder, part: str) -> dict[int, bytes]:
    if not run.thumbnails(part).is_file():
        return {}
    table = run.read_table(run.thumbnails(part))
    return dict(zip(table["index"].to_pylist(), table["jpeg"].to_pylist(), strict=True))
