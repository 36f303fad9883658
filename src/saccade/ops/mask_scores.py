"""IoU, Dice, pixel accuracy and boundary F from counts of pixels, for many resamples at once.

Counts come as (..., 3 K): right, predicted and true pixels of each class, as `pixels.counts` gives;
on boundaries as (..., 4 K), as `pixels.boundary_counts` gives. A class that neither occurs nor is
predicted has no score (NaN) and no share in means.
"""

from __future__ import annotations

import numpy as np

from saccade.ops.scores import Array, nan_mean


def _parts(sums: Array, count: int) -> tuple[Array, ...]:
    return tuple(np.split(sums, count, axis=-1))


def _ratio(above: Array, below: Array) -> Array:
    known = below > 0
    return np.where(known, above / np.where(known, below, 1), np.nan)


def iou(sums: Array) -> Array:
    """(..., 3 K) -> (..., K): right / (predicted or true)."""
    right, predicted, true = _parts(sums, 3)
    return _ratio(right, predicted + true - right)


def dice(sums: Array) -> Array:
    """(..., 3 K) -> (..., K): 2 right / (predicted + true)."""
    right, predicted, true = _parts(sums, 3)
    return _ratio(2 * right, predicted + true)


def pixel_accuracy(sums: Array) -> Array:
    """(..., 3 K) -> (...): right / all labelled pixels."""
    right, _, true = _parts(sums, 3)
    return _ratio(right.sum(-1), true.sum(-1))


def boundary_f(sums: Array) -> Array:
    """(..., 4 K) -> (..., K): harmonic mean of precision and recall of boundary pixels."""
    drawn, drawn_near, true, true_near = _parts(sums, 4)
    precision = np.where(drawn > 0, drawn_near / np.maximum(drawn, 1), 0.0)
    recall = np.where(true > 0, true_near / np.maximum(true, 1), 0.0)
    both = precision + recall
    f = np.where(both > 0, 2 * precision * recall / np.where(both > 0, both, 1), 0.0)
    return np.where(drawn + true > 0, f, np.nan)


def mean_iou(sums: Array) -> Array:
    return nan_mean(iou(sums))


def mean_dice(sums: Array) -> Array:
    return nan_mean(dice(sums))


def mean_boundary_f(sums: Array) -> Array:
    return nan_mean(boundary_f(sums))
