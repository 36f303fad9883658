"""Score a finished run on its own dev or test part, or on other data."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch

from saccade.data.dataset import Dataset
from saccade.data.masks import read_as
from saccade.errors import SaccadeError
from saccade.experiment.prepare import Prepared, Reporter, labels_of, make_batches, prepare_data
from saccade.experiment.scoring import Recorder, defined, measures_as_dict, write_scores
from saccade.predict import Predictor
from saccade.recipe import from_dict
from saccade.training.loop import evaluate
from saccade.training.run import RunFolder
from saccade.types import Measure, ModelCard


@dataclass(frozen=True, kw_only=True)
class Validation:
    """What `val` found. measures: metric name -> value with interval; details: per class.

    split: "all" of other data that name no parts
    """

    run: str
    task: str
    split: str
    examples: int
    measures: Mapping[str, Measure]
    details: Mapping[str, Any]
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """The JSON of the command line."""
        return {
            "run": self.run,
            "task": self.task,
            "split": self.split,
            "examples": self.examples,
            "metrics": {name: defined(m.value) for name, m in self.measures.items()},
            "intervals": {
                name: [defined(m.low), defined(m.high)] for name, m in self.measures.items()
            },
            "seconds": round(self.seconds, 3),
        }


def validate(
    run: RunFolder,
    predictor: Predictor,
    dataset: Dataset,
    *,
    split: str = "dev",
    own: bool = True,
    reporter: Reporter | None = None,
) -> Validation:
    """Score `predictor` on one part of `dataset`.

    own: the data are those of the run, whose split is kept and whose scores are written into it;
    every look at its test part is counted there. Otherwise the part is what the data's own folders
    or columns call so, or everything where they name no parts.

    Raises SaccadeError where the part is empty or holds a class the network does not know.
    """
    started = time.perf_counter()
    card = predictor.card
    values = run.read_args()
    values.pop("run", None)
    recipe = from_dict(values)
    prepared = prepare_data(
        dataset if own else with_classes_of(dataset, card),
        recipe,
        reporter=reporter or Reporter(),
        manifest=run.read_json(run.data) if own else None,
        split_now=own,
        labels=labels_of(run, recipe) if own else None,
    )
    everything = not own and not dataset.parts()
    if everything:
        rows = torch.arange(len(prepared.dataset))
    elif own and split == "train":
        rows = prepared.used(recipe)  # of a fraction the rest was never trained on
    else:
        rows = prepared.rows(split)
    if len(rows) == 0:
        raise _no_part(prepared, run, split)
    recorder = Recorder()
    batches = make_batches(prepared, rows, recipe, predictor.hardware, train=False)
    measures, metric, _ = evaluate(
        predictor.model,
        predictor.task,
        batches.epoch(0),
        hardware=predictor.hardware,
        each=recorder,
    )
    if own:
        if split == "test":
            _count_look(run, measures)
        write_scores(run, split, recorder, metric, prepared.dataset, prepared.ingested)
    return Validation(
        run=str(run.root),
        task=card.task,
        split="all" if everything else split,
        examples=len(rows),
        measures=measures,
        details=metric.details(),
        seconds=time.perf_counter() - started,
    )


def with_classes_of(dataset: Dataset, card: ModelCard) -> Dataset:
    """Other data seen with the network's class tables: names count, not positions.

    Raises SaccadeError for a field, a number or a point that the data lack.
    """
    there = {item.name: item for item in dataset.fields}
    orders: dict[str, list[int]] = {}
    for item in card.fields:
        if item.kind == "mask":
            dataset = read_as(dataset, item.classes)
        own = there.get(item.name)
        if own is None or own.kind != item.kind:
            raise _other(dataset, f"{item.name} ({item.kind})", [
                f"{name} ({each.kind})" for name, each in there.items()
            ])  # fmt: skip
        if item.kind in ("values", "points"):
            orders[item.name] = _places(dataset, own.classes, item.classes)
    examples = dataset.examples
    if orders:
        examples = tuple(replace(each, target=_reordered(each.target, orders)) for each in examples)
    return replace(dataset, fields=card.fields, examples=examples)


def _places(dataset: Dataset, there: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Where each wanted number or point stands in the data; others there are left out.

    A single one, and numbers without names (an object's value0, value1), go by position.
    """
    nameless = all(re.fullmatch(r"value\d+", name) for name in there)
    if len(there) == len(wanted) and (nameless or len(wanted) == 1):
        return list(range(len(wanted)))
    if not set(wanted) <= set(there):
        raise _other(dataset, ", ".join(wanted), there)
    return [there.index(name) for name in wanted]


def _reordered(target: Mapping[str, Any], orders: Mapping[str, list[int]]) -> Mapping[str, Any]:
    """Numbers and points in the network's order."""
    known = {name: order for name, order in orders.items() if target.get(name) is not None}
    return {**target, **{name: [target[name][n] for n in order] for name, order in known.items()}}


def _other(dataset: Dataset, expected: str, found: Sequence[str]) -> SaccadeError:
    return SaccadeError(
        f"{dataset.root}: the network predicts {expected}, the data hold "
        f"{', '.join(found) or 'no labels'}.",
        name="other-annotation",
        files=[dataset.root],
    )


def _no_part(prepared: Prepared, run: RunFolder, split: str) -> SaccadeError:
    names, counts = np.unique(prepared.part, return_counts=True)
    there = ", ".join(f"{name} ({count})" for name, count in zip(names, counts, strict=True))
    return SaccadeError(
        f"--split {split}: {run.root} has no {split} part, its parts are {there}. A test part can "
        "be cut when training: --set data.test=0.2.",
        name="no-such-part",
    )


def _count_look(run: RunFolder, measures: Mapping[str, Measure]) -> None:
    """Note that somebody looked: a test part that is looked at often becomes a dev part."""
    looks = run.read_json(run.looks) if run.looks.is_file() else []
    when = datetime.now(UTC).isoformat(timespec="seconds")
    run.write_json(run.looks, [*looks, {"when": when, "metrics": measures_as_dict(measures)}])
