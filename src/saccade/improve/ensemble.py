"""Several runs as one network: averaged predictions, and what that gains over its members."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from saccade.data.dataset import Dataset
from saccade.data.manifest import groups_of
from saccade.errors import SaccadeError
from saccade.experiment.prepare import Reporter
from saccade.experiment.validate import Validation, validate
from saccade.ops.intervals import bootstrap, widened
from saccade.predict import load
from saccade.training.run import RunFolder
from saccade.types import ENSEMBLE, OWN, Measure, ModelCard


@dataclass(frozen=True, kw_only=True)
class Gain:
    """How much smaller the mean error of a dev example became, with its 95 % interval.

    mean  against the members' average;  best: against the best member
    """

    mean: Measure
    best: Measure


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """A run folder that answers with all members. members: run -> its dev metrics."""

    folder: RunFolder
    validation: Validation
    members: Mapping[str, Mapping[str, float | None]]
    gain: Gain

    def as_dict(self) -> dict[str, Any]:
        """The JSON of the command line."""
        gain = {name: vars(measure) for name, measure in vars(self.gain).items()}
        return {**self.validation.as_dict(), "members": dict(self.members), "gain": gain}


def combine(
    runs: Sequence[RunFolder],
    folder: RunFolder,
    dataset: Dataset,
    *,
    reporter: Reporter | None = None,
) -> Ensemble:
    """Write the members' ensemble into `folder` and measure it on dev.

    Members must have learnt the same task from the same examples in the same split, or dev
    examples of one would be training examples of another; networks and recipes may differ.
    Raises SaccadeError where they do not fit together.
    """
    weights = [run.read_best() for run in runs]
    _check(runs, [card for _, card in weights])
    _write(runs, folder, weights)
    predictor = load(folder.root)
    validation = validate(folder, predictor, dataset, split="dev", reporter=reporter)
    metrics = {
        name: {"value": m.value, "low": m.low, "high": m.high, "n": m.n}
        for name, m in validation.measures.items()
    }
    folder.write_card(replace(predictor.card, metrics=metrics))
    members = {
        str(run.root): {name: each["value"] for name, each in card.metrics.items()}
        for run, (_, card) in zip(runs, weights, strict=True)
    }
    gain = _gain(folder, runs)
    return Ensemble(folder=folder, validation=validation, members=members, gain=gain)


def _check(runs: Sequence[RunFolder], cards: Sequence[ModelCard]) -> None:
    if len(runs) < 2:
        raise SaccadeError("an ensemble takes two runs or more.", name="no-ensemble")
    first, digest = cards[0], runs[0].read_json(runs[0].data)["digest"]
    for run, card in zip(runs, cards, strict=True):
        if card.model in (OWN, ENSEMBLE):
            raise _unfit(run, f"its network is {card.model!r}; members are of the catalogue")
        if (card.task, card.fields) != (first.task, first.fields):
            raise _unfit(run, f"it predicts {card.task} with other fields or classes")
        if _shape(card) != _shape(first):
            raise _unfit(run, f"its input is {_shape(card)}, that of the first {_shape(first)}")
        if _units(card) != _units(first):
            raise _unfit(run, "its numbers have another mean and scale")
        if run.read_json(run.data)["digest"] != digest:
            raise _unfit(run, "it was trained on other examples or another split")


def _unfit(run: RunFolder, why: str) -> SaccadeError:
    return SaccadeError(
        f"{run.root} does not fit to the first member: {why}. Train members on the same data with "
        "the same --imgsz and --set data.seed=0, and with another --seed, --model or recipe.",
        name="unfit-member",
        files=[str(run.root)],
    )


def _shape(card: ModelCard) -> tuple[Any, ...]:
    picture = card.preprocessing
    return (picture.height, picture.width, picture.channels, picture.fit, picture.margin)


def _units(card: ModelCard) -> Any:
    """What outputs of numbers are measured in; nothing where there are none."""
    if all(field.kind != "values" for field in card.fields):
        return None
    arguments = card.task_arguments
    return {key: arguments.get(key) for key in ("mean", "std", "options") if key in arguments}


def _write(
    runs: Sequence[RunFolder],
    folder: RunFolder,
    weights: Sequence[tuple[Mapping[str, Tensor], ModelCard]],
) -> None:
    first = weights[0][1]
    members = [
        {
            "run": str(run.root),
            "model": card.model,
            "arguments": dict(card.arguments),
            "mean": card.preprocessing.mean,
            "std": card.preprocessing.std,
        }
        for run, (_, card) in zip(runs, weights, strict=True)
    ]
    tensors = {
        f"members.{place}.{name}": value
        for place, (own, _) in enumerate(weights)
        for name, value in own.items()
    }
    decision = _decision([card.decision for _, card in weights])
    folder.write_args(runs[0].read_args())
    folder.write_environment()
    for path in (runs[0].data, runs[0].images, runs[0].labels):
        if path.is_file():
            shutil.copyfile(path, folder.root / path.name)
    card = replace(
        first, model=ENSEMBLE, arguments={"members": members}, decision=decision, metrics={}
    )
    folder.write_best(tensors, card)


def _decision(decisions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Thresholds for averaged probabilities: the average of the members' thresholds.

    Views are those of the first member, where all have some.
    """
    shared = [key for key in decisions[0] if all(key in each for each in decisions)]
    return {key: _averaged([each[key] for each in decisions]) for key in shared}


def _averaged(values: Sequence[Any]) -> Any:
    if isinstance(values[0], str):
        return values[0]
    if isinstance(values[0], Mapping):
        return {key: _averaged([value[key] for value in values]) for key in values[0]}
    return np.mean(np.asarray(values, dtype=float), axis=0).tolist()


def _gain(folder: RunFolder, runs: Sequence[RunFolder]) -> Gain:
    own = _errors(folder)
    members = [_errors(run) for run in runs]
    others = np.stack([[errors[key] for key in own] for errors in members])
    errors = np.array(list(own.values()))
    best = others[np.nanmean(others, axis=1).argmin()]
    groups = groups_of(runs[0].read_json(runs[0].data), own)
    return Gain(mean=_paired(others.mean(0) - errors, groups), best=_paired(best - errors, groups))


def _errors(run: RunFolder) -> dict[str, float]:
    table = run.read_table(run.predictions("dev"))
    return dict(zip(table["key"].to_pylist(), table["error"].to_pylist(), strict=True))


def _paired(differences: np.ndarray, groups: Sequence[str] | None) -> Measure:
    """The mean difference of examples, with the interval of resampling examples or groups."""
    known = np.isfinite(differences)
    columns = np.stack([differences[known], np.ones(known.sum())], axis=1)
    member = None if groups is None else np.asarray(groups)[known]
    low, high = bootstrap(columns, lambda sums: sums[:, 0] / sums[:, 1], groups=member)
    value, count = float(differences[known].mean()), len(columns)
    units = count if member is None else len(np.unique(member))
    low, high = widened(value, low, high, units)
    return Measure(value=value, low=low, high=high, n=units)
