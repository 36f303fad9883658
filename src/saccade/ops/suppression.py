"""Which of many boxes that show the same object are kept. Boxes: see `ops.boxes`."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from saccade.ops.boxes import paired_iou

FIRST = 2
"""Times the wanted number of boxes: candidates looked at before the next ones are needed at all."""

GROWTH = 10
"""Of the number of candidates from one block to the next."""

FEW_PAIRS = 1000
"""Pairs for each class up to which all are compared at once, in a few operations; beyond, a search
for each class costs less."""

Rows = npt.NDArray[np.int64]


def suppress(
    boxes: Tensor, scores: Tensor, labels: Tensor, *, threshold: float = 0.5, limit: int = 300
) -> Tensor:
    """Non-maximum suppression within each class.

    The best box is kept, those of its class that overlap it by more than `threshold` are not, and
    so on with the best of the rest.

    Args:
        boxes: (M, 4).
        scores: (M,) higher is better.
        labels: (M,) int64.
        threshold: IoU.
        limit: how many are kept at most.

    Returns:
        (n,) int64 rows of the kept, best first: the first `limit` of what the full search keeps.
        Only as many candidates are looked at as these need, because a box depends on none worse
        than itself.
    """
    if boxes.device.type != "cpu":
        order = scores.argsort(descending=True, stable=True)
        return order[_apart(boxes[order], labels[order], threshold)[:limit]]
    ranked = best_first(scores)
    found = _sorted(boxes.detach().numpy(), labels.numpy(), ranked)
    kept = np.zeros(0, dtype=np.int64)
    start, step = 0, FIRST * limit
    while start < len(ranked) and len(kept) < limit:
        block = np.arange(start, min(start + step, len(ranked)))
        kept = _continued(found, kept, block, threshold)
        start += step
        step *= GROWTH
    return torch.from_numpy(ranked.take(kept[:limit]))


def best_first(scores: Tensor) -> Rows:
    """Rows of (M,) scores on the CPU, falling; equal ones in their order.

    Half of a float's bits after the other, which NumPy sorts by counting: five times as fast as a
    sort that compares.
    """
    if scores.dtype == torch.float64:
        return scores.detach().argsort(descending=True, stable=True).numpy()
    bits = (scores.detach().float() + 0.0).numpy().view(np.int32)  # + 0.0: -0.0 equals 0.0
    # as unsigned numbers these rise where the floats fall
    keys = (bits ^ (~(bits >> 31) & 0x7FFFFFFF)).view(np.uint32)
    order = np.argsort(keys.astype(np.uint16), kind="stable")
    return order.take(np.argsort((keys >> 16).astype(np.uint16).take(order), kind="stable"))


class _Sorted(NamedTuple):
    """Boxes, best first: (M,) each side, area and class. num_classes: above every class."""

    x1: npt.NDArray[np.floating]
    y1: npt.NDArray[np.floating]
    x2: npt.NDArray[np.floating]
    y2: npt.NDArray[np.floating]
    areas: npt.NDArray[np.floating]
    labels: npt.NDArray[np.integer]
    num_classes: int


def _sorted(boxes: np.ndarray, labels: Rows, order: Rows) -> _Sorted:
    x1, y1, x2, y2 = np.ascontiguousarray(boxes.take(order, axis=0).T)
    count = int(labels.max(initial=-1)) + 1
    # the smallest type: NumPy sorts those of 16 bits by counting
    small = labels.take(order).astype(np.min_scalar_type(count))
    return _Sorted(x1, y1, x2, y2, (x2 - x1) * (y2 - y1), small, count)


def _pairs(counts: Rows, starts: Rows) -> tuple[Rows, Rows]:
    """Row r with each of starts[r], starts[r] + 1 ..., counts[r] of them: the rows, the others."""
    rows = np.repeat(np.arange(len(counts)), counts)
    return rows, np.arange(len(rows)) + (starts - counts.cumsum() + counts).take(rows)


def _continued(found: _Sorted, kept: Rows, block: Rows, threshold: float) -> Rows:
    """The kept, and what suppression keeps of a block of worse ones.

    What is kept decides on all that is worse, so that little is left to be compared.
    """
    labels, own = found.labels.take(kept), found.labels.take(block)
    counts = np.bincount(labels, minlength=found.num_classes)
    to_compare = counts.take(own)  # each with the kept of its class
    if to_compare.sum() > FEW_PAIRS * found.num_classes:
        return _one_by_one(found, np.concatenate([kept, block]), threshold)
    first, second = _pairs(to_compare, (counts.cumsum() - counts).take(own))
    by_class = kept.take(np.argsort(labels, kind="stable"))
    free = np.ones(len(block), dtype=bool)
    free[first[_close(found, by_class.take(second), block.take(first), threshold)]] = False
    return np.concatenate([kept, _lasting(found, block[free], threshold)])


def _close(found: _Sorted, first: Rows, second: Rows, threshold: float) -> npt.NDArray[np.bool_]:
    """Which pairs of boxes overlap by more than `threshold`."""
    x1, y1, x2, y2, areas, *_ = found
    wide = np.minimum(x2.take(first), x2.take(second)) - np.maximum(x1.take(first), x1.take(second))
    high = np.minimum(y2.take(first), y2.take(second)) - np.maximum(y1.take(first), y1.take(second))
    shared = np.maximum(wide, 0) * np.maximum(high, 0)
    with np.errstate(invalid="ignore"):  # two empty boxes: 0 / 0 is not above the threshold
        close: npt.NDArray[np.bool_] = (
            shared / (areas.take(first) + areas.take(second) - shared) > threshold
        )
    return close


def _lasting(found: _Sorted, block: Rows, threshold: float) -> Rows:
    """Of a block, best first, what suppression within classes keeps, in its order.

    A few operations on all pairs where there are few: a call for each of many classes costs more.
    A box lasts if no lasting box before it suppresses it. Beginning with all lasting, each round
    settles at least one more place of every chain, and what no longer changes is the answer.
    """
    labels = found.labels.take(block)
    by_class = np.argsort(labels, kind="stable")
    counts = np.bincount(labels)
    if (counts * (counts - 1)).sum() > 2 * FEW_PAIRS * np.count_nonzero(counts):
        return _one_by_one(found, block, threshold)
    after = np.arange(1, len(block) + 1)
    # each with the worse ones of its class
    pairs = _pairs(np.repeat(counts.cumsum(), counts) - after, after)
    first, second = (by_class.take(each) for each in pairs)
    close = _close(found, block.take(first), block.take(second), threshold)
    first, second = first[close], second[close]
    lasts = np.ones(len(block), dtype=bool)
    while True:
        now = np.ones(len(block), dtype=bool)
        now[second[lasts[first]]] = False
        if (now == lasts).all():
            return block[now]
        lasts = now


def _one_by_one(found: _Sorted, rows: Rows, threshold: float) -> Rows:
    """Of rows, best first, what a search in each class keeps, in their order."""
    from torchvision.ops import nms  # a second to import, and only detection needs it

    labels = found.labels.take(rows)
    by_class = np.argsort(labels, kind="stable")
    sides = [side.take(rows.take(by_class)) for side in found[:4]]
    boxes = torch.from_numpy(np.stack(sides, axis=1))
    falling = torch.arange(len(rows), 0, -1, dtype=boxes.dtype)
    kept, start = [], 0
    for end in np.bincount(labels).cumsum().tolist():
        if end > start:
            kept.append(nms(boxes[start:end], falling[start:end], threshold).numpy() + start)
        start = end
    return rows.take(np.sort(by_class.take(np.concatenate(kept))))


def _apart(boxes: Tensor, labels: Tensor, threshold: float) -> Tensor:
    """Sorted boxes on an accelerator: one search, for which classes are laid far apart."""
    from torchvision.ops import nms

    reach = boxes.max() - boxes.min() + 1 if len(boxes) else 0
    falling = torch.arange(len(boxes), 0, -1, device=boxes.device, dtype=boxes.dtype)
    kept: Tensor = nms(boxes + (labels * reach)[:, None].to(boxes), falling, threshold)
    return kept


def suppress_softly(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor,
    *,
    sigma: float = 0.5,
    least: float = 0.001,
    limit: int = 300,
) -> tuple[Tensor, Tensor]:
    """Soft-NMS: overlapping boxes of the class lose score instead of being thrown away.

    Bodla et al. 2017, https://arxiv.org/abs/1704.04503, the Gaussian form: when a box is kept, each
    other score of its class is multiplied by exp(-IoU^2 / sigma). Boxes below `least` are dropped.

    Returns:
        (n,) rows of the kept, in the order they were taken, and their scores at that moment.
    """
    left = scores.clone()
    kept: list[int] = []
    values: list[Tensor] = []
    while len(kept) < min(limit, len(boxes)):
        best = int(left.argmax())
        if float(left[best]) < least:
            break
        kept.append(best)
        values.append(left[best].clone())
        left[best] = -math.inf
        overlap = paired_iou(boxes[best], boxes)
        left *= torch.where(labels == labels[best], torch.exp(-overlap.square() / sigma), 1.0)
    rows = torch.tensor(kept, dtype=torch.int64, device=boxes.device)
    return rows, torch.stack(values) if values else scores[:0]
