"""Intervals against published tables, scipy and the coverage they promise."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from saccade.ops import intervals


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [  # Newcombe 1998, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_gives_the_published_values(successes, n, low, high) -> None:
    assert intervals.wilson(successes, n) == pytest.approx((low, high), abs=5e-5)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5000), st.floats(0, 1), st.sampled_from([0.8, 0.95, 0.99]))
def test_wilson_is_scipys(n, share, level) -> None:
    successes = round(share * n)
    expected = stats.binomtest(successes, n).proportion_ci(level, method="wilson")
    found = intervals.wilson(successes, n, level)
    assert found == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert found[0] <= successes / n <= found[1]


def test_wilson_of_nothing_is_everything() -> None:
    assert intervals.wilson(0, 0) == (0.0, 1.0)


def test_f1_interval_lies_around_f1() -> None:
    low, high = intervals.wilson_f1(40, 10, 5)
    assert low < 2 * 40 / (2 * 40 + 15) < high
    assert intervals.wilson_f1(0, 0, 0) == (0.0, 1.0)


def mean(sums: np.ndarray) -> np.ndarray:
    return sums[:, 1] / sums[:, 0]


def columns(values: np.ndarray) -> np.ndarray:
    return np.stack((np.ones_like(values), values), axis=1)


def test_bootstrap_of_a_mean_is_the_normal_interval() -> None:
    values = np.random.default_rng(0).normal(3, 2, 1500)
    low, high = intervals.bootstrap(columns(values), mean, replicates=4000)
    half = 1.96 * values.std() / math.sqrt(len(values))
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.006)


def test_bundles_of_many_examples_keep_the_spread() -> None:
    values = np.sort(np.random.default_rng(0).normal(3, 2, 50_000))  # sorted: the hardest order
    low, high = intervals.bootstrap(columns(values), mean)
    half = 1.96 * values.std() / math.sqrt(len(values))
    assert (high - low) / 2 == pytest.approx(half, rel=0.08)


def test_bootstrap_repeats_and_needs_no_long() -> None:
    values = np.random.default_rng(0).exponential(1, 60_000)
    start = time.perf_counter()
    first = intervals.bootstrap(columns(values), mean)
    assert time.perf_counter() - start < 1.0  # 0.04 s alone on one core
    assert first == intervals.bootstrap(columns(values), mean)


def test_bootstrap_covers_skewed_data() -> None:
    random = np.random.default_rng(1)
    inside = 0
    for seed in range(300):
        low, high = intervals.bootstrap(
            columns(random.exponential(1, 80)), mean, replicates=400, seed=seed
        )
        inside += low <= 1 <= high
    assert 0.90 <= inside / 300 <= 0.98


def test_groups_widen_the_interval_until_it_covers() -> None:
    random = np.random.default_rng(2)
    covered = {"grouped": 0, "alone": 0}
    groups = np.repeat(np.arange(40), 10)
    for seed in range(200):
        values = np.repeat(random.normal(0, 1, 40), 10) + random.normal(0, 0.5, 400)
        for name, member in (("grouped", groups), ("alone", None)):
            low, high = intervals.bootstrap(
                columns(values), mean, groups=member, replicates=300, seed=seed
            )
            covered[name] += low <= 0 <= high
    assert covered["grouped"] / 200 >= 0.90
    assert covered["alone"] / 200 <= 0.65


def test_groups_may_be_names_and_stay_whole() -> None:
    names = np.array(["b", "a", "b", "c", "a"])
    member = intervals.units(5, names)
    assert member[0] == member[2] and member[1] == member[4] and len(set(member)) == 3
    many = np.repeat(np.arange(5000), 3)
    bundled = intervals.units(15_000, many)
    assert (bundled.reshape(-1, 3) == bundled[::3, None]).all()
    assert len(set(bundled)) == intervals.MAX_UNITS


def test_bootstrap_of_nothing_is_unknown() -> None:
    assert all(math.isnan(end) for end in intervals.bootstrap(np.zeros((0, 2)), mean_or_nan))


def mean_or_nan(sums: np.ndarray) -> np.ndarray:
    return np.divide(
        sums[:, 1], sums[:, 0], out=np.full(len(sums), math.nan), where=sums[:, 0] != 0
    )


@settings(max_examples=60, deadline=None)
@given(st.floats(0, 1), st.floats(0, 0.5), st.integers(1, 1000))
def test_logit_interval_stays_between_0_and_1(value, error, n) -> None:
    low, high = intervals.logit_interval(value, error, n)
    assert 0 <= low <= value + 1e-9 and value - 1e-9 <= high <= 1


def test_spread_of_a_mean_is_its_standard_error() -> None:
    values = np.random.default_rng(3).normal(0, 1, 400)
    influence = (values - values.mean()) / 400
    assert intervals.spread(influence) == pytest.approx(values.std() / 20, rel=1e-9)
    together = np.repeat(influence / 4, 4)  # four copies of each are no new examples
    groups = np.repeat(np.arange(400), 4)
    assert intervals.spread(together, groups) == pytest.approx(values.std() / 20, rel=1e-9)


def test_macro_average_of_many_small_classes_has_the_right_width() -> None:
    # twice the classes, half the examples of each: the spread of the mean stays, the bias grows
    random = np.random.default_rng(4)
    drawn = []
    for _ in range(60):
        labels = random.integers(0, 100, 1000)
        guess = np.where(random.random(1000) < 0.5, labels, random.integers(0, 100, 1000))
        drawn.append((labels, guess))
    measured = [float(macro(per_class(*pair).sum(axis=0)[None])[0]) for pair in drawn]
    low, high = intervals.bootstrap_sums(per_class(*drawn[0]), macro)
    assert (high - low) / (2 * 1.96) == pytest.approx(np.std(measured), rel=0.3)
    assert low < np.mean(measured) < high


def per_class(labels: np.ndarray, guess: np.ndarray) -> np.ndarray:
    every = np.arange(100)
    true, claimed = labels[:, None] == every, guess[:, None] == every
    return np.concatenate((true & claimed, ~true & claimed, true & ~claimed), axis=1).astype(float)


def macro(sums: np.ndarray) -> np.ndarray:
    hits, false, missed = np.split(sums, 3, axis=1)
    return np.mean(2 * hits / np.maximum(2 * hits + false + missed, 1), axis=1)
