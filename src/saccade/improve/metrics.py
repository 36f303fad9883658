"""Metrics as sums over examples, so that runs can be compared on resampled examples.

Of classes: accuracy, error, f1 (macro), recall_CLASS, precision_CLASS; of any task: error, loss.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from saccade.errors import SaccadeError

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """One run on the examples that all runs share.

    error, loss, weight: (n,);  target, label: (n,) class numbers, or None where a task has none
    groups: (n,) examples of one group (a patient, a place) stand for less; None = no groups
    """

    error: Array
    loss: Array
    weight: Array
    classes: tuple[str, ...]
    target: npt.NDArray[np.int64] | None = None
    label: npt.NDArray[np.int64] | None = None
    groups: Sequence[str] | None = None


@dataclass(frozen=True)
class Metric:
    """columns: scores -> (n, c);  statistic: (B, c) sums -> (B,).

    larger: whether larger is better;  binary: mean of zeros and ones, which McNemar's test takes
    """

    name: str
    columns: Callable[[Scores], Array]
    statistic: Callable[[Array], Array]
    larger: bool
    binary: bool = False

    def of(self, scores: Scores) -> float:
        """Its value."""
        return float(self.statistic(self.columns(scores).sum(axis=0, keepdims=True))[0])


def find_metric(name: str, scores: Scores) -> Metric:
    """The metric of that name for these scores. Raises SaccadeError that lists what there is."""
    if name == "loss":
        return Metric(name, lambda s: _mean(s.loss, s.weight), _ratio, larger=False)
    if name == "error":
        binary = bool(np.isin(scores.error, (0.0, 1.0)).all())
        return Metric(name, lambda s: _mean(s.error, s.weight), _ratio, False, binary)
    if scores.target is not None:
        if name == "accuracy":
            return Metric(name, lambda s: _mean(1 - s.error, s.weight), _ratio, True, True)
        if name == "f1":
            return Metric(name, _counts, _macro_f1, larger=True)
        for kind, column in (("recall_", 1), ("precision_", 2)):
            wanted = name.removeprefix(kind)
            if name.startswith(kind) and wanted in scores.classes:
                return _per_class(name, scores.classes.index(wanted), column)
    known = known_metrics(scores)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}."
    raise SaccadeError(f"metric {name!r}: {hint}", name="unknown-metric")


def known_metrics(scores: Scores) -> list[str]:
    """Every name that `find_metric` takes for these scores."""
    if scores.target is None:
        return ["error", "loss"]
    per_class = [f"{kind}_{name}" for kind in ("recall", "precision") for name in scores.classes]
    return ["accuracy", "f1", "error", "loss", *per_class]


def class_weights(
    targets: npt.NDArray[np.int64] | None, classes: Sequence[str], weights: Mapping[str, float]
) -> Array:
    """(n,) weight of each example by its true class. Raises SaccadeError for an unknown class."""
    strangers = sorted(set(weights) - set(classes))
    if strangers or (weights and targets is None):
        raise SaccadeError(
            f"--weight {strangers[0] if strangers else next(iter(weights))}: no class of these "
            f"runs; there are {', '.join(classes) or 'none'}.",
            name="bad-weight",
        )
    of_class = np.array([weights.get(name, 1.0) for name in classes], dtype=np.float64)
    return np.ones(0) if targets is None else of_class[targets]


def _mean(values: Array, weights: Array) -> Array:
    return np.stack([values * weights, weights], axis=1)


def _ratio(sums: Array) -> Array:
    values: Array = sums[:, 0] / np.maximum(sums[:, 1], 1e-30)
    return values


def _counts(scores: Scores) -> Array:
    """(n, 3 K): hits, true ones and predicted ones of each class."""
    assert scores.target is not None and scores.label is not None
    identity = np.eye(len(scores.classes))
    true, said = identity[scores.target], identity[scores.label]
    return np.concatenate([true * said, true, said], axis=1) * scores.weight[:, None]


def _macro_f1(sums: Array) -> Array:
    """Mean over the classes that occur at all."""
    hits, true, said = np.split(sums, 3, axis=1)
    there = true + said > 0
    each = np.where(there, 2 * hits / np.maximum(true + said, 1e-30), 0.0)
    values: Array = each.sum(axis=1) / np.maximum(there.sum(axis=1), 1)
    return values


def _per_class(name: str, place: int, column: int) -> Metric:
    def columns(scores: Scores) -> Array:
        count = len(scores.classes)
        return _counts(scores)[:, [place, column * count + place]]

    return Metric(name, columns, _ratio, larger=True)
