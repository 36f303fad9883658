"""Boxes against torchvision and against formulas written out."""

import torch
from torchvision import ops

from saccade.ops import boxes


def made(count: int, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * 640
    size = torch.rand(count, 2, generator=generator) * 150 + 5
    return torch.cat([corner, corner + size], 1)


def test_forms_and_overlaps_are_torchvisions():
    first = made(30)
    second = made(30, seed=1)
    assert torch.allclose(boxes.to_centres(first), ops.box_convert(first, "xyxy", "cxcywh"))
    assert torch.allclose(boxes.to_corners(boxes.to_centres(first)), first, atol=1e-3)
    assert torch.allclose(boxes.iou(first, second), ops.box_iou(first, second))
    ours = 1 - boxes.complete_iou(first, second)
    assert torch.allclose(ours, ops.complete_box_iou_loss(first, second), atol=1e-5)
    assert torch.equal(boxes.clip(first, 300, 400), ops.clip_boxes_to_image(first, (300, 400)))


def test_empty_boxes_overlap_nothing():
    nothing = torch.zeros(1, 4)
    assert float(boxes.iou(nothing, nothing)) == 0


def test_candidates_are_the_best_pairs():
    scores = torch.rand(50, 7, generator=torch.Generator().manual_seed(0))
    found, rows, labels = boxes.candidates(scores, 0.8, 1000)
    assert len(found) == int((scores > 0.8).sum())
    assert torch.equal(found, scores[rows, labels])
    assert (found.diff() <= 0).all()
    few, _, _ = boxes.candidates(scores, 0.0, 9)
    assert torch.equal(few, scores.flatten().sort(descending=True).values[:9])


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
