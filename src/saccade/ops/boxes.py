"""Boxes: forms, overlap, candidates of a network, shapes to begin from.

Boxes are (x1, y1, x2, y2) in pixels, float32 or float64, unless a name says otherwise.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


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
