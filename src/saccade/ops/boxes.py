"""Boxes: forms, overlap, and which of many that show the same object are kept.

Boxes are (x1, y1, x2, y2) in pixels, float32 or float64, unless a name says otherwise.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

FIRST = 3
"""Times the wanted number of boxes: candidates looked at before the next ones are needed at all."""

FEW_PAIRS = 40_000
"""Pairs of one class up to which all are compared at once; beyond, one search for each class."""


def area(boxes: Tensor) -> Tensor:
    """(..., 4) -> (...)."""
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1)


def to_centres(boxes: Tensor) -> Tensor:
    """(..., 4) corners -> (centre x, centre y, width, height)."""
    return torch.cat([(boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]], -1)


def to_corners(centres: Tensor) -> Tensor:
    """(..., 4) of `to_centres` -> corners."""
    half = centres[..., 2:] / 2
    return torch.cat([centres[..., :2] - half, centres[..., :2] + half], -1)


def clip(boxes: Tensor, height: float, width: float) -> Tensor:
    """(..., 4) -> the part inside a picture."""
    limit = boxes.new_tensor([width, height, width, height])
    return torch.minimum(boxes.clamp(min=0), limit)


def iou(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union of every pair: (M, 4), (K, 4) -> (M, K), 0 where both are empty."""
    return paired_iou(first[:, None], second)


def paired_iou(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union of boxes (..., 4) with boxes of the same place, shapes broadcast."""
    shared, union = _shared_and_union(first, second)
    return shared / union.clamp(min=torch.finfo(union.dtype).tiny)


def _shared_and_union(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    low = torch.maximum(first[..., :2], second[..., :2])
    high = torch.minimum(first[..., 2:], second[..., 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    return shared, area(first) + area(second) - shared


def shape_iou(first: Tensor, second: Tensor) -> Tensor:
    """IoU of (M, 2) and (K, 2) widths and heights laid on one centre -> (M, K)."""
    shared = torch.minimum(first[:, None], second).prod(-1)
    return shared / (first.prod(-1)[:, None] + second.prod(-1) - shared).clamp(min=1e-12)


def complete_iou(first: Tensor, second: Tensor) -> Tensor:
    """CIoU of paired boxes (..., 4): IoU less the distance of centres and the unlikeness of shapes.

    Zheng et al. 2020, https://arxiv.org/abs/1911.08287, equations 9 to 11; -1.5 ... 1. The weight
    of the shape term is taken as constant, as there.
    """
    overlap = paired_iou(first, second)
    low = torch.minimum(first[..., :2], second[..., :2])
    high = torch.maximum(first[..., 2:], second[..., 2:])
    diagonal = (high - low).square().sum(-1).clamp(min=1e-9)
    ours, theirs = to_centres(first), to_centres(second)
    distance = (ours[..., :2] - theirs[..., :2]).square().sum(-1)
    slopes = [torch.atan(each[..., 2] / each[..., 3].clamp(min=1e-6)) for each in (ours, theirs)]
    shape = 4 / math.pi**2 * (slopes[0] - slopes[1]).square()
    with torch.no_grad():
        weight = shape / (1 - overlap + shape).clamp(min=1e-9)
    return overlap - distance / diagonal - weight * shape


def candidates(scores: Tensor, confidence: float, limit: int) -> tuple[Tensor, Tensor, Tensor]:
    """The pairs of box and class in (M, K) scores that are above `confidence`, best first.

    At most `limit` of them: (n,) scores, rows and classes.
    """
    flat = scores.flatten()
    if confidence > 0:
        likely = (scores.amax(1) > confidence).nonzero()[:, 0]  # most boxes show nothing
        rows, labels = (scores[likely] > confidence).nonzero(as_tuple=True)
        places = likely[rows] * scores.shape[1] + labels
    else:
        places = torch.arange(len(flat), device=flat.device)
    found = flat[places]
    if len(found) > limit:
        found, chosen = found.topk(limit)
    else:
        found, chosen = found.sort(descending=True, stable=True)
    places = places[chosen]
    return found, places // scores.shape[1], places % scores.shape[1]


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
    order = scores.argsort(descending=True, stable=True)
    if boxes.device.type != "cpu":
        return order[_apart(boxes[order], labels[order], threshold)[:limit]]
    found, kinds = boxes.detach()[order].numpy(), labels[order].numpy()
    kept = np.zeros(0, dtype=np.int64)
    start, step = 0, FIRST * limit
    while start < len(order) and len(kept) < limit:
        block = np.arange(start, min(start + step, len(order)))
        # what is kept decides on all that is worse, so that little is left to be compared
        block = block[~_covered(found, kinds, kept, block, threshold)]
        kept = np.concatenate([kept, block[_lasting(found[block], kinds[block], threshold)]])
        start += step
        step *= 2
    return order[torch.from_numpy(kept[:limit])]


def _apart(boxes: Tensor, labels: Tensor, threshold: float) -> Tensor:
    """Sorted boxes on an accelerator: one search, for which classes are laid far apart."""
    from torchvision.ops import nms

    reach = boxes.max() - boxes.min() + 1 if len(boxes) else 0
    falling = torch.arange(len(boxes), 0, -1, device=boxes.device, dtype=boxes.dtype)
    kept: Tensor = nms(boxes + (labels * reach)[:, None].to(boxes), falling, threshold)
    return kept


Rows = npt.NDArray[np.int64]


def _covered(
    boxes: np.ndarray, labels: Rows, kept: Rows, block: Rows, threshold: float
) -> npt.NDArray[np.bool_]:
    """Which of `block` a kept box of its class overlaps by more than `threshold`."""
    by_class = kept[np.argsort(labels[kept], kind="stable")]
    low = np.searchsorted(labels[by_class], labels[block], side="left")
    counts = np.searchsorted(labels[by_class], labels[block], side="right") - low
    first = np.repeat(np.arange(len(block)), counts)
    second = by_class[np.arange(len(first)) - np.repeat(counts.cumsum() - counts - low, counts)]
    covered = np.zeros(len(block), dtype=bool)
    covered[first[_close(boxes, second, block[first], threshold)]] = True
    return covered


def _close(boxes: np.ndarray, first: Rows, second: Rows, threshold: float) -> np.ndarray:
    """Which pairs of boxes overlap by more than `threshold`."""
    x1, y1, x2, y2 = np.ascontiguousarray(boxes.T)
    areas = (x2 - x1) * (y2 - y1)
    wide = np.minimum(x2[first], x2[second]) - np.maximum(x1[first], x1[second])
    high = np.minimum(y2[first], y2[second]) - np.maximum(y1[first], y1[second])
    shared = np.maximum(wide, 0) * np.maximum(high, 0)
    with np.errstate(invalid="ignore"):  # two empty boxes: 0 / 0 is not above the threshold
        close: np.ndarray = shared / (areas[first] + areas[second] - shared) > threshold
    return close


def _lasting(boxes: np.ndarray, labels: Rows, threshold: float) -> Rows:
    """Rows, rising, of (M, 4) boxes, best first, that suppression within classes keeps.

    A few operations on all pairs where there are few: a call for each of many classes costs more.
    A box lasts if no lasting box before it suppresses it. Beginning with all lasting, each round
    settles at least one more place of every chain, and what no longer changes is the answer.
    """
    rows = np.argsort(labels, kind="stable")
    counts = np.bincount(labels) if len(labels) else np.zeros(0, dtype=np.int64)
    if (counts * (counts - 1)).sum() > 2 * FEW_PAIRS:
        return _one_by_one(boxes, rows, counts, threshold)
    ends = np.repeat(counts.cumsum(), counts)
    later = ends - np.arange(len(boxes)) - 1  # how many of its class are worse
    first = np.repeat(np.arange(len(boxes)), later)
    second = np.arange(len(first)) - np.repeat(later.cumsum() - later, later) + first + 1
    first, second = rows[first], rows[second]
    close = _close(boxes, first, second, threshold)
    first, second = first[close], second[close]
    lasts = np.ones(len(boxes), dtype=bool)
    while True:
        now = np.ones(len(boxes), dtype=bool)
        now[second[lasts[first]]] = False
        if (now == lasts).all():
            return np.flatnonzero(now)
        lasts = now


def _one_by_one(boxes: np.ndarray, rows: Rows, counts: Rows, threshold: float) -> Rows:
    """`_lasting` by a search in each class. rows: class after class, best first in each."""
    from torchvision.ops import nms  # a second to import, and only detection needs it

    sorted_boxes = torch.from_numpy(boxes[rows])
    falling = torch.arange(len(rows), 0, -1, dtype=sorted_boxes.dtype)
    kept, start = [], 0
    for count in counts.tolist():
        if count:
            span = slice(start, start + count)
            kept.append(nms(sorted_boxes[span], falling[span], threshold).numpy() + start)
        start += count
    return np.sort(rows[np.concatenate(kept)])


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


def best_shapes(sizes: Tensor, count: int, *, seed: int = 0, rounds: int = 100) -> Tensor:
    """k-means of box shapes with 1 - IoU as the distance: anchors for these boxes.

    Redmon & Farhadi 2017, https://arxiv.org/abs/1612.08242, section 2 (dimension clusters). Begun
    at quantiles of the area, so that the outcome depends on the boxes alone; a group's centre is
    the median of its shapes, and an empty group takes the shape that fits worst.

    Args:
        sizes: (M, 2) widths and heights, any unit, M >= 1.
        count: how many.
        seed: of the tiny differences that split equal shapes.
        rounds: at most.

    Returns:
        (count, 2) sorted by area.
    """
    generator = torch.Generator().manual_seed(seed)
    sizes = sizes.double()
    ranked = sizes[sizes.prod(1).argsort(stable=True)]
    places = ((torch.arange(count) + 0.5) / count * len(sizes)).long().clamp(max=len(sizes) - 1)
    centres = ranked[places]
    centres = centres * (1 + 1e-3 * torch.rand(centres.shape, generator=generator).double())
    for _ in range(rounds):
        overlap = shape_iou(sizes, centres)
        best, nearest = overlap.max(1)
        groups = [sizes[nearest == index] for index in range(count)]
        worst = sizes[best.argmin()]
        moved = torch.stack([g.median(0).values if len(g) else worst for g in groups])
        if torch.equal(moved, centres):
            break
        centres = moved
    return centres[centres.prod(1).argsort(stable=True)].float()
