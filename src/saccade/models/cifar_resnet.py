"""CIFAR ResNets: 6n + 2 layers of 16, 32 and 64 channels for pictures of 32 pixels.

He et al. 2015, https://arxiv.org/abs/1512.03385, section 4.2 and table 6. Shortcuts are option A:
no parameters, every second pixel, zeros for the new channels; the plain twins have none. Differs
from the paper in nothing but the choice of normalisation and activation.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from saccade.layers import check_size, make_act, make_norm, new_linear, shifts
from saccade.ops.init import initialise
from saccade.protocols import Backbone

WIDTHS = (16, 32, 64)

VARIANTS = {  # blocks per stage n (6n + 2 layers), shortcuts
    "resnet20": (3, True),
    "resnet32": (5, True),
    "resnet44": (7, True),
    "resnet56": (9, True),
    "resnet110": (18, True),
    "resnet1202": (200, True),
    "plain20": (3, False),
    "plain32": (5, False),
    "plain44": (7, False),
    "plain56": (9, False),
    "plain110": (18, False),
}


class Block(nn.Module):
    """Two 3x3 convolutions and, unless plain, a shortcut without parameters."""

    def __init__(
        self, in_channels: int, channels: int, *, stride: int, shortcut: bool, norm: str, act: str
    ) -> None:
        super().__init__()
        bias = not shifts(norm)
        self.stride, self.new_channels, self.shortcut = stride, channels - in_channels, shortcut
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=bias)
        self.bn1 = make_norm(norm, channels)
        self.act1 = make_act(act)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=bias)
        self.bn2 = make_norm(norm, channels)
        self.act2 = make_act(act)

    def forward(self, x: Tensor) -> Tensor:
        y = self.act1(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.shortcut:
            y = y + self.option_a(x)
        return self.act2(y)

    def option_a(self, x: Tensor) -> Tensor:
        if self.stride > 1:
            x = x[:, :, :: self.stride, :: self.stride]
        if self.new_channels:
            x = F.pad(x, (0, 0, 0, 0, 0, self.new_channels))
        return x


class CifarResNet(nn.Module):
    channels: tuple[int, ...] = WIDTHS
    strides: tuple[int, ...] = (1, 2, 4)
    minimum_size = 1

    def __init__(
        self,
        *,
        blocks: int,
        shortcut: bool,
        num_classes: int,
        in_channels: int = 3,
        norm: str = "batch",
        act: str = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 16, 3, padding=1, bias=not shifts(norm))
        self.bn1 = make_norm(norm, 16)
        self.act = make_act(act)
        width, stages = 16, []
        for channels in WIDTHS:
            stage = []
            for step in range(blocks):
                stride = 2 if channels > 16 and step == 0 else 1
                block = Block(width, channels, stride=stride, shortcut=shortcut, norm=norm, act=act)
                stage.append(block)
                width = channels
            stages.append(nn.Sequential(*stage))
        self.layer1, self.layer2, self.layer3 = stages
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(width, num_classes)
        initialise(self, "he", kinds=(nn.Conv2d,))

    def maps(self, inputs: Tensor) -> list[Tensor]:
        check_size(inputs, self, self.minimum_size)
        x = self.act(self.bn1(self.conv1(inputs)))
        fine = self.layer1(x)  # 32 x 32
        middle = self.layer2(fine)  # 16 x 16
        coarse = self.layer3(middle)  # 8 x 8
        return [fine, middle, coarse]

    def embed(self, last: Tensor) -> Tensor:
        return torch.flatten(self.avgpool(last), 1)

    def classify(self, last: Tensor) -> Tensor:
        return self.fc(self.dropout(self.embed(last)))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.classify(self.maps(inputs)[-1])

    def auxiliary(self, maps: list[Tensor]) -> list[Tensor]:
        return []

    def new_head(self, num_classes: int) -> None:
        self.fc = new_linear(self.fc, num_classes)


def build(
    name: str,
    *,
    num_classes: int = 10,
    in_channels: int = 3,
    norm: str = "batch",
    act: str = "relu",
    dropout: float = 0.0,
) -> Backbone:
    blocks, shortcut = VARIANTS[name]
    return CifarResNet(
        blocks=blocks,
        shortcut=shortcut,
        num_classes=num_classes,
        in_channels=in_channels,
        norm=norm,
        act=act,
        dropout=dropout,
    )
