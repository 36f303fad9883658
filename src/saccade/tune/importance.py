"""How much of the differences between trials each axis explains."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from saccade.tune.outcome import Trial
from saccade.tune.space import Axis, Choice

FEWEST = 4
"""Finished trials below which nothing can be said."""


def importance(
    trials: Sequence[Trial], axes: Sequence[Axis], base: Mapping[str, Any]
) -> dict[str, float]:
    """Axis -> share of the variance between finished trials, largest first; they add up to 1.

    A functional analysis of variance of a forest fitted to the trials (Hutter and others 2014). An
    axis that was not free in a trial stood at its `base` value there. Empty where too few trials
    are finished or all came out alike.
    """
    done = [each for each in trials if each.state == "done" and math.isfinite(each.value)]
    if len(done) < FEWEST or len({each.value for each in done}) < 2:
        return {}
    study = optuna.create_study(storage=optuna.storages.InMemoryStorage())
    for each in done:
        values = {
            axis.name: _inside(axis, each.drawn.get(axis.name, base[axis.name])) for axis in axes
        }
        study.add_trial(
            optuna.create_trial(
                params=values,
                distributions={axis.name: _distribution(axis) for axis in axes},
                value=each.value,
            )
        )
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))


def _inside(axis: Axis, value: Any) -> Any:
    """The value as one of the axis: a default may lie beyond its ends."""
    if isinstance(axis, Choice):
        return value if value in axis.options else axis.options[0]
    return float(min(max(value, axis.low), axis.high))


def _distribution(axis: Axis) -> BaseDistribution:
    if isinstance(axis, Choice):
        return CategoricalDistribution(axis.options)
    return FloatDistribution(axis.low, axis.high, log=axis.log)
