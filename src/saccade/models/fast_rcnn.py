"""Fast R-CNN: one pass over the picture, then regions found beforehand are pooled from its map.

Girshick 2015, https://arxiv.org/abs/1504.08083, figure 1. Differs: regions come from
`ops.proposals`, the dense layers have 1024 units, and pooling is RoIAlign (He et al. 2017).
"""

from __future__ import annotations

from torch import Tensor, nn

from saccade.ops.proposals import grouped
from saccade.protocols import Backbone
from saccade.regions import RegionDetector, RegionPool, heads

UNITS = 1024


class Detailed(nn.Module):
    """The coarsest map whose stride is at most 16: regions are small on coarser ones."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        fitting = [place for place, stride in enumerate(backbone.strides) if stride <= 16]
        self.place = fitting[-1] if fitting else 0
        self.channels = backbone.channels[self.place]
        self._trunk = [backbone]  # in a list: its parameters are the detector's own

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"0": self._trunk[0].maps(images)[self.place]}


def build(name: str, *, backbone: Backbone, num_classes: int = 20) -> RegionDetector:
    # a second to import, and only these detectors need it
    from torchvision.models.detection.faster_rcnn import TwoMLPHead

    assert isinstance(backbone, nn.Module)
    maps = Detailed(backbone)
    pool = RegionPool(["0"], 7)
    return RegionDetector(
        backbone=backbone,
        maps=maps,
        propose=grouped,
        roi_heads=heads(pool, TwoMLPHead(maps.channels * 49, UNITS), UNITS, num_classes, 128),
        minimum_size=max(32, backbone.minimum_size),
    )
