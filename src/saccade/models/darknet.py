"""Darknet-19 and Darknet-53, the backbones of YOLOv2 and YOLOv3.

Redmon & Farhadi 2017, https://arxiv.org/abs/1612.08242, table 6; Redmon & Farhadi 2018,
https://arxiv.org/abs/1804.02767, table 1. Differs in nothing but the optional normalisation and
activation; Darknet-53 classifies by a linear layer after pooling, as published.
"""

from __future__ import annotations

from torch import Tensor, nn

from saccade.layers import ConvNormAct, check_size, new_conv, new_linear
from saccade.ops.init import initialise
from saccade.protocols import Backbone

STAGES = {  # channels of each convolution, 1x1 where they fall; a pooling after each stage
    "darknet19": (
        (32,),
        (64,),
        (128, 64, 128),
        (256, 128, 256),
        (512, 256, 512, 256, 512),
        (1024, 512, 1024, 512, 1024),
    )
}
BLOCKS = {"darknet53": (1, 2, 8, 8, 4)}
"""Residual blocks after each halving, from 64 channels on."""


class Residual(nn.Module):
    """1x1 to half the channels, 3x3 back, and the shortcut."""

    def __init__(self, channels: int, *, norm: str, act: str) -> None:
        super().__init__()
        self.squeeze = ConvNormAct(channels, channels // 2, kernel=1, norm=norm, act=act)
        self.expand = ConvNormAct(channels // 2, channels, norm=norm, act=act)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.expand(self.squeeze(x))


class Darknet(nn.Module):
    """Stages from fine to coarse. convolutional: whether a 1x1 convolution classifies."""

    def __init__(
        self,
        *,
        stages: list[nn.Module],
        channels: tuple[int, ...],
        convolutional: bool,
        num_classes: int,
    ) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.channels = channels
        self.strides = tuple(2**index for index in range(len(stages)))
        self.minimum_size = self.strides[-1]
        last = channels[-1]
        self.classifier: nn.Module = (
            nn.Conv2d(last, num_classes, 1) if convolutional else nn.Linear(last, num_classes)
        )
        initialise(self, "he")

    def maps(self, inputs: Tensor) -> list[Tensor]:
        check_size(inputs, self, self.minimum_size)
        maps, x = [], inputs
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps

    def embed(self, last: Tensor) -> Tensor:
        return last.mean((2, 3))

    def classify(self, last: Tensor) -> Tensor:
        if isinstance(self.classifier, nn.Conv2d):
            return self.classifier(last).mean((2, 3))
        return self.classifier(self.embed(last))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.classify(self.maps(inputs)[-1])

    def auxiliary(self, maps: list[Tensor]) -> list[Tensor]:
        return []

    def new_head(self, num_classes: int) -> None:
        old = self.classifier
        make = new_conv if isinstance(old, nn.Conv2d) else new_linear
        self.classifier = make(old, num_classes)


def build(
    name: str,
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    norm: str = "batch",
    act: str = "leaky_relu_0.1",
) -> Backbone:
    stages: list[nn.Module] = []
    channels: list[int] = []
    width = in_channels
    if name in STAGES:
        for index, wanted in enumerate(STAGES[name]):
            parts: list[nn.Module] = [nn.MaxPool2d(2)] if index else []
            for wide in wanted:
                kernel = 1 if wide < width and parts and len(parts) > bool(index) else 3
                parts.append(ConvNormAct(width, wide, kernel=kernel, norm=norm, act=act))
                width = wide
            stages.append(nn.Sequential(*parts))
            channels.append(width)
    else:
        stages.append(ConvNormAct(in_channels, 32, norm=norm, act=act))
        channels.append(32)
        for index, count in enumerate(BLOCKS[name]):
            wide = 64 * 2**index
            halved = ConvNormAct(wide // 2, wide, stride=2, norm=norm, act=act)
            blocks = [Residual(wide, norm=norm, act=act) for _ in range(count)]
            stages.append(nn.Sequential(halved, *blocks))
            channels.append(wide)
    return Darknet(
        stages=stages,
        channels=tuple(channels),
        convolutional=name in STAGES,
        num_classes=num_classes,
    )
