"""R-CNN: regions found beforehand are cut out, warped to one size and classified one by one.

Girshick et al. 2014, https://arxiv.org/abs/1311.2524, figure 1. Differs: regions come from
`ops.proposals`, and class and box are learnt together with the network by softmax and smooth L1
(those of Fast R-CNN) where the paper fits support vector machines and regressors afterwards.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from saccade.ops.proposals import grouped
from saccade.protocols import Backbone
from saccade.regions import RegionDetector, RegionPool, heads

SIDE = 64
"""Of the warped regions in pixels (227 in the paper)."""

DRAWN = 32
"""Regions of a picture that learn: each of them passes through the whole network."""

AT_ONCE = 64
"""Regions in one pass while nothing is learnt: memory stays bounded, and passes of one size are
planned once, where every picture has another number of regions."""


class Whole(nn.Module):
    """The picture itself is the map that regions are cut from."""

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"0": images}


class Described(nn.Module):
    """The network over each warped region: (R, C, SIDE, SIDE) -> (R, D)."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self._trunk = [backbone]  # in a list: its parameters are the detector's own

    def forward(self, regions: Tensor) -> Tensor:
        trunk = cast(Backbone, self._trunk[0])
        if torch.is_grad_enabled():
            return trunk.maps(regions)[-1].float().mean((2, 3))
        filled = F.pad(regions, (0,) * 7 + (-len(regions) % AT_ONCE,))
        parts = [trunk.maps(part)[-1].float().mean((2, 3)) for part in torch.split(filled, AT_ONCE)]
        return torch.cat(parts)[: len(regions)]


def build(name: str, *, backbone: Backbone, num_classes: int = 20) -> RegionDetector:
    assert isinstance(backbone, nn.Module)
    pool = RegionPool(["0"], max(SIDE, backbone.minimum_size))
    return RegionDetector(
        backbone=backbone,
        maps=Whole(),
        propose=grouped,
        roi_heads=heads(pool, Described(backbone), backbone.channels[-1], num_classes, DRAWN),
        minimum_size=32,
    )
