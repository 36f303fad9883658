"""ZFNet: AlexNet with a finer first layer, found by looking at what the layers see.

Zeiler and Fergus 2013, https://arxiv.org/abs/1311.2901, figure 3: 7x7 filters of stride 2, one
tower, contrast normalisation after the first two poolings (local response normalisation here).
Differs: an adaptive pooling to 6 x 6, which does nothing at 224 x 224, takes any other input.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from saccade.layers import check_size, make_act, make_norm, new_linear, norm_and_act
from saccade.ops.init import initialise
from saccade.protocols import Backbone


class ZFNet(nn.Module):
    channels: tuple[int, ...] = (96, 256, 256, 256)
    strides: tuple[int, ...] = (2, 8, 16, 32)
    minimum_size = 47

    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: int = 3,
        norm: str = "local",
        act: str = "relu",
        dropout: float = 0.5,
        hidden: int = 4096,
    ) -> None:
        super().__init__()
        deep = "none" if norm == "local" else norm
        self.conv1 = nn.Conv2d(in_channels, 96, 7, stride=2, padding=1)
        self.act1 = norm_and_act(deep, 96, act)
        self.pool1 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.norm1 = make_norm(norm if norm == "local" else "none", 96)
        self.conv2 = nn.Conv2d(96, 256, 5, stride=2)
        self.act2 = norm_and_act(deep, 256, act)
        self.pool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.norm2 = make_norm(norm if norm == "local" else "none", 256)
        self.conv3 = nn.Conv2d(256, 384, 3, padding=1)
        self.act3 = norm_and_act(deep, 384, act)
        self.conv4 = nn.Conv2d(384, 384, 3, padding=1)
        self.act4 = norm_and_act(deep, 384, act)
        self.conv5 = nn.Conv2d(384, 256, 3, padding=1)
        self.act5 = norm_and_act(deep, 256, act)
        self.pool5 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.avgpool = nn.AdaptiveAvgPool2d(6)
        self.fc6 = nn.Linear(256 * 6 * 6, hidden)
        self.act6, self.drop6 = make_act(act), nn.Dropout(dropout)
        self.fc7 = nn.Linear(hidden, hidden)
        self.act7, self.drop7 = make_act(act), nn.Dropout(dropout)
        self.fc8 = nn.Linear(hidden, num_classes)
        initialise(self, "he", kinds=(nn.Conv2d,))

    def maps(self, inputs: Tensor) -> list[Tensor]:
        check_size(inputs, self, self.minimum_size)
        conv1 = self.act1(self.conv1(inputs))  # 96 x 110 x 110 of 224 x 224
        x = self.norm1(self.pool1(conv1))  # 55 x 55
        conv2 = self.act2(self.conv2(x))  # 256 x 26 x 26
        x = self.norm2(self.pool2(conv2))  # 13 x 13
        x = self.act3(self.conv3(x))
        x = self.act4(self.conv4(x))
        conv5 = self.act5(self.conv5(x))  # 256 x 13 x 13
        pool5 = self.pool5(conv5)  # 6 x 6
        return [conv1, conv2, conv5, pool5]

    def embed(self, last: Tensor) -> Tensor:
        x = torch.flatten(self.avgpool(last), 1)
        x = self.drop6(self.act6(self.fc6(x)))
        return self.drop7(self.act7(self.fc7(x)))

    def classify(self, last: Tensor) -> Tensor:
        return self.fc8(self.embed(last))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.classify(self.maps(inputs)[-1])

    def auxiliary(self, maps: list[Tensor]) -> list[Tensor]:
        return []

    def new_head(self, num_classes: int) -> None:
        self.fc8 = new_linear(self.fc8, num_classes)


def build(
    name: str,
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    norm: str = "local",
    act: str = "relu",
    dropout: float = 0.5,
    hidden: int = 4096,
) -> Backbone:
    return ZFNet(
        num_classes=num_classes,
        in_channels=in_channels,
        norm=norm,
        act=act,
        dropout=dropout,
        hidden=hidden,
    )
