"""The power law through a learning curve, with intervals that count every source of chance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from saccade.ops.intervals import unit_sums, units, wilson
from saccade.ops.power_law import Array, PowerLaws, fit_power_laws
from saccade.types import Measure

REPLICATES = 1000
LEAST_SPREAD, MOST_SPREAD = 0.02, 0.3
"""Trainings differ by at least this share of their error, however well a law fits a few of them;
where it fits worse than the other, it is the law that is at fault."""

FEW = 5
"""Mistakes in dev below which resampling them does not show how many there might be."""


@dataclass(frozen=True, kw_only=True)
class Fit:
    """error = floor + factor * examples ** -exponent.

    now      measured on all examples;  twice: foreseen for twice as many
    gain     of the law from now to twice
    classes  class -> its error now, and foreseen
    band     sizes, and low, middle and high of the law there, for a picture
    """

    floor: float
    factor: float
    exponent: float
    now: float
    twice: Measure
    gain: Measure
    classes: Mapping[str, tuple[float, Measure]]
    band: tuple[Array, Array, Array, Array]


def fit_curve(
    sizes: npt.NDArray[np.int64],
    errors: Array,
    classes: npt.NDArray[np.str_],
    *,
    groups: npt.NDArray[np.str_] | None = None,
    most: float = math.inf,
    seed: int = 0,
) -> Fit:
    """Fit trainings. sizes: (P,) examples; errors: (P, n) of the same dev examples; classes: (n,).

    groups: (n,) examples of one group are drawn together; None = no groups. most: the largest error
    there is, 1 where errors are shares.

    Chance lies in which examples are in dev (drawn anew, the same ones for every training) and in
    each training (measured where a size was trained repeatedly, else by the distance to the law).
    """
    random = np.random.default_rng(seed)
    means = errors.mean(axis=1)
    weights = 1 / np.maximum(means.mean() * means, 1e-12)  # the spread grows with the error
    law = fit_power_laws(sizes, means[None], weights)
    noise = _noise(sizes, means, law, errors.shape[1])
    drawn = _resampled(errors, groups, random)  # (B, P)
    drawn = drawn * (1 + noise * random.standard_normal(drawn.shape))
    laws = fit_power_laws(sizes, drawn, weights)
    full, count = float(sizes.max()), errors.shape[1]
    twice = laws.at([2 * full])[:, 0]
    twice = twice * (1 + noise * random.standard_normal(len(twice)))
    gains = (laws.at([full]) - laws.at([2 * full]))[:, 0]
    ahead = law.at([full, 2 * full])[0]
    span = np.geomspace(sizes.min(), 4 * full, 40)
    low, high = np.quantile(laws.at(span), (0.025, 0.975), axis=0)
    foreseen = _at_least(_measure(float(ahead[1]), twice, count), errors[sizes == full])
    by_class = _by_class(sizes, errors, classes, groups, law, noise, random)
    return Fit(
        floor=float(law.floor[0]),
        factor=float(law.factor[0]),
        exponent=float(law.exponent[0]),
        now=float(means[sizes == full].mean()),
        twice=_within(foreseen, most),
        gain=_measure(float(ahead[0] - ahead[1]), gains, count),
        classes={name: (now, _within(then, most)) for name, (now, then) in by_class.items()},
        band=(span, low, law.at(span)[0], high),
    )


def _noise(sizes: npt.NDArray[np.int64], means: Array, law: PowerLaws, count: int) -> float:
    """Relative standard deviation of one training's error; larger errors tell more of it.

    count: examples in dev, below one of which no error can be told from none.
    """
    same = [means[sizes == size] for size in np.unique(sizes)]
    free = len(means) - len(same)
    if free > 0:
        middle = np.concatenate([np.full(len(group), group.mean()) for group in same])
        measured = np.concatenate(same)
    else:
        middle, measured, free = law.at(sizes)[0], means, max(1, len(sizes) - 3)
    middle = middle + 1 / count
    scatter = float(((measured + 1 / count - middle) ** 2 / middle).sum() / middle.mean())
    return float(np.clip(np.sqrt(scatter / free), LEAST_SPREAD, MOST_SPREAD))


def _resampled(
    errors: Array, groups: npt.NDArray[np.str_] | None, random: np.random.Generator
) -> Array:
    """(P, n) -> (B, P) means over dev examples, or groups of them, drawn with replacement."""
    member = units(errors.shape[1], groups)
    sums = unit_sums(np.vstack([errors, np.ones(errors.shape[1])]).T, member)  # (U, P + 1)
    times = random.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=REPLICATES)
    totals = times @ sums
    means: Array = totals[:, :-1] / totals[:, -1:]
    return means


def _by_class(
    sizes: npt.NDArray[np.int64],
    errors: Array,
    classes: npt.NDArray[np.str_],
    groups: npt.NDArray[np.str_] | None,
    law: PowerLaws,
    noise: float,
    random: np.random.Generator,
) -> dict[str, tuple[float, Measure]]:
    """Each class from its error now, which falls by the factor that its own law foresees.

    One class has too few dev examples for an exponent of its own: it takes that of all.
    """
    weights = 1 / np.maximum(errors.mean(axis=1), 1e-3)
    full = float(sizes.max())
    found = {}
    for name in sorted(set(classes.tolist()) - {""}):
        own = errors[:, classes == name]
        kinds = None if groups is None else groups[classes == name]
        # half a mistake more and half less: none in twenty is not none at all
        drawn = (_resampled(own, kinds, random) * own.shape[1] + 0.5) / (own.shape[1] + 1)
        drawn = drawn * np.maximum(1 + noise * random.standard_normal(drawn.shape), 0.0)
        every = np.vstack([own.mean(axis=1)[None], drawn])
        alike = np.full(len(every), law.exponent[0])
        ahead = fit_power_laws(sizes, every, weights, exponents=alike).at([full, 2 * full])
        falls = ahead[:, 1] / np.maximum(ahead[:, 0], 1e-12)
        falls = np.where(ahead[:, 0] > 0, falls, 1.0)
        now = float(own[sizes == sizes.max()].mean())
        then = drawn[:, sizes == sizes.max()].mean(axis=1) * falls[1:]
        found[name] = now, _measure(now * float(falls[0]), then, own.shape[1])
    return found


def _at_least(foreseen: Measure, errors: Array) -> Measure:
    """With hardly a mistake in dev, the interval reaches as far as Wilson's of what was seen."""
    mistakes = float((errors > 0).sum(axis=1).mean())
    if mistakes >= FEW:
        return foreseen
    high = wilson(mistakes, errors.shape[1])[1] * float(errors.max(initial=0.0) or 1.0)
    return replace(foreseen, high=max(foreseen.high, high))


def _within(measure: Measure, most: float) -> Measure:
    """No error is below 0, or above the largest there is."""
    value, low, high = (min(max(0.0, x), most) for x in (measure.value, measure.low, measure.high))
    return replace(measure, value=value, low=low, high=high)


def _measure(value: float, replicates: Array, count: int) -> Measure:
    low, high = np.quantile(replicates, (0.025, 0.975))
    return Measure(value=value, low=min(float(low), value), high=max(float(high), value), n=count)
