"""MobileNet v2: inverted residuals, wide inside and narrow between, with linear bottlenecks.

Sandler et al. 2018, https://arxiv.org/abs/1801.04381, table 2 and figure 4; the suffix is the width
multiplier in hundredths. Parameter names are torchvision's. Differs in nothing at the standard
stem; `stem="small"` begins with stride 1, for pictures of about 32 pixels.
"""

from __future__ import annotations

from torch import Tensor, nn

from saccade.errors import unknown_name
from saccade.layers import ConvNormAct, check_size, divisible, make_norm, new_linear, shifts
from saccade.ops.init import initialise
from saccade.protocols import Backbone

BLOCKS = (  # table 2: expansion t, channels c, repeats n, stride s
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)

VARIANTS = {  # width multiplier
    "mobilenet_v2": 1.0,
    "mobilenet_v2_035": 0.35,
    "mobilenet_v2_050": 0.5,
    "mobilenet_v2_075": 0.75,
    "mobilenet_v2_130": 1.3,
    "mobilenet_v2_140": 1.4,
}


class InvertedResidual(nn.Module):
    """1x1 up, 3x3 in each channel, linear 1x1 down; a shortcut where shapes agree."""

    def __init__(
        self, in_channels: int, channels: int, *, stride: int, expand: int, norm: str, act: str
    ) -> None:
        super().__init__()
        wide = in_channels * expand
        parts: list[nn.Module] = []
        if expand > 1:
            parts.append(ConvNormAct(in_channels, wide, kernel=1, norm=norm, act=act))
        parts += [
            ConvNormAct(wide, wide, stride=stride, groups=wide, norm=norm, act=act),
            nn.Conv2d(wide, channels, 1, bias=not shifts(norm)),
            make_norm(norm, channels),
        ]
        self.conv = nn.Sequential(*parts)
        self.shortcut = stride == 1 and in_channels == channels

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.shortcut else self.conv(x)


class MobileNetV2(nn.Module):
    minimum_size = 1

    def __init__(
        self,
        *,
        width_multiplier: float,
        num_classes: int,
        in_channels: int = 3,
        norm: str = "batch",
        act: str = "relu6",
        dropout: float = 0.2,
        stem: str = "standard",
    ) -> None:
        super().__init__()
        if stem not in ("standard", "small"):
            raise unknown_name("stem", stem, ("standard", "small"))
        width, total = divisible(32 * width_multiplier), 1 if stem == "small" else 2
        layers: list[nn.Module] = [
            ConvNormAct(in_channels, width, stride=total, norm=norm, act=act)
        ]
        ends, strides, channels = [], [], []
        for expand, base, count, first in BLOCKS:
            for step in range(count):
                stride = first if step == 0 else 1
                if stride == 2:
                    ends.append(len(layers) - 1)
                    channels.append(width)
                    strides.append(total)
                total *= stride
                wide = divisible(base * width_multiplier)
                block = InvertedResidual(
                    width, wide, stride=stride, expand=expand, norm=norm, act=act
                )
                layers.append(block)
                width = wide
        last = divisible(1280 * max(1.0, width_multiplier))
        layers.append(ConvNormAct(width, last, kernel=1, norm=norm, act=act))
        self.features = nn.Sequential(*layers)
        self.ends = (*ends, len(layers) - 1)
        self.channels: tuple[int, ...] = (*channels, last)
        self.strides: tuple[int, ...] = (*strides, total)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(last, num_classes))
        initialise(self, "he", kinds=(nn.Conv2d,))

    def maps(self, inputs: Tensor) -> list[Tensor]:
        """The last map of every resolution: 112, 56, 28, 14 and 7 a side of 224."""
        check_size(inputs, self, self.minimum_size)
        maps, x = [], inputs
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self.ends:
                maps.append(x)
        return maps

    def embed(self, last: Tensor) -> Tensor:
        return last.mean((2, 3))

    def classify(self, last: Tensor) -> Tensor:
        return self.classifier(self.embed(last))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.classify(self.maps(inputs)[-1])

    def auxiliary(self, maps: list[Tensor]) -> list[Tensor]:
        return []

    def new_head(self, num_classes: int) -> None:
        self.classifier[-1] = new_linear(self.classifier[-1], num_classes)


def build(
    name: str,
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    norm: str = "batch",
    act: str = "relu6",
    dropout: float = 0.2,
    stem: str = "standard",
) -> Backbone:
    return MobileNetV2(
        width_multiplier=VARIANTS[name],
        num_classes=num_classes,
        in_channels=in_channels,
        norm=norm,
        act=act,
        dropout=dropout,
        stem=stem,
    )
