"""Suppression against torchvision and against the formula written out."""

import math

import pytest
import torch
from torchvision import ops

from saccade.ops import suppression


def made(count: int, *, classes: int = 80):
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(count, 2, generator=generator) * 640
    size = torch.rand(count, 2, generator=generator) * 150 + 5
    scores = torch.rand(count, generator=generator)
    labels = torch.randint(classes, (count,), generator=generator)
    return torch.cat([corner, corner + size], 1), scores, labels


@pytest.mark.parametrize("classes", [1, 3, 80])
@pytest.mark.parametrize("count", [5, 1500, 8400])
def test_suppression_keeps_what_torchvision_keeps(count, classes):
    found = made(count, classes=classes)
    wanted = ops.batched_nms(*found, 0.5)
    for limit in (20, 300, count):
        assert torch.equal(suppression.suppress(*found, limit=limit), wanted[:limit])


def test_nothing_stays_of_nothing():
    nothing = torch.zeros(0, 4), torch.zeros(0), torch.zeros(0).long()
    assert suppression.suppress(*nothing).tolist() == []


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_equal_scores_keep_their_order(dtype):
    generator = torch.Generator().manual_seed(0)
    scores = (torch.randn(500, generator=generator) * 3).round().to(dtype)  # with 0.0 and -0.0
    wanted = scores.argsort(descending=True, stable=True)
    assert suppression.best_first(scores).tolist() == wanted.tolist()


def test_suppression_of_clusters():
    where, scores, labels = made(40, classes=3)
    generator = torch.Generator().manual_seed(2)
    shaken = where.repeat(50, 1) + torch.randn(2000, 4, generator=generator) * 4
    scores = torch.rand(2000, generator=generator)
    kept = suppression.suppress(shaken, scores, labels.repeat(50), threshold=0.6)
    assert torch.equal(kept, ops.batched_nms(shaken, scores, labels.repeat(50), 0.6)[:300])


def test_soft_suppression_against_the_formula():
    where = torch.tensor([[0, 0, 10, 10], [0, 0, 10, 5], [0, 0, 10, 10], [50, 50, 60, 60.0]])
    scores, labels = torch.tensor([0.9, 0.8, 0.7, 0.6]), torch.tensor([0, 0, 1, 0])
    rows, values = suppression.suppress_softly(where, scores, labels)
    halved = 0.8 * math.exp(-(0.5**2) / 0.5)  # the second overlaps the first by a half
    assert rows.tolist() == [0, 2, 3, 1]
    assert values.tolist() == pytest.approx([0.9, 0.7, 0.6, halved])
