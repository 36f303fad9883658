"""Scores against scikit-learn, and slopes against small changes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from saccade.ops import intervals, scores

TRIALS = settings(max_examples=40, deadline=None)


@TRIALS
@given(st.integers(2, 7), st.integers(1, 60), st.integers(0, 10**6))
def test_confusion_precision_recall_f1_are_sklearns(classes, n, seed) -> None:
    random = np.random.default_rng(seed)
    labels, guess = random.integers(0, classes, n), random.integers(0, classes, n)
    table = scores.confusion(labels, guess, classes)
    every = list(range(classes))
    assert (table == metrics.confusion_matrix(labels, guess, labels=every)).all()
    hits, false, missed = scores.hits_false_missed(table)
    expected = metrics.precision_recall_fscore_support(
        labels, guess, labels=every, zero_division=np.nan
    )
    np.testing.assert_allclose(scores.precision(hits, false), expected[0], atol=1e-9)
    np.testing.assert_allclose(scores.recall(hits, missed), expected[1], atol=1e-9)
    macro = metrics.f1_score(labels, guess, average="macro")  # over classes seen or claimed
    sums = np.concatenate((hits, false, missed)).astype(float)
    assert float(scores.macro_f1(sums)) == pytest.approx(macro, abs=1e-9)


def test_confusion_leaves_out_what_is_missing() -> None:
    assert scores.confusion([0, -1, 1], [0, 1, -1], 2).tolist() == [[1, 0], [0, 0]]


@TRIALS
@given(st.integers(6, 9), st.integers(1, 40), st.integers(0, 10**6))
def test_rank_is_the_place_in_the_sorted_row(classes, n, seed) -> None:
    random = np.random.default_rng(seed)
    table = random.integers(0, 4, (n, classes)) / 4.0  # many ties
    labels = random.integers(0, classes, n)
    places = [
        sorted(range(classes), key=lambda k, row=row: (-row[k], k)).index(label)
        for row, label in zip(table, labels, strict=True)
    ]
    assert scores.rank(table, labels).tolist() == places


@TRIALS
@given(st.integers(1, 200), st.integers(1, 30), st.integers(0, 10**6))
def test_average_precision_is_sklearns_with_and_without_ties(n, levels, seed) -> None:
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, n)
    labels[random.integers(n)] = 1
    sure = random.integers(0, levels, n) / levels
    expected = metrics.average_precision_score(labels, sure)
    assert scores.average_precision(labels, sure) == pytest.approx(expected, abs=1e-9)


def test_average_precision_needs_a_positive() -> None:
    value, influence = scores.average_precision_influence([0, 0], [0.1, 0.2])
    assert math.isnan(value) and not influence.any()


def test_influence_is_the_slope_in_an_examples_weight() -> None:
    random = np.random.default_rng(0)
    labels, sure = random.integers(0, 2, 30), random.integers(0, 12, 30) / 12
    _, influence = scores.average_precision_influence(labels, sure)
    for row in range(30):
        weights = np.ones(30)
        weights[row] += 1e-6
        up = metrics.average_precision_score(labels, sure, sample_weight=weights)
        weights[row] -= 2e-6
        down = metrics.average_precision_score(labels, sure, sample_weight=weights)
        assert influence[row] == pytest.approx((up - down) / 2e-6, abs=1e-6)
    assert influence.sum() == pytest.approx(0, abs=1e-12)


def test_mean_average_precision_covers() -> None:
    random = np.random.default_rng(1)

    def draw(n: int) -> tuple[np.ndarray, np.ndarray]:
        targets = (random.random((n, 4)) < [0.5, 0.3, 0.3, 0.2]).astype(float)
        return targets, targets + random.normal(0, 0.8, (n, 4))

    truth = scores.mean_average_precision(*draw(200_000))[0]
    inside = 0
    for _ in range(200):
        value, _, influence = scores.mean_average_precision(*draw(150))
        low, high = intervals.logit_interval(value, intervals.spread(influence), 150)
        inside += low <= truth <= high
    assert inside / 200 >= 0.90


def test_mean_average_precision_leaves_out_missing_labels_and_empty_classes() -> None:
    targets = np.array([[1, 0, math.nan], [0, 0, 1], [1, 0, 0], [0, 0, 1]])
    sure = np.array([[0.9, 0.1, 0.99], [0.8, 0.2, 0.5], [0.1, 0.3, 0.6], [0.2, 0.4, 0.9]])
    value, each, influence = scores.mean_average_precision(targets, sure)
    third = metrics.average_precision_score([1, 0, 1], [0.5, 0.6, 0.9])
    first = metrics.average_precision_score(targets[:, 0], sure[:, 0])
    np.testing.assert_allclose(each, [first, math.nan, third])
    assert value == pytest.approx((first + third) / 2)
    assert influence.shape == (4,)


@TRIALS
@given(st.integers(12, 80), st.integers(2, 40), st.integers(0, 10**6))
def test_no_other_threshold_has_a_higher_f1(n, levels, seed) -> None:
    random = np.random.default_rng(seed)
    labels, sure = random.integers(0, 2, n), random.integers(0, levels, n) / levels
    chosen = scores.best_threshold(labels, sure, least=1)
    if 0 < labels.sum() < n:
        best = metrics.f1_score(labels, sure >= chosen)
        every = [metrics.f1_score(labels, sure >= cut) for cut in np.unique(sure)]
        assert best == pytest.approx(max(every), abs=1e-12)
    assert 0 <= chosen <= 1


@pytest.mark.parametrize("labels", [[0] * 9, [1] * 9, [1, 1, 1, 1, 0, 0, 0, 0, 0]])
def test_threshold_falls_back_where_too_little_speaks_for_one(labels) -> None:
    assert scores.best_threshold(labels, np.linspace(0, 1, 9)) == 0.5


def test_balanced_weights_are_sklearns() -> None:
    from sklearn.utils.class_weight import compute_class_weight

    labels = np.repeat([0, 1, 2], [60, 30, 10])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    assert scores.balanced_weights([60, 30, 10]) == pytest.approx(tuple(expected))
    assert scores.balanced_weights([60, 0, 20]) == pytest.approx((2 / 3, 1.0, 2.0))


@TRIALS
@given(st.integers(2, 50), st.integers(1, 4), st.integers(0, 10**6))
def test_numbers_are_sklearns(n, targets, seed) -> None:
    random = np.random.default_rng(seed)
    true = random.normal(1000, 3, (n, targets))
    guess = true + random.normal(0, 1, (n, targets))
    sums = scores.residual_sums(guess, true).sum(axis=0)
    raw = {"multioutput": "raw_values"}
    expected = metrics.mean_absolute_error(true, guess, **raw)
    np.testing.assert_allclose(scores.mae(sums), expected, rtol=1e-9)
    expected = metrics.root_mean_squared_error(true, guess, **raw)
    np.testing.assert_allclose(scores.rmse(sums), expected, rtol=1e-9)
    np.testing.assert_allclose(scores.r2(sums), metrics.r2_score(true, guess, **raw), rtol=1e-7)


def test_r2_is_unknown_where_targets_do_not_vary() -> None:
    sums = scores.residual_sums(np.array([[1.0], [2.0]]), np.array([[5.0], [5.0]])).sum(axis=0)
    assert math.isnan(scores.r2(sums)[0]) and scores.mae(sums)[0] == 3.5


def test_missing_numbers_are_left_out() -> None:
    true = np.array([[1.0, math.nan], [math.nan, 4.0], [3.0, 8.0]])
    guess = np.array([[2.0, 9.0], [9.0, 5.0], [3.0, 5.0]])
    sums = scores.residual_sums(guess, true).sum(axis=0)
    np.testing.assert_allclose(scores.mae(sums), [0.5, 2.0])
    np.testing.assert_allclose(scores.r2(sums), [1 - 1 / 2, 1 - 10 / 8])
