"""Faster R-CNN: a network on the maps proposes regions, a second one classifies and corrects them.

Ren et al. 2015, https://arxiv.org/abs/1506.01497: one map, nine anchors a place, two dense layers
of 4096 units (the classic form). Lin et al. 2017, https://arxiv.org/abs/1612.03144: a feature
pyramid, one size of anchors a level, as in torchvision, whose weights `from_torchvision` renames.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from saccade.protocols import Backbone, resolutions
from saccade.regions import RegionDetector, RegionPool, heads, in_full, named_maps

RATIOS = (0.5, 1.0, 2.0)


class Pyramid(nn.Module):
    """Up to four maps of a backbone, and a pyramid of 256 channels on them.

    Finer ones than stride 4 are left out, as in Lin et al. 2017 (https://arxiv.org/abs/1612.03144,
    section 3): they cost most of the time and find nothing more.
    """

    def __init__(self, backbone: Backbone) -> None:
        from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork, LastLevelMaxPool

        super().__init__()
        places = resolutions(backbone)
        coarse = [place for place in places if backbone.strides[place] >= 4]
        self.places = (coarse or places[-1:])[-4:]
        self.strides = tuple(backbone.strides[place] for place in self.places)
        channels = [backbone.channels[place] for place in self.places]
        self.fpn = FeaturePyramidNetwork(channels, 256, LastLevelMaxPool())
        self._trunk = [backbone]  # in a list: its parameters are the detector's own

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        found = self._trunk[0].maps(images)
        maps: dict[str, Tensor] = self.fpn(named_maps([found[place] for place in self.places]))
        return maps


class Last(nn.Module):
    """The last map alone."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self._trunk = [backbone]

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"0": self._trunk[0].maps(images)[-1]}


class PairHead(nn.Module):
    """The paper's proposal head: two scores for each anchor, nothing and something."""

    def __init__(self, channels: int, anchors: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.cls_logits = nn.Conv2d(channels, 2 * anchors, 1)
        self.bbox_pred = nn.Conv2d(channels, 4 * anchors, 1)
        for layer in (self.conv, self.cls_logits, self.bbox_pred):
            _begin_small(layer)

    def forward(self, maps: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        scores, corrections = [], []
        for each in maps:
            x = F.relu(self.conv(each))
            nothing, something = in_full(self.cls_logits, x).chunk(2, 1)
            # the softmax of two scores is the sigmoid of their difference
            scores.append(something - nothing)
            corrections.append(in_full(self.bbox_pred, x))
        return scores, corrections


class SingleHead(nn.Module):
    """One score for each anchor, that it holds something, on every map of the pyramid.

    Layers are named as in torchvision's `RPNHead`.
    """

    def __init__(self, channels: int, anchors: int) -> None:
        super().__init__()
        inner = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv = nn.Sequential(nn.Sequential(inner, nn.ReLU()))
        self.cls_logits = nn.Conv2d(channels, anchors, 1)
        self.bbox_pred = nn.Conv2d(channels, 4 * anchors, 1)
        for layer in (inner, self.cls_logits, self.bbox_pred):
            _begin_small(layer)

    def forward(self, maps: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        hidden = [self.conv(each) for each in maps]
        scores = [in_full(self.cls_logits, x) for x in hidden]
        return scores, [in_full(self.bbox_pred, x) for x in hidden]


def _begin_small(layer: nn.Conv2d) -> None:
    assert layer.bias is not None
    nn.init.normal_(layer.weight, std=0.01)
    nn.init.zeros_(layer.bias)


def _proposals(anchors: nn.Module, head: nn.Module) -> nn.Module:
    from torchvision.models.detection.rpn import RegionProposalNetwork

    network: nn.Module = RegionProposalNetwork(
        anchors,
        head,
        fg_iou_thresh=0.7,
        bg_iou_thresh=0.3,
        batch_size_per_image=256,
        positive_fraction=0.5,
        pre_nms_top_n={"training": 2000, "testing": 1000},
        post_nms_top_n={"training": 2000, "testing": 1000},
        nms_thresh=0.7,
    )
    return network


def build(name: str, *, backbone: Backbone, num_classes: int = 90) -> RegionDetector:
    """faster_rcnn on a pyramid, or faster_rcnn_classic on the last map."""
    # a second to import, and only these detectors need it
    from torchvision.models.detection.faster_rcnn import TwoMLPHead
    from torchvision.models.detection.rpn import AnchorGenerator

    assert isinstance(backbone, nn.Module)
    if name == "faster_rcnn_classic":
        channels = backbone.channels[-1]
        anchors = AnchorGenerator(((128, 256, 512),), (RATIOS,))
        pool = RegionPool(["0"], 7)
        head: Any = TwoMLPHead(channels * 49, 4096)
        return RegionDetector(
            backbone=backbone,
            maps=Last(backbone),
            rpn=_proposals(anchors, PairHead(channels, 9)),
            roi_heads=heads(pool, head, 4096, num_classes, 128),
            minimum_size=max(32, backbone.minimum_size),
        )
    maps = Pyramid(backbone)
    strides = (*maps.strides, 2 * maps.strides[-1])
    sizes = tuple((8 * stride,) for stride in strides)  # 32 pixels at stride 4
    anchors = AnchorGenerator(sizes, (RATIOS,) * len(sizes))
    pool = RegionPool([str(place) for place in range(len(maps.strides))], 7)
    return RegionDetector(
        backbone=backbone,
        maps=maps,
        rpn=_proposals(anchors, SingleHead(256, 3)),
        roi_heads=heads(pool, TwoMLPHead(256 * 49, 1024), 1024, num_classes, 512),
        minimum_size=max(32, backbone.minimum_size),
    )


def from_torchvision(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of torchvision's fasterrcnn_resnet50_fpn under our names."""
    renamed = {}
    for name, value in tensors.items():
        ours = name.replace("backbone.body.", "backbone.").replace("backbone.fpn.", "maps_of.fpn.")
        renamed[ours] = value
    return renamed
