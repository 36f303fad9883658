"""Boxes against torchvision and against formulas written out."""

import math

import pytest
import torch
from torchvision import ops

from saccade.ops import boxes


def made(count: int, *, side: float = 640, classes: int = 80, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * side
    size = torch.rand(count, 2, generator=generator) * 150 + 5
    scores = torch.rand(count, generator=generator)
    labels = torch.randint(classes, (count,), generator=generator)
    return torch.cat([corner, corner + size], 1), scores, labels


def test_forms_and_overlaps_are_torchvisions():
    first, _, _ = made(30)
    second, _, _ = made(30, seed=1)
    assert torch.allclose(boxes.to_centres(first), ops.box_convert(first, "xyxy", "cxcywh"))
    assert torch.allclose(boxes.to_corners(boxes.to_centres(first)), first, atol=1e-3)
    assert torch.allclose(boxes.iou(first, second), ops.box_iou(first, second))
    ours = 1 - boxes.complete_iou(first, second)
    assert torch.allclose(ours, ops.complete_box_iou_loss(first, second), atol=1e-5)
    assert torch.equal(boxes.clip(first, 300, 400), ops.clip_boxes_to_image(first, (300, 400)))


def test_empty_boxes_overlap_nothing():
    nothing = torch.zeros(1, 4)
    assert float(boxes.iou(nothing, nothing)) == 0
    assert boxes.suppress(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0).long()).tolist() == []


@pytest.mark.parametrize("classes", [1, 3, 80])
@pytest.mark.parametrize("count", [5, 1500, 8400])
def test_suppression_keeps_what_torchvision_keeps(count, classes):
    found = made(count, classes=classes)
    wanted = ops.batched_nms(*found, 0.5)
    for limit in (20, 300, count):
        assert torch.equal(boxes.suppress(*found, limit=limit), wanted[:limit])


def test_suppression_of_clusters():
    where, scores, labels = made(40, classes=3)
    generator = torch.Generator().manual_seed(2)
    shaken = where.repeat(50, 1) + torch.randn(2000, 4, generator=generator) * 4
    scores = torch.rand(2000, generator=generator)
    kept = boxes.suppress(shaken, scores, labels.repeat(50), threshold=0.6)
    assert torch.equal(kept, ops.batched_nms(shaken, scores, labels.repeat(50), 0.6)[:300])


def test_candidates_are_the_best_pairs():
    scores = torch.rand(50, 7, generator=torch.Generator().manual_seed(0))
    found, rows, labels = boxes.candidates(scores, 0.8, 1000)
    assert len(found) == int((scores > 0.8).sum())
    assert torch.equal(found, scores[rows, labels])
    assert (found.diff() <= 0).all()
    few, _, _ = boxes.candidates(scores, 0.0, 9)
    assert torch.equal(few, scores.flatten().sort(descending=True).values[:9])


def test_soft_suppression_against_the_formula():
    where = torch.tensor([[0, 0, 10, 10], [0, 0, 10, 5], [0, 0, 10, 10], [50, 50, 60, 60.0]])
    scores, labels = torch.tensor([0.9, 0.8, 0.7, 0.6]), torch.tensor([0, 0, 1, 0])
    rows, values = boxes.suppress_softly(where, scores, labels)
    halved = 0.8 * math.exp(-(0.5**2) / 0.5)  # the second overlaps the first by a half
    assert rows.tolist() == [0, 2, 3, 1]
    assert values.tolist() == pytest.approx([0.9, 0.7, 0.6, halved])


def test_shapes_of_two_kinds_are_found():
    generator = torch.Generator().manual_seed(0)
    kinds = torch.tensor([[20.0, 20.0], [200.0, 60.0]])
    sizes = kinds.repeat(100, 1) * (1 + 0.05 * torch.randn(200, 2, generator=generator))
    found = boxes.best_shapes(sizes, 2)
    assert torch.allclose(found, kinds, rtol=0.03)
    overlap = boxes.shape_iou(sizes, found).max(1).values
    assert float(overlap.mean()) > 0.9


def test_shapes_more_than_boxes():
    assert boxes.best_shapes(torch.tensor([[3.0, 4.0]]), 3).shape == (3, 2)
