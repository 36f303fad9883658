"""DenseNet: every layer sees the maps of all layers before it.

Huang et al. 2016, https://arxiv.org/abs/1608.06993, table 1 (DenseNet-BC), with torchvision's
parameter names. Differs in nothing at the standard stem; `stem="small"` is the paper's CIFAR stem,
one 3x3 convolution of stride 1 without pooling. `dropout` follows every 3x3 convolution, as the
paper has it for data without augmentation.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from saccade.errors import unknown_name
from saccade.layers import check_size, make_act, make_norm, new_linear, shifts
from saccade.ops.init import initialise
from saccade.protocols import Backbone

VARIANTS = {  # growth rate k, layers in each dense block, channels of the stem
    "densenet121": (32, (6, 12, 24, 16), 64),
    "densenet161": (48, (6, 12, 36, 24), 96),
    "densenet169": (32, (6, 12, 32, 32), 64),
    "densenet201": (32, (6, 12, 48, 32), 64),
    "densenet264": (32, (6, 12, 64, 48), 64),
}


class DenseLayer(nn.Module):
    """Norm, activation, 1x1 to 4k channels; norm, activation, 3x3 to k channels."""

    def __init__(
        self, in_channels: int, growth: int, *, norm: str, act: str, dropout: float
    ) -> None:
        super().__init__()
        bias = not shifts(norm)
        self.norm1, self.act1 = make_norm(norm, in_channels), make_act(act)
        self.conv1 = nn.Conv2d(in_channels, 4 * growth, 1, bias=bias)
        self.norm2, self.act2 = make_norm(norm, 4 * growth), make_act(act)
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=bias)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(self.act1(self.norm1(x)))
        x = self.conv2(self.act2(self.norm2(x)))
        return self.dropout(x)


class DenseBlock(nn.Module):
    """Layers whose outputs pile up as channels (figure 1)."""

    def __init__(
        self, in_channels: int, count: int, growth: int, *, norm: str, act: str, dropout: float
    ) -> None:
        super().__init__()
        for index in range(count):
            width = in_channels + index * growth
            layer = DenseLayer(width, growth, norm=norm, act=act, dropout=dropout)
            self.add_module(f"denselayer{index + 1}", layer)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.children():
            x = torch.cat([x, layer(x)], 1)
        return x


class Transition(nn.Module):
    """Half the channels, half the size."""

    def __init__(self, in_channels: int, *, norm: str, act: str) -> None:
        super().__init__()
        self.norm, self.act = make_norm(norm, in_channels), make_act(act)
        self.conv = nn.Conv2d(in_channels, in_channels // 2, 1, bias=not shifts(norm))
        self.pool = nn.AvgPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(self.conv(self.act(self.norm(x))))


class DenseNet(nn.Module):
    def __init__(
        self,
        *,
        growth: int,
        blocks: tuple[int, int, int, int],
        width: int,
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
        small = stem == "small"
        kernel, stride = (3, 1) if small else (7, 2)
        self.features = nn.Sequential()
        self.features.conv0 = nn.Conv2d(
            in_channels, width, kernel, stride=stride, padding=kernel // 2, bias=not shifts(norm)
        )
        self.features.norm0 = make_norm(norm, width)
        self.features.act0 = make_act(act)
        self.features.pool0 = nn.Identity() if small else nn.MaxPool2d(3, stride=2, padding=1)
        channels = []
        for index, count in enumerate(blocks):
            block = DenseBlock(width, count, growth, norm=norm, act=act, dropout=dropout)
            self.features.add_module(f"denseblock{index + 1}", block)
            width += count * growth
            channels.append(width)
            if index < 3:
                transition = Transition(width, norm=norm, act=act)
                self.features.add_module(f"transition{index + 1}", transition)
                width //= 2
        self.features.norm5 = make_norm(norm, width)
        self.features.act5 = make_act(act)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(width, num_classes)
        self.channels: tuple[int, ...] = tuple(channels)
        self.strides: tuple[int, ...] = (1, 2, 4, 8) if small else (4, 8, 16, 32)
        self.minimum_size = 8 if small else 29
        self.ends = ("denseblock1", "denseblock2", "denseblock3", "act5")
        initialise(self, "he", kinds=(nn.Conv2d,))

    def maps(self, inputs: Tensor) -> list[Tensor]:
        """The dense blocks, the last one after its norm and activation."""
        check_size(inputs, self, self.minimum_size)
        maps, x = [], inputs
        for name, layer in self.features.named_children():
            x = layer(x)
            if name in self.ends:
                maps.append(x)
        return maps

    def embed(self, last: Tensor) -> Tensor:
        return torch.flatten(self.avgpool(last), 1)

    def classify(self, last: Tensor) -> Tensor:
        return self.classifier(self.embed(last))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.classify(self.maps(inputs)[-1])

    def auxiliary(self, maps: list[Tensor]) -> list[Tensor]:
        return []

    def new_head(self, num_classes: int) -> None:
        self.classifier = new_linear(self.classifier, num_classes)


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
    growth, blocks, width = VARIANTS[name]
    return DenseNet(
        growth=growth,
        blocks=blocks,
        width=width,
        num_classes=num_classes,
        in_channels=in_channels,
        norm=norm,
        act=act,
        dropout=dropout,
        stem=stem,
    )
