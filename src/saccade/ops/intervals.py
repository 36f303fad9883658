"""How sure a measured number is: intervals of proportions and of statistics of many examples.

All arithmetic is float64 NumPy on the CPU; the same seed gives the same interval on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Interval = tuple[float, float]

MAX_UNITS = 2000
"""Units resampled at most. More examples are first put into this many random bundles: their sums
have the same spread, and a million examples cost no more than two thousand."""

MAX_DRAWN = 1_000_000
"""Bound of replicates x columns: with many columns (three per class) fewer replicates are drawn."""

_NORMAL = NormalDist()


def wilson(successes: float, n: float, level: float = 0.95) -> Interval:
    """Interval of a proportion successes / n; (0, 1) where n is 0.

    Wilson 1927; the score method, number 3 in Newcombe 1998 (Statistics in Medicine 17, 857-872).
    """
    if n <= 0:
        return 0.0, 1.0
    z = _NORMAL.inv_cdf((1 + level) / 2)
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low = 0.0 if successes <= 0 else max(0.0, centre - half)
    high = 1.0 if successes >= n else min(1.0, centre + half)
    return low, high


def wilson_f1(hits: float, false: float, missed: float, level: float = 0.95) -> Interval:
    """Interval of F1 = 2 hits / (2 hits + false + missed).

    hits / (hits + false + missed) is a proportion J, and F1 = 2 J / (1 + J) grows with it.
    """
    low, high = wilson(hits, hits + false + missed, level)
    return 2 * low / (1 + low), 2 * high / (1 + high)


def mean_interval(
    values: npt.ArrayLike, groups: npt.ArrayLike | None = None, *, level: float = 0.95
) -> tuple[float, float, float, int]:
    """Mean of (n,) numbers, its interval, and what it stands on: examples, or groups where given.

    Wilson for zeros and ones, else the (clustered) bootstrap. NaN are left out.
    """
    table = np.asarray(values, dtype=np.float64)
    known = np.isfinite(table)
    table = table[known]
    if len(table) == 0:
        return math.nan, math.nan, math.nan, 0
    value = float(table.mean())
    binary = bool(np.isin(table, (0.0, 1.0)).all())
    if groups is None and binary:
        return value, *wilson(float(table.sum()), len(table), level), len(table)
    member = None if groups is None else np.asarray(groups)[known]
    count = len(table) if member is None else len(np.unique(member))
    columns = np.stack([table, np.ones_like(table)], axis=1)
    low, high = bootstrap(columns, lambda sums: sums[:, 0] / sums[:, 1], groups=member, level=level)
    if binary and low == high:
        # all groups alike: the bootstrap sees no spread, a trial per group does
        low, high = wilson(value * count, count, level)
    else:
        low, high = widened(value, low, high, count, level)
    low = max(0.0, low) if table.min() >= 0 else low
    high = min(1.0, high) if table.max() <= 1 else high
    return value, low, high, count


def widened(
    value: float, low: float, high: float, count: int, level: float = 0.95
) -> tuple[float, float]:
    """A bootstrap interval as wide as a small sample asks for.

    Percentiles are too narrow by sqrt((n - 1) / n) and know nothing of Student's t (Hesterberg
    2015, "What teachers should know about the bootstrap", https://arxiv.org/abs/1411.5279, section
    4.1). Of one example nothing is known but that others may be 0 or as large again as all errors.
    """
    if count == 1:
        return min(0.0, value), max(1.0, 40 * value)
    from scipy.special import stdtrit  # only mixed errors need it

    half = 0.5 + level / 2
    student = float(stdtrit(count - 1, half)) / _NORMAL.inv_cdf(half)
    factor = student * math.sqrt(count / (count - 1))
    return value - factor * (value - low), value + factor * (high - value)


def difference(
    first: tuple[float, float, float], second: tuple[float, float, float]
) -> tuple[float, float, float]:
    """First - second of independent numbers (value, low, high), with its interval.

    Squared distances to the limits add up; of two Wilson intervals this is method 10 of Newcombe
    1998 (Statistics in Medicine 17, 873-890), of others the MOVER of Zou and Donner 2008.
    """
    (a, a_low, a_high), (b, b_low, b_high) = first, second
    value = a - b
    low = value - math.hypot(a - a_low, b_high - b)
    high = value + math.hypot(a_high - a, b - b_low)
    return value, low, high


def units(n: int, groups: npt.ArrayLike | None = None, *, seed: int = 0) -> npt.NDArray[np.int64]:
    """(n,) the unit 0, 1, ... that each example is resampled with.

    groups  (n,) of anything that sorts: examples of one group (a patient, a place) stay together,
            because they are alike and count for less than as many independent ones
    """
    if groups is None:
        member = np.arange(n, dtype=np.int64)
    else:
        member = np.unique(np.asarray(groups), return_inverse=True)[1].reshape(-1).astype(np.int64)
    count = int(member.max()) + 1 if n else 0
    if count <= MAX_UNITS:
        return member
    shuffled = np.random.default_rng(seed).permutation(count) % MAX_UNITS
    return shuffled.astype(np.int64)[member]


def bootstrap(
    columns: npt.ArrayLike,
    statistic: Callable[[Array], Array],
    *,
    groups: npt.ArrayLike | None = None,
    replicates: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Interval of a statistic that is a function of sums over examples.

    columns    (n, c): c numbers of each example
    statistic  (B, c) sums over examples -> (B,), for instance sums[:, 0] / sums[:, 1]
    groups     (n,): whole groups are drawn (the clustered bootstrap)
    """
    table = np.asarray(columns, dtype=np.float64)
    member = units(len(table), groups, seed=seed)
    return bootstrap_sums(
        unit_sums(table, member), statistic, replicates=replicates, seed=seed, level=level
    )


def unit_sums(columns: npt.NDArray[np.generic], member: npt.NDArray[np.int64]) -> Array:
    """(n, c) columns of examples -> (U, c) sums over the examples of each unit."""
    count = int(member.max()) + 1 if len(member) else 0
    sums = [np.bincount(member, weights=column, minlength=count) for column in columns.T]
    return np.stack(sums, axis=1) if sums else np.zeros((count, 0))


def bootstrap_sums(
    sums: Array,
    statistic: Callable[[Array], Array],
    *,
    replicates: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """`bootstrap` for (U, c) sums of U units: percentiles, less the bias that the replicates show.

    Resampled macro averages lie below the measured one where classes are small; so would their
    percentiles. The interval always includes the measured value.
    """
    count, width = sums.shape
    value = float(statistic(sums.sum(axis=0, keepdims=True))[0])
    if count == 0 or not math.isfinite(value):
        return math.nan, math.nan
    draws = max(100, min(replicates, MAX_DRAWN // max(width, 1)))
    random = np.random.default_rng(seed)
    chosen = random.integers(0, count, size=(draws, count), dtype=np.int64)
    chosen += np.arange(draws, dtype=np.int64)[:, None] * count
    times = np.bincount(chosen.ravel(), minlength=draws * count).reshape(draws, count)
    values = statistic(times.astype(np.float64) @ sums)
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return math.nan, math.nan
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2]) - (values.mean() - value)
    return min(float(low), value), max(float(high), value)


def spread(influence: Array, groups: npt.ArrayLike | None = None) -> float:
    """Standard error of a statistic from (n,) influences, its slopes in each example's weight.

    The infinitesimal jackknife (Jaeckel 1972): what the bootstrap's spread tends to.
    """
    if groups is None:
        return float(np.sqrt(np.square(influence).sum()))
    member = np.unique(np.asarray(groups), return_inverse=True)[1].reshape(-1)
    return float(np.sqrt(np.square(np.bincount(member, weights=influence)).sum()))


def logit_interval(value: float, error: float, n: float, level: float = 0.95) -> Interval:
    """Interval of a number in 0..1 with standard error `error`, never outside 0..1.

    Normal on the scale of log(v / (1 - v)), as Boyd, Eng and Page 2013 recommend for the average
    precision. Where the value is 0 or 1, or no spread was seen, Wilson's interval of n trials.
    """
    if not math.isfinite(value):
        return math.nan, math.nan
    if value <= 0 or value >= 1 or error <= 0:
        low, high = wilson(value * n, n, level)
        return min(low, value), max(high, value)
    half = _NORMAL.inv_cdf((1 + level) / 2) * error / (value * (1 - value))
    odds = math.log(value / (1 - value))
    return _sigmoid(odds - half), _sigmoid(odds + half)


def _sigmoid(value: float) -> float:
    return 0.5 * (1 + math.tanh(value / 2))
