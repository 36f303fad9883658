"""Inception v3: large filters factorised into small and asymmetric ones.

Szegedy et al. 2015, https://arxiv.org/abs/1512.00567, table 1 and figures 5 to 7, 10; the published
model, with torchvision's parameter names. The auxiliary head serves training. Differs from
torchvision: the network never rescales its input, and the auxiliary head also takes maps under
17 x 17 (pictures under 299), pooling them to 5 x 5.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from saccade.layers import BasicConv, check_size, new_linear
from saccade.ops.init import initialise
from saccade.protocols import Backbone


class InceptionA(nn.Module):
    """5x5 beside two 3x3 (figure 5)."""

    def __init__(self, in_channels: int, pool_channels: int, *, norm: str, act: str) -> None:
        super().__init__()
        conv = partial(BasicConv, same=True, norm=norm, act=act)
        self.branch1x1 = conv(in_channels, 64, 1)
        self.branch5x5_1 = conv(in_channels, 48, 1)
        self.branch5x5_2 = conv(48, 64, 5)
        self.branch3x3dbl_1 = conv(in_channels, 64, 1)
        self.branch3x3dbl_2 = conv(64, 96, 3)
        self.branch3x3dbl_3 = conv(96, 96, 3)
        self.branch_pool = conv(in_channels, pool_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        five = self.branch5x5_2(self.branch5x5_1(x))
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        pool = self.branch_pool(F.avg_pool2d(x, 3, stride=1, padding=1))
        return torch.cat([self.branch1x1(x), five, double, pool], 1)


class ReductionA(nn.Module):
    """35 x 35 to 17 x 17: strided convolutions beside pooling (figure 10)."""

    def __init__(self, in_channels: int, *, norm: str, act: str) -> None:
        super().__init__()
        conv = partial(BasicConv, norm=norm, act=act)
        self.branch3x3 = conv(in_channels, 384, 3, stride=2)
        self.branch3x3dbl_1 = conv(in_channels, 64, 1)
        self.branch3x3dbl_2 = conv(64, 96, 3, same=True)
        self.branch3x3dbl_3 = conv(96, 96, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), double, F.max_pool2d(x, 3, stride=2)], 1)


class InceptionB(nn.Module):
    """7x7 filters as 1x7 and 7x1 (figure 6, n = 7)."""

    def __init__(self, in_channels: int, c7: int, *, norm: str, act: str) -> None:
        super().__init__()
        conv = partial(BasicConv, same=True, norm=norm, act=act)
        self.branch1x1 = conv(in_channels, 192, 1)
        self.branch7x7_1 = conv(in_channels, c7, 1)
        self.branch7x7_2 = conv(c7, c7, (1, 7))
        self.branch7x7_3 = conv(c7, 192, (7, 1))
        self.branch7x7dbl_1 = conv(in_channels, c7, 1)
        self.branch7x7dbl_2 = conv(c7, c7, (7, 1))
        self.branch7x7dbl_3 = conv(c7, c7, (1, 7))
        self.branch7x7dbl_4 = conv(c7, c7, (7, 1))
        self.branch7x7dbl_5 = conv(c7, 192, (1, 7))
        self.branch_pool = conv(in_channels, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        seven = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        pool = self.branch_pool(F.avg_pool2d(x, 3, stride=1, padding=1))
        return torch.cat([self.branch1x1(x), seven, double, pool], 1)


class ReductionB(nn.Module):
    """17 x 17 to 8 x 8."""

    def __init__(self, in_channels: int, *, norm: str, act: str) -> None:
        super().__init__()
        conv = partial(BasicConv, norm=norm, act=act)
        self.branch3x3_1 = conv(in_channels, 192, 1)
        self.branch3x3_2 = conv(192, 320, 3, stride=2)
        self.branch7x7x3_1 = conv(in_channels, 192, 1)
        self.branch7x7x3_2 = conv(192, 192, (1, 7), same=True)
        self.branch7x7x3_3 = conv(192, 192, (7, 1), same=True)
        self.branch7x7x3_4 = conv(192, 192, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        three = self.branch3x3_2(self.branch3x3_1(x))
        seven = self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x)))
        return torch.cat([three, self.branch7x7x3_4(seven), F.max_pool2d(x, 3, stride=2)], 1)


class InceptionC(nn.Module):
    """Wide banks for the coarsest maps: 1x3 beside 3x1 (figure 7)."""

    def __init__(self, in_channels: int, *, norm: str, act: str) -> None:
        super().__init__()
        conv = partial(BasicConv, same=True, norm=norm, act=act)
        self.branch1x1 = conv(in_channels, 320, 1)
        self.branch3x3_1 = conv(in_channels, 384, 1)
        self.branch3x3_2a = conv(384, 384, (1, 3))
        self.branch3x3_2b = conv(384, 384, (3, 1))
        self.branch3x3dbl_1 = conv(in_channels, 448, 1)
        self.branch3x3dbl_2 = conv(448, 384, 3)
        self.branch3x3dbl_3a = conv(384, 384, (1, 3))
        self.branch3x3dbl_3b = conv(384, 384, (3, 1))
        self.branch_pool = conv(in_channels, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        three = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        pool = self.branch_pool(F.avg_pool2d(x, 3, stride=1, padding=1))
        wide = [self.branch3x3_2a(three), self.branch3x3_2b(three)]
        wider = [self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double)]
        return torch.cat([self.branch1x1(x), *wide, *wider, pool], 1)


class Auxiliary(nn.Module):
    """A second classifier on the 17 x 17 maps (figure 8)."""

    def __init__(self, in_channels: int, num_classes: int, *, norm: str, act: str) -> None:
        super().__init__()
        self.conv0 = BasicConv(in_channels, 128, 1, norm=norm, act=act)
        self.conv1 = BasicConv(128, 768, 5, norm=norm, act=act)
        self.fc = nn.Linear(768, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        small = min(x.shape[-2:]) < 17
        x = F.adaptive_avg_pool2d(x, 5) if small else F.avg_pool2d(x, 5, stride=3)  # 5 x 5
        x = self.conv1(self.conv0(x))  # 1 x 1
        return self.fc(x.mean((2, 3)))


class InceptionV3(nn.Module):
    channels: tuple[int, ...] = (64, 192, 288, 768, 2048)
    strides: tuple[int, ...] = (2, 4, 8, 16, 32)
    minimum_size = 75

    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: int = 3,
        norm: str = "batch",
        act: str = "relu",
        dropout: float = 0.5,
        auxiliary: bool = True,
    ) -> None:
        super().__init__()
        by_name = {"norm": norm, "act": act}
        conv = partial(BasicConv, norm=norm, act=act)
        self.Conv2d_1a_3x3 = conv(in_channels, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = conv(32, 32, 3)
        self.Conv2d_2b_3x3 = conv(32, 64, 3, same=True)
        self.maxpool1 = nn.MaxPool2d(3, stride=2)
        self.Conv2d_3b_1x1 = conv(64, 80, 1)
        self.Conv2d_4a_3x3 = conv(80, 192, 3)
        self.maxpool2 = nn.MaxPool2d(3, stride=2)
        self.Mixed_5b = InceptionA(192, 32, **by_name)
        self.Mixed_5c = InceptionA(256, 64, **by_name)
        self.Mixed_5d = InceptionA(288, 64, **by_name)
        self.Mixed_6a = ReductionA(288, **by_name)
        self.Mixed_6b = InceptionB(768, 128, **by_name)
        self.Mixed_6c = InceptionB(768, 160, **by_name)
        self.Mixed_6d = InceptionB(768, 160, **by_name)
        self.Mixed_6e = InceptionB(768, 192, **by_name)
        self.AuxLogits = Auxiliary(768, num_classes, **by_name) if auxiliary else None
        self.Mixed_7a = ReductionB(768, **by_name)
        self.Mixed_7b = InceptionC(1280, **by_name)
        self.Mixed_7c = InceptionC(2048, **by_name)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(2048, num_classes)
        initialise(self, "he", kinds=(nn.Conv2d,))

    def maps(self, inputs: Tensor) -> list[Tensor]:
        check_size(inputs, self, self.minimum_size)
        x = self.Conv2d_1a_3x3(inputs)  # 32 x 149 x 149 of 299 x 299
        x = self.Conv2d_2a_3x3(x)  # 32 x 147 x 147
        conv2 = self.Conv2d_2b_3x3(x)  # 64 x 147 x 147
        x = self.Conv2d_3b_1x1(self.maxpool1(conv2))  # 80 x 73 x 73
        conv4 = self.Conv2d_4a_3x3(x)  # 192 x 71 x 71
        x = self.Mixed_5b(self.maxpool2(conv4))  # 256 x 35 x 35
        mixed5 = self.Mixed_5d(self.Mixed_5c(x))  # 288 x 35 x 35
        x = self.Mixed_6b(self.Mixed_6a(mixed5))  # 768 x 17 x 17
        mixed6 = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(x)))
        x = self.Mixed_7a(mixed6)  # 1280 x 8 x 8
        mixed7 = self.Mixed_7c(self.Mixed_7b(x))  # 2048 x 8 x 8
        return [conv2, conv4, mixed5, mixed6, mixed7]

    def embed(self, last: Tensor) -> Tensor:
        return torch.flatten(self.avgpool(last), 1)

    def classify(self, last: Tensor) -> Tensor:
        return self.fc(self.dropout(self.embed(last)))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.classify(self.maps(inputs)[-1])

    def auxiliary(self, maps: list[Tensor]) -> list[Tensor]:
        return [] if self.AuxLogits is None else [self.AuxLogits(maps[3])]

    def new_head(self, num_classes: int) -> None:
        self.fc = new_linear(self.fc, num_classes)
        if self.AuxLogits is not None:
            self.AuxLogits.fc = new_linear(self.AuxLogits.fc, num_classes)


def build(
    name: str,
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    norm: str = "batch",
    act: str = "relu",
    dropout: float = 0.5,
    auxiliary: bool = True,
) -> Backbone:
    return InceptionV3(
        num_classes=num_classes,
        in_channels=in_channels,
        norm=norm,
        act=act,
        dropout=dropout,
        auxiliary=auxiliary,
    )
