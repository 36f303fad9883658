"""ResNet: residual blocks let depth grow without losing the gradient.

He et al. 2015, https://arxiv.org/abs/1512.03385, table 1 and figure 3 (plain-18/34 are the same
layers without shortcuts). Differs from the paper: the stride of a bottleneck sits on its 3x3
convolution ("v1.5"), as in torchvision, so that its weights load here unchanged. `stem="small"` is
one 3x3 convolution of stride 1 without pooling, for pictures of about 32 pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from saccade.errors import unknown_name
from saccade.layers import check_size, make_act, make_norm, new_linear, shifts
from saccade.ops.init import initialise
from saccade.protocols import Backbone

WIDTHS = (64, 128, 256, 512)


class Plain(nn.Module):
    """Two 3x3 convolutions, no shortcut."""

    expansion = 1

    def __init__(
        self, in_channels: int, channels: int, *, stride: int, norm: str, act: str
    ) -> None:
        super().__init__()
        bias = not shifts(norm)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=bias)
        self.bn1 = make_norm(norm, channels)
        self.act1 = make_act(act)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=bias)
        self.bn2 = make_norm(norm, channels)
        self.act2 = make_act(act)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act1(self.bn1(self.conv1(x)))
        return self.act2(self.bn2(self.conv2(x)))


class Basic(nn.Module):
    """Two 3x3 convolutions and a shortcut (figure 5, left)."""

    expansion = 1

    def __init__(
        self, in_channels: int, channels: int, *, stride: int, norm: str, act: str
    ) -> None:
        super().__init__()
        bias = not shifts(norm)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=bias)
        self.bn1 = make_norm(norm, channels)
        self.act1 = make_act(act)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=bias)
        self.bn2 = make_norm(norm, channels)
        self.downsample = projection(in_channels, channels, stride=stride, norm=norm)
        self.act2 = make_act(act)

    def forward(self, x: Tensor) -> Tensor:
        y = self.act1(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return self.act2(y + self.downsample(x))


class Bottleneck(nn.Module):
    """1x1 down, 3x3, 1x1 up, and a shortcut (figure 5, right)."""

    expansion = 4

    def __init__(
        self, in_channels: int, channels: int, *, stride: int, norm: str, act: str
    ) -> None:
        super().__init__()
        bias, wide = not shifts(norm), channels * self.expansion
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=bias)
        self.bn1 = make_norm(norm, channels)
        self.act1 = make_act(act)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride=stride, padding=1, bias=bias)
        self.bn2 = make_norm(norm, channels)
        self.act2 = make_act(act)
        self.conv3 = nn.Conv2d(channels, wide, 1, bias=bias)
        self.bn3 = make_norm(norm, wide)
        self.downsample = projection(in_channels, wide, stride=stride, norm=norm)
        self.act3 = make_act(act)

    def forward(self, x: Tensor) -> Tensor:
        y = self.act1(self.bn1(self.conv1(x)))
        y = self.act2(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return self.act3(y + self.downsample(x))


def projection(in_channels: int, channels: int, *, stride: int, norm: str) -> nn.Module:
    """The shortcut: identity, or option B's 1x1 convolution where the shape changes."""
    if stride == 1 and in_channels == channels:
        return nn.Identity()
    conv = nn.Conv2d(in_channels, channels, 1, stride=stride, bias=not shifts(norm))
    return nn.Sequential(conv, make_norm(norm, channels))


VARIANTS: dict[str, tuple[type[Plain | Basic | Bottleneck], tuple[int, int, int, int]]] = {
    "resnet18": (Basic, (2, 2, 2, 2)),
    "resnet34": (Basic, (3, 4, 6, 3)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
    "resnet101": (Bottleneck, (3, 4, 23, 3)),
    "resnet152": (Bottleneck, (3, 8, 36, 3)),
    "plain18": (Plain, (2, 2, 2, 2)),
    "plain34": (Plain, (3, 4, 6, 3)),
}
"""Blocks per stage, table 1."""


class ResNet(nn.Module):
    minimum_size = 1

    def __init__(
        self,
        *,
        block: type[Plain | Basic | Bottleneck],
        blocks: tuple[int, int, int, int],
        num_classes: int,
        in_channels: int = 3,
        norm: str = "batch",
        act: str = "relu",
        dropout: float = 0.0,
        stem: str = "standard",
    ) -> None:
        super().__init__()
        if stem not in ("standard", "small"):
            raise unknown_name("stem", stem, ("standard", "small"))
        small, bias = stem == "small", not shifts(norm)
        kernel, stride = (3, 1) if small else (7, 2)
        self.conv1 = nn.Conv2d(
            in_channels, 64, kernel, stride=stride, padding=kernel // 2, bias=bias
        )
        self.bn1 = make_norm(norm, 64)
        self.act = make_act(act)
        self.maxpool = nn.Identity() if small else nn.MaxPool2d(3, stride=2, padding=1)
        width, stages = 64, []
        for index, (channels, count) in enumerate(zip(WIDTHS, blocks, strict=True)):
            stage = []
            for step in range(count):
                first = 2 if index > 0 and step == 0 else 1
                stage.append(block(width, channels, stride=first, norm=norm, act=act))
                width = channels * block.expansion
            stages.append(nn.Sequential(*stage))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(width, num_classes)
        self.channels: tuple[int, ...] = tuple(channels * block.expansion for channels in WIDTHS)
        self.strides: tuple[int, ...] = (1, 2, 4, 8) if small else (4, 8, 16, 32)
        initialise(self, "he", kinds=(nn.Conv2d,))

    def maps(self, inputs: Tensor) -> list[Tensor]:
        check_size(inputs, self, self.minimum_size)
        x = self.act(self.bn1(self.conv1(inputs)))  # 112 x 112 of 224
        x = self.maxpool(x)  # 56 x 56
        conv2 = self.layer1(x)
        conv3 = self.layer2(conv2)  # 28 x 28
        conv4 = self.layer3(conv3)  # 14 x 14
        conv5 = self.layer4(conv4)  # 7 x 7
        return [conv2, conv3, conv4, conv5]

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
    num_classes: int = 1000,
    in_channels: int = 3,
    norm: str = "batch",
    act: str = "relu",
    dropout: float = 0.0,
    stem: str = "standard",
) -> Backbone:
    block, blocks = VARIANTS[name]
    return ResNet(
        block=block,
        blocks=blocks,
        num_classes=num_classes,
        in_channels=in_channels,
        norm=norm,
        act=act,
        dropout=dropout,
        stem=stem,
    )
