"""Measures with their intervals, made from scores."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from saccade.ops import intervals, scores
from saccade.types import Measure

Array = npt.NDArray[np.float64]
Counts = npt.NDArray[Any]
Statistic = Callable[[Array], Array]
"""(B, c) sums over examples -> (B,)."""


def proportion(successes: float, n: int) -> Measure:
    """Share of `n`, with Wilson's interval; NaN where n is 0."""
    low, high = intervals.wilson(successes, n)
    return Measure(value=successes / n if n else math.nan, low=low, high=high, n=n)


def bootstrapped(sums: Array, statistic: Statistic, n: int) -> Measure:
    """A statistic of (U, c) sums of units, with the bootstrap's interval."""
    value = float(statistic(sums.sum(axis=0, keepdims=True))[0])
    low, high = intervals.bootstrap_sums(sums, statistic)
    return Measure(value=value, low=low, high=high, n=n)


def macro_f1(sums: Array, n: int) -> Measure:
    """Macro F1 of (U, 3 K) hits, false, missed per unit."""
    measure = bootstrapped(sums, scores.macro_f1, n)
    if measure.low < measure.high or math.isnan(measure.value):
        return replace(measure, low=max(measure.low, 0.0), high=min(measure.high, 1.0))
    # every resample is alike (all right, all wrong): the data still leave room, as for a proportion
    low, high = intervals.wilson(measure.value * n, n)
    return Measure(
        value=measure.value, low=min(low, measure.value), high=max(high, measure.value), n=n
    )


def average_precision(targets: Array, probabilities: Array) -> tuple[Measure, Array]:
    """Macro average precision of (n, K), NaN targets missing, and (K,) of each class."""
    value, each, influence = scores.mean_average_precision(targets, probabilities)
    n = int((~np.isnan(targets)).any(axis=1).sum())
    low, high = intervals.logit_interval(value, intervals.spread(influence), n)
    return Measure(value=value, low=low, high=high, n=n), each


def per_class(
    classes: tuple[str, ...], hits: Counts, false: Counts, missed: Counts
) -> dict[str, dict[str, Any]]:
    """Precision, recall and F1 of each class with intervals, as plain JSON."""
    rows: dict[str, dict[str, Any]] = {}
    ratios = scores.f1(hits, false, missed)
    for index, name in enumerate(classes):
        hit, wrong, lost = int(hits[index]), int(false[index]), int(missed[index])
        low, high = intervals.wilson_f1(hit, wrong, lost)
        total = hit + wrong + lost
        rows[name] = {
            "examples": hit + lost,
            "precision": plain(proportion(hit, hit + wrong)),
            "recall": plain(proportion(hit, hit + lost)),
            "f1": plain(Measure(value=float(ratios[index]), low=low, high=high, n=total)),
        }
    return rows


def plain(measure: Measure) -> dict[str, float | int | None]:
    """A measure as JSON; NaN becomes None."""
    return {
        "value": number(measure.value),
        "low": number(measure.low),
        "high": number(measure.high),
        "n": measure.n,
    }


def number(value: float) -> float | None:
    """None for NaN, which JSON does not know."""
    return None if math.isnan(value) else float(value)
