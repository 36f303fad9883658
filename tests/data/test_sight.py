"""Crops that keep rare classes in sight, and masks that follow elastic pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from saccade.data.augment import Augment
from saccade.data.batches import Batches
from saccade.errors import SaccadeError
from saccade.types import Geometry


def batches(pixels: torch.Tensor, targets: dict[str, torch.Tensor], **options: object) -> Batches:
    count = len(pixels)
    geometry = Geometry(
        matrix=torch.eye(3).double().repeat(count, 1, 1),
        size=torch.tensor([[*pixels.shape[2:]]]).repeat(count, 1),
    )
    settings = {"height": 32, "width": 32, "mean": (0.0,), "std": (1.0,), "batch": 64, **options}
    return Batches(pixels, geometry, targets, np.arange(count), **settings)  # type: ignore[arg-type]


def rare() -> tuple[torch.Tensor, torch.Tensor]:
    """One pixel in 65 536 is of class 1."""
    masks = torch.zeros(2, 256, 256, dtype=torch.int16)
    masks[0, 200, 40] = 1
    masks[1, 10, 250] = 1
    return (masks[:, None] * 255).to(torch.uint8), masks


@pytest.mark.parametrize("augment", [Augment(), Augment(rotate=10.0, scale=(0.8, 1.2))])
def test_half_of_the_crops_look_at_a_class_each_alike(augment: Augment) -> None:
    pixels, masks = rare()
    seen = {}
    for share in (0.0, 0.5, 1.0):
        made = batches(pixels, {"mask": masks}, augment=augment, sight=share, views=64)
        assert made.examples == 128
        found = torch.cat([batch.targets["mask"] for batch in made.epoch(0)])
        seen[share] = float((found == 1).flatten(1).any(1).float().mean())
    assert seen[0.0] < 0.06
    assert 0.15 < seen[0.5] < 0.4  # half of the crops, half of those at class 1
    assert 0.35 < seen[1.0] < 0.65


def test_masks_follow_elastic_pictures() -> None:
    y, x = torch.meshgrid(torch.arange(96), torch.arange(96), indexing="ij")
    shapes = (((x // 12) + (y // 12)) % 2).to(torch.int16)[None].repeat(4, 1, 1)
    pixels = (shapes[:, None] * 255).to(torch.uint8)
    made = batches(pixels, {"mask": shapes}, height=96, width=96,
                   augment=Augment(mirror=0, elastic=6.0))  # fmt: skip
    batch = next(made.epoch(0))
    moved = batch.targets["mask"]
    assert (moved != shapes[batch.indices]).float().mean() > 0.1  # it is bent
    lit = batch.inputs[:, 0] > 0.5
    agree = (lit == (moved == 1)).float().mean()
    assert agree > 0.97
    again = next(made.epoch(0)).targets["mask"]
    assert torch.equal(again, moved)


def test_boxes_cannot_follow_elastic_pictures() -> None:
    pixels, _ = rare()
    targets = {"box": torch.zeros(2, 4), "box.label": torch.zeros(2, dtype=torch.int64)}
    with pytest.raises(SaccadeError, match=r"augment.elastic bends pictures, and box cannot"):
        batches(pixels, targets, augment=Augment(elastic=2.0))
