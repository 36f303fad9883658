"""The power law through a learning curve, with intervals that count every source of chance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from saccade.ops.intervals import unit_sums, units
from saccade.ops.power_law import Array, PowerLaws, fit_power_laws
from saccade.types import Measure

REPLICATES = 1000
LEAST_SPREAD = 0.02
"""Trainings differ by at least this share of their error, however well a law fits a few of them."""


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
    sizes: npt.NDArray[np.int64], errors: Array, classes: npt.NDArray[np.str_], *, seed: int = 0
) -> Fit:
    """Fit trainings. sizes: (P,) examples; errors: (P, n) of the same dev examples; classes: (n,).

    Chance lies in which examples are in dev (drawn anew, the same ones for every training) and in
    each training (measured where a size was trained repeatedly, else by the distance to the law).
    """
    random = np.random.default_rng(seed)
    means = errors.mean(axis=1)
    weights = 1 / np.maximum(means.mean() * means, 1e-12)  # the spread grows with the error
    law = fit_power_laws(sizes, means[None], weights)
    noise = _noise(sizes, means, law)
    drawn = _resampled(errors, random)  # (B, P)
    drawn = drawn * (1 + noise * random.standard_normal(drawn.shape))
    laws = fit_power_laws(sizes, drawn, weights)
    full, count = float(sizes.max()), errors.shape[1]
    twice = laws.at([2 * full])[:, 0]
    twice = twice * (1 + noise * random.standard_normal(len(twice)))
    gains = (laws.at([full]) - laws.at([2 * full]))[:, 0]
    ahead = law.at([full, 2 * full])[0]
    span = np.geomspace(sizes.min(), 4 * full, 40)
    low, high = np.quantile(laws.at(span), (0.025, 0.975), axis=0)
    return Fit(
        floor=float(law.floor[0]),
        factor=float(law.factor[0]),
        exponent=float(law.exponent[0]),
        now=float(means[sizes == full].mean()),
        twice=_measure(float(ahead[1]), twice, count),
        gain=_measure(float(ahead[0] - ahead[1]), gains, count),
        classes=_by_class(sizes, errors, classes, law, noise, random),
        band=(span, low, law.at(span)[0], high),
    )


def _noise(sizes: npt.NDArray[np.int64], means: Array, law: PowerLaws) -> float:
    """Relative standard deviation of one training's error."""
    known = np.maximum(law.at(sizes)[0], 1e-12)
    same = [means[sizes == size] for size in np.unique(sizes)]
    free = sum(len(group) - 1 for group in same)
    if free > 0:
        scatter = sum(
            float(((group / group.mean() - 1) ** 2).sum()) for group in same if group.mean()
        )
    else:
        free = max(1, len(sizes) - 3)
        scatter = float(((means / known - 1) ** 2).sum())
    return max(LEAST_SPREAD, float(np.sqrt(scatter / free)))


def _resampled(errors: Array, random: np.random.Generator) -> Array:
    """(P, n) -> (B, P) means over dev examples drawn with replacement."""
    member = units(errors.shape[1])
    sums = unit_sums(np.vstack([errors, np.ones(errors.shape[1])]).T, member)  # (U, P + 1)
    times = random.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=REPLICATES)
    totals = times @ sums
    means: Array = totals[:, :-1] / totals[:, -1:]
    return means


def _by_class(
    sizes: npt.NDArray[np.int64],
    errors: Array,
    classes: npt.NDArray[np.str_],
    law: PowerLaws,
    noise: float,
    random: np.random.Generator,
) -> dict[str, tuple[float, Measure]]:
    """One class has too few dev examples for an exponent of its own: it takes that of all."""
    found = {}
    for name in sorted(set(classes.tolist()) - {""}):
        own = errors[:, classes == name]
        drawn = _resampled(own, random)
        drawn = np.maximum(drawn * (1 + noise * random.standard_normal(drawn.shape)), 0.0)
        alike = np.full(len(drawn) + 1, law.exponent[0])
        every = np.vstack([own.mean(axis=1)[None], drawn])
        laws = fit_power_laws(sizes, every, np.ones(len(sizes)), exponents=alike)
        ahead = laws.at([2 * sizes.max()])[:, 0]
        now = float(own[sizes == sizes.max()].mean())
        found[name] = now, _measure(float(ahead[0]), ahead[1:], own.shape[1])
    return found


def _measure(value: float, replicates: Array, count: int) -> Measure:
    low, high = np.quantile(replicates, (0.025, 0.975))
    return Measure(value=value, low=min(float(low), value), high=max(float(high), value), n=count)
