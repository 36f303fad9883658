"""ConvNet: the notes' simple network, two convolutions with pooling and three dense layers.

After the course's "neural network example" (CONV1, POOL1, CONV2, POOL2, FC3, FC4, softmax), whose
table for a 32 x 32 x 3 picture is 608, 0, 3,216, 0, 48,120, 10,164 and 850 parameters. Differs: an
adaptive average pooling to 5 x 5, which does nothing at 32 x 32, takes any other input.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from saccade.layers import check_size, make_act, make_norm, new_linear
from saccade.ops.init import initialise
from saccade.protocols import Backbone


class ConvNet(nn.Module):
    channels: tuple[int, ...] = (8, 16, 16)
    strides: tuple[int, ...] = (1, 2, 4)
    minimum_size = 16

    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: int = 3,
        norm: str = "none",
        act: str = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 8, 5)
        self.norm1, self.act1 = make_norm(norm, 8), make_act(act)
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(8, 16, 5)
        self.norm2, self.act2 = make_norm(norm, 16), make_act(act)
        self.pool2 = nn.MaxPool2d(2)
        self.avgpool = nn.AdaptiveAvgPool2d(5)
        self.fc3 = nn.Linear(400, 120)
        self.act3 = make_act(act)
        self.fc4 = nn.Linear(120, 84)
        self.act4 = make_act(act)
        self.dropout = nn.Dropout(dropout)
        self.softmax = nn.Linear(84, num_classes)
        initialise(self, "he", kinds=(nn.Conv2d,))

    def maps(self, inputs: Tensor) -> list[Tensor]:
        check_size(inputs, self, self.minimum_size)
        conv1 = self.act1(self.norm1(self.conv1(inputs)))  # 8 x 28 x 28 of 32 x 32
        pool1 = self.pool1(conv1)  # 8 x 14 x 14
        conv2 = self.act2(self.norm2(self.conv2(pool1)))  # 16 x 10 x 10
        pool2 = self.pool2(conv2)  # 16 x 5 x 5
        return [conv1, conv2, pool2]

    def embed(self, last: Tensor) -> Tensor:
        x = torch.flatten(self.avgpool(last), 1)  # (N, 400)
        x = self.act3(self.fc3(x))
        return self.act4(self.fc4(x))

    def classify(self, last: Tensor) -> Tensor:
        return self.softmax(self.dropout(self.embed(last)))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.classify(self.maps(inputs)[-1])

    def auxiliary(self, maps: list[Tensor]) -> list[Tensor]:
        return []

    def new_head(self, num_classes: int) -> None:
        self.softmax = new_linear(self.softmax, num_classes)


def build(
    name: str,
    *,
    num_classes: int = 10,
    in_channels: int = 3,
    norm: str = "none",
    act: str = "relu",
    dropout: float = 0.0,
) -> Backbone:
    return ConvNet(
        num_classes=num_classes, in_channels=in_channels, norm=norm, act=act, dropout=dropout
    )
