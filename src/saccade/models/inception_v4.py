"""Inception v4: one uniform set of inception modules, deeper and without auxiliary heads.

Szegedy et al. 2016, https://arxiv.org/abs/1602.07261, figures 3 to 9. Parameter names are timm's.
Differs from the paper: dropout is the probability to drop (0.2), the paper writes the one to keep.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from saccade.layers import BasicConv, check_size, new_linear
from saccade.ops.init import initialise
from saccade.protocols import Backbone


class Chain(nn.Sequential):
    """Convolutions one after the other, each (channels, kernel), all keeping the size."""

    def __init__(
        self, in_channels: int, *steps: tuple[int, int | tuple[int, int]], norm: str, act: str
    ) -> None:
        parts = []
        for channels, kernel in steps:
            parts.append(BasicConv(in_channels, channels, kernel, same=True, norm=norm, act=act))
            in_channels = channels
        super().__init__(*parts)


class Pooled(nn.Sequential):
    """3x3 average pooling (without counting the padding), then 1x1."""

    def __init__(self, in_channels: int, channels: int, *, norm: str, act: str) -> None:
        pool = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
        super().__init__(pool, BasicConv(in_channels, channels, 1, norm=norm, act=act))


class Mixed3a(nn.Module):
    """147 x 147 to 73 x 73: pooling beside a strided convolution (figure 3, bottom)."""

    def __init__(self, *, norm: str, act: str) -> None:
        super().__init__()
        self.maxpool = nn.MaxPool2d(3, stride=2)
        self.conv = BasicConv(64, 96, 3, stride=2, norm=norm, act=act)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.maxpool(x), self.conv(x)], 1)  # 160


class Mixed4a(nn.Module):
    """73 x 73 to 71 x 71: a short branch beside one with 1x7 and 7x1 (figure 3, middle)."""

    def __init__(self, *, norm: str, act: str) -> None:
        super().__init__()
        last = partial(BasicConv, 64, 96, 3, norm=norm, act=act)
        self.branch0 = Chain(160, (64, 1), norm=norm, act=act).append(last())
        long = Chain(160, (64, 1), (64, (1, 7)), (64, (7, 1)), norm=norm, act=act)
        self.branch1 = long.append(last())

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch0(x), self.branch1(x)], 1)  # 192


class Mixed5a(nn.Module):
    """71 x 71 to 35 x 35 (figure 3, top)."""

    def __init__(self, *, norm: str, act: str) -> None:
        super().__init__()
        self.conv = BasicConv(192, 192, 3, stride=2, norm=norm, act=act)
        self.maxpool = nn.MaxPool2d(3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.conv(x), self.maxpool(x)], 1)  # 384


class Branches(nn.Module):
    """Any number of branches side by side."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        for index, branch in enumerate(branches):
            self.add_module(f"branch{index}", branch)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.children()], 1)


class InceptionC(nn.Module):
    """Splits into 1x3 and 3x1 at the end (figure 6)."""

    def __init__(self, *, norm: str, act: str) -> None:
        super().__init__()
        conv = partial(BasicConv, same=True, norm=norm, act=act)
        self.branch0 = conv(1536, 256, 1)
        self.branch1_0 = conv(1536, 384, 1)
        self.branch1_1a = conv(384, 256, (1, 3))
        self.branch1_1b = conv(384, 256, (3, 1))
        self.branch2_0 = conv(1536, 384, 1)
        self.branch2_1 = conv(384, 448, (3, 1))
        self.branch2_2 = conv(448, 512, (1, 3))
        self.branch2_3a = conv(512, 256, (1, 3))
        self.branch2_3b = conv(512, 256, (3, 1))
        self.branch3 = Pooled(1536, 256, norm=norm, act=act)

    def forward(self, x: Tensor) -> Tensor:
        one = self.branch1_0(x)
        two = self.branch2_2(self.branch2_1(self.branch2_0(x)))
        split = [self.branch1_1a(one), self.branch1_1b(one)]
        splits = [self.branch2_3a(two), self.branch2_3b(two)]
        return torch.cat([self.branch0(x), *split, *splits, self.branch3(x)], 1)


class InceptionV4(nn.Module):
    channels: tuple[int, ...] = (64, 160, 384, 1024, 1536)
    strides: tuple[int, ...] = (2, 4, 8, 16, 32)
    minimum_size = 75

    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: int = 3,
        norm: str = "batch",
        act: str = "relu",
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        by_name = {"norm": norm, "act": act}
        conv = partial(BasicConv, norm=norm, act=act)
        chain = partial(Chain, norm=norm, act=act)
        pooled = partial(Pooled, norm=norm, act=act)
        tall, flat = (7, 1), (1, 7)
        stem = [
            conv(in_channels, 32, 3, stride=2),
            conv(32, 32, 3),
            conv(32, 64, 3, same=True),
            Mixed3a(**by_name),
            Mixed4a(**by_name),
            Mixed5a(**by_name),
        ]
        inception_a = [
            Branches(
                conv(384, 96, 1),
                chain(384, (64, 1), (96, 3)),
                chain(384, (64, 1), (96, 3), (96, 3)),
                pooled(384, 96),
            )
            for _ in range(4)
        ]
        reduction_a = Branches(
            conv(384, 384, 3, stride=2),
            chain(384, (192, 1), (224, 3)).append(conv(224, 256, 3, stride=2)),
            nn.MaxPool2d(3, stride=2),
        )
        inception_b = [
            Branches(
                conv(1024, 384, 1),
                chain(1024, (192, 1), (224, flat), (256, tall)),
                chain(1024, (192, 1), (192, tall), (224, flat), (224, tall), (256, flat)),
                pooled(1024, 128),
            )
            for _ in range(7)
        ]
        reduction_b = Branches(
            chain(1024, (192, 1)).append(conv(192, 192, 3, stride=2)),
            chain(1024, (256, 1), (256, flat), (320, tall)).append(conv(320, 320, 3, stride=2)),
            nn.MaxPool2d(3, stride=2),
        )
        inception_c = [InceptionC(**by_name) for _ in range(3)]
        self.features = nn.Sequential(
            *stem, *inception_a, reduction_a, *inception_b, reduction_b, *inception_c
        )
        self.ends = (2, 3, 9, 17, 21)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.last_linear = nn.Linear(1536, num_classes)
        initialise(self, "he", kinds=(nn.Conv2d,))

    def maps(self, inputs: Tensor) -> list[Tensor]:
        """Stem (147 and 73 a side of 299), 4 x A (35), 7 x B (17), 3 x C (8)."""
        check_size(inputs, self, self.minimum_size)
        maps, x = [], inputs
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self.ends:
                maps.append(x)
        return maps

    def embed(self, last: Tensor) -> Tensor:
        return torch.flatten(self.avgpool(last), 1)

    def classify(self, last: Tensor) -> Tensor:
        return self.last_linear(self.dropout(self.embed(last)))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.classify(self.maps(inputs)[-1])

    def auxiliary(self, maps: list[Tensor]) -> list[Tensor]:
        return []

    def new_head(self, num_classes: int) -> None:
        self.last_linear = new_linear(self.last_linear, num_classes)


def build(
    name: str,
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    norm: str = "batch",
    act: str = "relu",
    dropout: float = 0.2,
) -> Backbone:
    return InceptionV4(
        num_classes=num_classes, in_channels=in_channels, norm=norm, act=act, dropout=dropout
    )
