"""Scores of predictions against targets, in float64 NumPy.

Letters: n examples, K classes, T targets. A score that is not defined (no example, no positive) is
NaN, and averages over classes leave it out.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Truths = npt.NDArray[np.bool_]


# --- one class of several -----------------------------------------------------------------------


def confusion(labels: npt.ArrayLike, predicted: npt.ArrayLike, num_classes: int) -> Integers:
    """(K, K) counts, rows true, columns predicted; pairs with an index below 0 are left out."""
    true = np.asarray(labels, dtype=np.int64)
    guess = np.asarray(predicted, dtype=np.int64)
    kept = (true >= 0) & (guess >= 0)
    cells = true[kept] * num_classes + guess[kept]
    return np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)


def hits_false_missed(table: Integers) -> tuple[Integers, Integers, Integers]:
    """(K, K) confusion -> per class: found rightly, claimed falsely, missed; each (K,)."""
    hits = table.diagonal()
    return hits, table.sum(axis=0) - hits, table.sum(axis=1) - hits


def precision(hits: npt.ArrayLike, false: npt.ArrayLike) -> Array:
    return _ratio(hits, np.add(hits, false))


def recall(hits: npt.ArrayLike, missed: npt.ArrayLike) -> Array:
    return _ratio(hits, np.add(hits, missed))


def f1(hits: npt.ArrayLike, false: npt.ArrayLike, missed: npt.ArrayLike) -> Array:
    """Harmonic mean of precision and recall, 2 hits / (2 hits + false + missed)."""
    twice = 2 * np.asarray(hits, dtype=np.float64)
    return _ratio(twice, twice + np.asarray(false) + np.asarray(missed))


def macro_f1(sums: Array) -> Array:
    """(..., 3 K) hits, false, missed -> (...): mean F1 of the classes seen or claimed."""
    hits, false, missed = np.split(sums, 3, axis=-1)
    return nan_mean(f1(hits, false, missed))


def rank(probabilities: npt.NDArray[Any], labels: Integers) -> Integers:
    """(n,) how many of (n, K) classes come before the label (0 = the best); ties in index order."""
    rows = np.arange(len(labels))
    own = probabilities[rows, labels][:, None]
    earlier = np.arange(probabilities.shape[1])[None] < labels[:, None]
    before = (probabilities > own) | ((probabilities == own) & earlier)
    return np.asarray(before.sum(axis=1), dtype=np.int64)


def balanced_weights(counts: npt.ArrayLike) -> tuple[float, ...]:
    """(K,) examples per class -> weights with which every class counts alike.

    The mean over examples is 1. A class without examples gets 1: its weight is never used.
    """
    amount = np.asarray(counts, dtype=np.float64)
    present = amount > 0
    even = amount.sum() / max(int(present.sum()), 1)
    return tuple(np.where(present, even / np.maximum(amount, 1), 1.0).tolist())


# --- any number of classes at once --------------------------------------------------------------


def average_precision(labels: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Area under the steps of precision over recall; NaN without a positive.

    labels: (n,) 0 or 1; scores: (n,) higher is surer, equal ones enter together, NaN last.
    """
    return average_precision_influence(labels, scores)[0]


def average_precision_influence(
    labels: npt.ArrayLike, scores: npt.ArrayLike
) -> tuple[float, Array]:
    """Average precision, and (n,) its slope in each example's weight (they sum to 0).

    AP = sum over positives i of TP(i) / N(i), divided by the number of positives, where N(i)
    examples, TP(i) of them positive, score at least as high as i.
    """
    true = np.asarray(labels, dtype=np.float64)
    positives = true.sum()
    if positives == 0:
        return math.nan, np.zeros(len(true))
    order, level = _levels(np.asarray(scores))
    ordered = true[order]
    own = np.bincount(level, weights=ordered)  # positives of each level of equal scores
    count, found = np.cumsum(np.bincount(level)), np.cumsum(own)
    value = float((own * found / count).sum() / positives)
    gain = np.cumsum((own / count)[::-1])[::-1]
    cost = np.cumsum((own * found / count**2)[::-1])[::-1]
    slope = ordered * ((found / count)[level] + gain[level] - value) - cost[level]
    influence = np.empty(len(true))
    influence[order] = slope / positives
    return value, influence


def mean_average_precision(targets: Array, scores: Array) -> tuple[float, Array, Array]:
    """Macro average precision over the classes with a positive.

    targets: (n, K) of 0 and 1, NaN missing; scores: (n, K).
    Returns the mean, (K,) of each class, and (n,) the mean's slope in each example's weight.
    """
    num_classes = targets.shape[1]
    values, total = np.full(num_classes, math.nan), np.zeros(len(targets))
    for index in range(num_classes):
        known = ~np.isnan(targets[:, index])
        values[index], slope = average_precision_influence(
            targets[known, index], scores[known, index]
        )
        total[known] += slope
    measured = max(int(np.isfinite(values).sum()), 1)
    return float(nan_mean(values)), values, total / measured


def best_threshold(
    labels: npt.ArrayLike, scores: npt.ArrayLike, *, fallback: float = 0.5, least: int = 5
) -> float:
    """The score from which on a yes gives the highest F1, midway between two neighbouring scores.

    `fallback` where fewer than `least` positives or no negative speak for any choice.
    """
    true = np.asarray(labels, dtype=np.float64)
    sure = np.nan_to_num(np.asarray(scores, dtype=np.float64), nan=0.0)
    positives = true.sum()
    if positives < least or positives == len(true):
        return fallback
    order, level = _levels(sure)
    count = np.cumsum(np.bincount(level))
    found = np.cumsum(np.bincount(level, weights=true[order]))
    best = int(np.argmax(2 * found / (count + positives)))
    last = sure[order][count[best] - 1]
    following = sure[order][count[best]] if count[best] < len(true) else 0.0
    return float((last + following) / 2)


def yes_no_counts(targets: Array, chosen: Truths) -> npt.NDArray[np.float32]:
    """(n, K) targets (NaN missing) and choices -> (n, 3 K): hit, false, missed, each 0 or 1."""
    true, false = targets == 1, targets == 0
    return np.concatenate((true & chosen, false & chosen, true & ~chosen), axis=1).astype(
        np.float32
    )


# --- numbers ------------------------------------------------------------------------------------


def residual_sums(outputs: Array, targets: Array) -> Array:
    """(n, T) outputs and targets (NaN missing) -> (n, 5 T) whose sums give the scores below.

    The columns are 1, |d|, d^2, y and y^2 of each target, d = output - target, y = target less its
    mean.
    """
    known = ~np.isnan(targets)
    distance = np.where(known, outputs - np.where(known, targets, 0.0), 0.0)
    mean = np.where(known, targets, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    centred = np.where(known, targets - mean, 0.0)
    parts = (known.astype(np.float64), np.abs(distance), distance**2, centred, centred**2)
    return np.concatenate(parts, axis=1)


def mae(sums: Array) -> Array:
    """(..., 5 T) of `residual_sums` -> (..., T): mean absolute error."""
    count, absolute, *_ = np.split(sums, 5, axis=-1)
    return _ratio(absolute, count)


def rmse(sums: Array) -> Array:
    """(..., 5 T) -> (..., T): root of the mean squared error."""
    count, _, squared, *_ = np.split(sums, 5, axis=-1)
    return np.asarray(np.sqrt(_ratio(squared, count)))


def r2(sums: Array) -> Array:
    """(..., 5 T) -> (..., T): 1 - squared error / variance; NaN where the targets do not vary."""
    count, _, squared, total, total_squared = np.split(sums, 5, axis=-1)
    variance = total_squared - _ratio(total**2, count)
    varies = variance > 1e-12 * np.maximum(total_squared, 1e-300)
    return np.asarray(1 - _ratio(squared, np.where(varies, variance, 0.0)))


def nan_mean(values: Array) -> Array:
    """Mean over the last axis without NaN; NaN where nothing else is."""
    known = ~np.isnan(values)
    return _ratio(np.where(known, values, 0.0).sum(axis=-1), known.sum(axis=-1))


def _ratio(part: npt.ArrayLike, whole: npt.ArrayLike) -> Array:
    above, below = np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    shape = np.broadcast(above, below).shape
    empty = np.full(shape, math.nan)
    return np.asarray(np.divide(above, below, out=empty, where=below != 0))


def _levels(scores: npt.NDArray[np.generic]) -> tuple[Integers, Integers]:
    """Order from the highest score down, and for each place its level among distinct scores."""
    sure = np.where(np.isnan(scores), -np.inf, scores)
    order = np.argsort(-sure, kind="stable")
    ordered = sure[order]
    return order, np.cumsum(np.concatenate(([0], ordered[1:] != ordered[:-1])))
