"""Which run is better: one metric to optimise, limits to keep, and whether it is beyond noise."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from saccade.data.manifest import groups_of
from saccade.errors import SaccadeError
from saccade.improve.metrics import Array, Metric, Scores, class_weights, find_metric, known_metrics
from saccade.limits import COSTS, Limit, costs
from saccade.ops.intervals import bootstrap, unit_sums, units, widened
from saccade.ops.paired import mcnemar, two_sided
from saccade.predict import load
from saccade.training.run import RunFolder
from saccade.types import Measure

REPLICATES = 2000
SURE = 0.05


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One run. values: metric or cost -> number, of all that limits name;  broken: limits."""

    run: str
    measure: Measure
    values: Mapping[str, float]
    broken: tuple[Limit, ...]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The runs, best first, those that break a limit last.

    gain    of the best over each other run by the metric (positive: better), paired by example
    p       two-sided p-value of each gain;  test: how it was found
    """

    metric: str
    larger: bool
    split: str
    examples: int
    entries: tuple[Entry, ...]
    gain: Mapping[str, Measure]
    p: Mapping[str, float]
    test: str

    @property
    def best(self) -> Entry | None:
        """The best of those that keep all limits."""
        return None if self.entries[0].broken else self.entries[0]

    def lines(self) -> list[str]:
        """The answer in sentences."""
        best = self.best
        if best is None:
            return ["No run keeps every limit."]
        told = [f"Best: {best.run}, {self.metric} {best.measure.value:.4f}."]
        for entry in self.entries[1:]:
            gain, p = self.gain[entry.run], self.p[entry.run]
            sure = "better, beyond noise" if p < SURE and gain.value > 0 else "within noise"
            told.append(
                f"Against {entry.run}: {gain.value:+.4f} ({gain.low:+.4f} to {gain.high:+.4f}), "
                f"p = {p:.2g}: {sure}."
                + (f" That one breaks {', '.join(map(str, entry.broken))}." if entry.broken else "")
            )
        return told

    def as_dict(self) -> dict[str, Any]:
        """The JSON of the command line."""
        best = self.best
        return {
            "metric": self.metric,
            "split": self.split,
            "examples": self.examples,
            "best": None if best is None else best.run,
            "test": self.test,
            "runs": [
                {
                    "run": entry.run,
                    **vars(entry.measure),
                    "values": dict(entry.values),
                    "broken": [str(limit) for limit in entry.broken],
                    "gain_of_best": vars(self.gain[entry.run]) if entry.run in self.gain else None,
                    "p": self.p.get(entry.run),
                    "beyond_noise": self.p[entry.run] < SURE if entry.run in self.p else None,
                }
                for entry in self.entries
            ],
            "lines": self.lines(),
        }


def compare(
    runs: Sequence[RunFolder],
    *,
    split: str = "dev",
    metric: str | None = None,
    limits: Sequence[Limit] = (),
    weights: Mapping[str, float] | None = None,
) -> Comparison:
    """Compare runs on the examples that lie in the same part of all of them.

    metric   to optimise; None = accuracy where there are classes, else error
    limits   metrics or costs (latency, size, parameters; measured here) that have to be kept
    weights  class -> how much its mistakes count, 1 where not named

    Raises SaccadeError where the runs share no examples or do not mean the same by them.
    """
    if len(runs) < 2:
        raise SaccadeError("a comparison takes two runs or more.", name="no-comparison")
    every = _scores(runs, split, weights or {})
    chosen = find_metric(metric or known_metrics(every[0])[0], every[0])
    entries = [_entry(run, scores, chosen, limits) for run, scores in zip(runs, every, strict=True)]
    sign = 1.0 if chosen.larger else -1.0
    order = sorted(
        range(len(runs)), key=lambda n: (bool(entries[n].broken), -sign * entries[n].measure.value)
    )
    first = order[0]
    gains = {entries[n].run: _gain(every[first], every[n], chosen) for n in order[1:]}
    return Comparison(
        metric=chosen.name,
        larger=chosen.larger,
        split=split,
        examples=len(every[0].error),
        entries=tuple(entries[n] for n in order),
        gain={run: gain for run, (gain, _) in gains.items()},
        p={run: p for run, (_, p) in gains.items()},
        test="McNemar" if _exact(every[0], chosen) else "bootstrap",
    )


def _exact(scores: Scores, metric: Metric) -> bool:
    alike = bool((scores.weight == scores.weight[0]).all())
    return metric.binary and alike and scores.groups is None


def _gain(best: Scores, other: Scores, metric: Metric) -> tuple[Measure, float]:
    """By how much `best` is better, resampling examples with both answers to each."""
    one, two = metric.columns(best), metric.columns(other)
    width, sign = one.shape[1], 1.0 if metric.larger else -1.0

    def difference(sums: Array) -> Array:
        gap: Array = metric.statistic(sums[:, :width]) - metric.statistic(sums[:, width:])
        return sign * gap

    both = np.concatenate([one, two], axis=1)
    value = float(difference(both.sum(axis=0, keepdims=True))[0])
    sums = unit_sums(both, units(len(both), best.groups))
    random = np.random.default_rng(0)
    draws = max(200, min(REPLICATES, 4_000_000 // (2 * width)))
    times = random.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=draws)
    replicates = difference(times.astype(np.float64) @ sums)
    low, high = np.nanquantile(replicates, (0.025, 0.975))
    count = len(both) if best.groups is None else len(set(best.groups))
    low, high = widened(value, min(float(low), value), max(float(high), value), count)
    measure = Measure(value=value, low=low, high=high, n=count)
    if _exact(best, metric):
        return measure, mcnemar(best.error > 0.5, other.error > 0.5)
    # all of a few lean the same way by chance: as with so many coins
    return measure, max(two_sided(replicates), 2.0 ** (1 - count))


def _entry(run: RunFolder, scores: Scores, metric: Metric, limits: Sequence[Limit]) -> Entry:
    named = {limit.name for limit in limits}
    values = {name: find_metric(name, scores).of(scores) for name in named - set(COSTS)}
    values |= costs(load(run.root)) if named & set(COSTS) else {}
    low, high = bootstrap(metric.columns(scores), metric.statistic, groups=scores.groups)
    measure = Measure(value=metric.of(scores), low=low, high=high, n=len(scores.error))
    broken = tuple(limit for limit in limits if not limit.kept(values))
    return Entry(run=str(run.root), measure=measure, values=values, broken=broken)


def _scores(runs: Sequence[RunFolder], split: str, weights: Mapping[str, float]) -> list[Scores]:
    """One per run, of the same examples in the same order."""
    tables = [_read(run, split) for run in runs]
    manifests = [run.read_json(run.data) if run.data.is_file() else {} for run in runs]
    first = runs[0]
    task, fields = _meaning(first)
    for run in runs[1:]:
        if _meaning(run) != (task, fields):
            raise _unfit(run, first, "it learned another task, or other classes")
    keys = _shared(tables)
    if not keys:
        # a run on a table of the same pictures calls them otherwise
        tables = [_by_file(*both) for both in zip(tables, manifests, strict=True)]
        keys = _shared(tables)
    if not keys:
        raise _unfit(runs[1], first, f"their {split} parts have no picture in common")
    changed = [k for k in keys if any(t[k]["target"] != tables[0][k]["target"] for t in tables)]
    if changed:
        raise _unfit(runs[1], first, f"the label of {changed[0]} is another one there")
    known = [
        key for key in keys if all(table[key]["error"] == table[key]["error"] for table in tables)
    ]
    classes = tuple(fields[0]["classes"]) if task == "classification" else ()
    groups = groups_of(manifests[0], [tables[0][key]["key"] for key in known])
    return [replace(_table(table, known, classes, weights), groups=groups) for table in tables]


def _shared(tables: Sequence[Mapping[str, Any]]) -> list[str]:
    return [key for key in tables[0] if all(key in table for table in tables[1:])]


def _by_file(
    table: Mapping[str, dict[str, Any]], manifest: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """The rows by what is in the picture's file."""
    entries = manifest.get("examples", ())
    marks = {entry["key"]: entry["sha256"] for entry in entries if "sha256" in entry}
    return {marks[key]: row for key, row in table.items() if key in marks}


def _table(
    table: Mapping[str, Mapping[str, Any]],
    keys: Sequence[str],
    classes: tuple[str, ...],
    weights: Mapping[str, float],
) -> Scores:
    rows = [table[key] for key in keys]
    scores = Scores(
        error=np.array([row["error"] for row in rows], dtype=np.float64),
        loss=np.array([row["loss"] for row in rows], dtype=np.float64),
        weight=np.ones(len(rows)),
        classes=classes,
    )
    if not classes:
        class_weights(None, classes, weights)
        return scores
    places = {name: place for place, name in enumerate(classes)}
    target = np.array([places[row["target"]] for row in rows])
    label = np.array([places[row["label"]] for row in rows])
    weight = class_weights(target, classes, weights)
    return replace(scores, target=target, label=label, weight=weight)


def _read(run: RunFolder, split: str) -> dict[str, dict[str, Any]]:
    if not run.predictions(split).is_file():
        raise SaccadeError(
            f"{run.root}: {split} has not been scored; `saccade val {run.root} --split {split}` "
            "does that.",
            name="not-scored",
            files=[str(run.root)],
        )
    table = run.read_table(run.predictions(split))
    names = [
        name for name in ("key", "target", "error", "loss", "label") if name in table.column_names
    ]
    columns = (table[name].to_pylist() for name in names)
    return {row[0]: dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)}


def _meaning(run: RunFolder) -> tuple[str, list[dict[str, Any]]]:
    fields = (
        json.loads(run.card.read_text(encoding="utf-8"))["fields"] if run.card.is_file() else []
    )
    return str(run.read_args().get("task")), fields


def _unfit(run: RunFolder, first: RunFolder, why: str) -> SaccadeError:
    return SaccadeError(
        f"{run.root} cannot be compared with {first.root}: {why}. Compare runs of the same data; "
        "with the same --set data.seed=0 they share all of dev.",
        name="unfit-runs",
        files=[str(run.root)],
    )
