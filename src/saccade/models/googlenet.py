"""GoogLeNet: inception modules look at several scales at once, 1x1 convolutions pay for it.

Szegedy et al. 2014, https://arxiv.org/abs/1409.4842, table 1 and figure 3. As in torchvision, whose
parameter names these are, every convolution is followed by batch norm and the "5x5" branch has a
3x3 convolution. Two auxiliary heads serve training. Differs from torchvision: the network never
rescales its input, weights bring their own preprocessing.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from saccade.layers import BasicConv, check_size, make_act, new_linear
from saccade.ops.init import initialise
from saccade.protocols import Backbone

MODULES = {  # table 1: 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


class Inception(nn.Module):
    """Four branches side by side (figure 2b)."""

    def __init__(
        self, in_channels: int, widths: tuple[int, int, int, int, int, int], *, norm: str, act: str
    ) -> None:
        super().__init__()
        conv = partial(BasicConv, norm=norm, act=act, same=True)
        one, reduce3, three, reduce5, five, pool = widths
        self.branch1 = conv(in_channels, one, 1)
        self.branch2 = nn.Sequential(conv(in_channels, reduce3, 1), conv(reduce3, three, 3))
        self.branch3 = nn.Sequential(conv(in_channels, reduce5, 1), conv(reduce5, five, 3))
        pooling = nn.MaxPool2d(3, stride=1, padding=1, ceil_mode=True)
        self.branch4 = nn.Sequential(pooling, conv(in_channels, pool, 1))
        self.channels = one + three + five + pool

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class Auxiliary(nn.Module):
    """A small classifier in the middle, so that gradients reach the lower layers."""

    def __init__(self, in_channels: int, num_classes: int, *, norm: str, act: str) -> None:
        super().__init__()
        self.conv = BasicConv(in_channels, 128, 1, norm=norm, act=act)
        self.fc1 = nn.Linear(128 * 4 * 4, 1024)
        self.act = make_act(act)
        self.dropout = nn.Dropout(0.7)
        self.fc2 = nn.Linear(1024, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(F.adaptive_avg_pool2d(x, 4))
        x = self.act(self.fc1(torch.flatten(x, 1)))
        return self.fc2(self.dropout(x))


class GoogLeNet(nn.Module):
    channels: tuple[int, ...] = (64, 192, 480, 512, 528, 832, 1024)
    strides: tuple[int, ...] = (2, 4, 8, 16, 16, 16, 32)
    minimum_size = 15

    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: int = 3,
        norm: str = "batch",
        act: str = "relu",
        dropout: float = 0.2,
        auxiliary: bool = True,
    ) -> None:
        super().__init__()
        conv = partial(BasicConv, norm=norm, act=act, same=True)
        make = partial(Inception, norm=norm, act=act)
        self.conv1 = conv(in_channels, 64, 7, stride=2)
        self.maxpool1 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.conv2 = conv(64, 64, 1)
        self.conv3 = conv(64, 192, 3)
        self.maxpool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception3a = make(192, MODULES["3a"])
        self.inception3b = make(256, MODULES["3b"])
        self.maxpool3 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception4a = make(480, MODULES["4a"])
        self.inception4b = make(512, MODULES["4b"])
        self.inception4c = make(512, MODULES["4c"])
        self.inception4d = make(512, MODULES["4d"])
        self.inception4e = make(528, MODULES["4e"])
        self.maxpool4 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.inception5a = make(832, MODULES["5a"])
        self.inception5b = make(832, MODULES["5b"])
        self.aux1 = Auxiliary(512, num_classes, norm=norm, act=act) if auxiliary else None
        self.aux2 = Auxiliary(528, num_classes, norm=norm, act=act) if auxiliary else None
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(1024, num_classes)
        initialise(self, "he", kinds=(nn.Conv2d,))

    def maps(self, inputs: Tensor) -> list[Tensor]:
        """One map per resolution, and those of 4a and 4d, where the auxiliary heads sit."""
        check_size(inputs, self, self.minimum_size)
        conv1 = self.conv1(inputs)  # 64 x 112 x 112 of 224 x 224
        x = self.maxpool1(conv1)  # 56 x 56
        conv3 = self.conv3(self.conv2(x))  # 192 x 56 x 56
        x = self.maxpool2(conv3)  # 28 x 28
        x3b = self.inception3b(self.inception3a(x))  # 480 x 28 x 28
        x = self.maxpool3(x3b)  # 14 x 14
        x4a = self.inception4a(x)  # 512 x 14 x 14
        x = self.inception4b(x4a)
        x = self.inception4c(x)
        x4d = self.inception4d(x)  # 528 x 14 x 14
        x4e = self.inception4e(x4d)  # 832 x 14 x 14
        x = self.maxpool4(x4e)  # 7 x 7
        x5b = self.inception5b(self.inception5a(x))  # 1024 x 7 x 7
        return [conv1, conv3, x3b, x4a, x4d, x4e, x5b]

    def embed(self, last: Tensor) -> Tensor:
        return torch.flatten(self.avgpool(last), 1)

    def classify(self, last: Tensor) -> Tensor:
        return self.fc(self.dropout(self.embed(last)))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.classify(self.maps(inputs)[-1])

    def auxiliary(self, maps: list[Tensor]) -> list[Tensor]:
        if self.aux1 is None or self.aux2 is None:
            return []
        return [self.aux1(maps[3]), self.aux2(maps[4])]

    def new_head(self, num_classes: int) -> None:
        self.fc = new_linear(self.fc, num_classes)
        for head in (self.aux1, self.aux2):
            if head is not None:
                head.fc2 = new_linear(head.fc2, num_classes)


def build(
    name: str,
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    norm: str = "batch",
    act: str = "relu",
    dropout: float = 0.2,
    auxiliary: bool = True,
) -> Backbone:
    return GoogLeNet(
        num_classes=num_classes,
        in_channels=in_channels,
        norm=norm,
        act=act,
        dropout=dropout,
        auxiliary=auxiliary,
    )
