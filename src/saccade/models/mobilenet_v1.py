"""MobileNet v1: a convolution as a depthwise one and a 1x1, for 1 / channels + 1 / 9 of the cost.

Howard et al. 2017, https://arxiv.org/abs/1704.04861, table 1; the suffix is the width multiplier
alpha in hundredths. The resolution multiplier is the size of the input. Differs in nothing at the
standard stem; `stem="small"` begins with stride 1, for pictures of about 32 pixels.
"""

from __future__ import annotations

from torch import Tensor, nn

from saccade.errors import unknown_name
from saccade.layers import ConvNormAct, check_size, new_linear
from saccade.ops.init import initialise
from saccade.protocols import Backbone

BLOCKS = (  # table 1: channels, stride of the depthwise convolution
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1)),
    *((512, 2), (512, 1), (512, 1), (512, 1), (512, 1), (512, 1)),
    *((1024, 2), (1024, 1)),
)

VARIANTS = {  # width multiplier
    "mobilenet_v1": 1.0,
    "mobilenet_v1_075": 0.75,
    "mobilenet_v1_050": 0.5,
    "mobilenet_v1_025": 0.25,
}


class Separable(nn.Sequential):
    """3x3 in each channel alone, then 1x1 across channels (figure 3, right)."""

    def __init__(
        self, in_channels: int, channels: int, *, stride: int, norm: str, act: str
    ) -> None:
        super().__init__(
            ConvNormAct(
                in_channels, in_channels, stride=stride, groups=in_channels, norm=norm, act=act
            ),
            ConvNormAct(in_channels, channels, kernel=1, norm=norm, act=act),
        )


class MobileNetV1(nn.Module):
    minimum_size = 1

    def __init__(
        self,
        *,
        alpha: float,
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
        width, total = int(32 * alpha), 1 if stem == "small" else 2
        layers: list[nn.Module] = [
            ConvNormAct(in_channels, width, stride=total, norm=norm, act=act)
        ]
        ends, channels, strides = [], [], []
        for wide, stride in BLOCKS:
            if stride == 2:
                ends.append(len(layers) - 1)
                channels.append(width)
                strides.append(total)
            total *= stride
            layers.append(Separable(width, int(wide * alpha), stride=stride, norm=norm, act=act))
            width = int(wide * alpha)
        self.features = nn.Sequential(*layers)
        self.ends = (*ends, len(layers) - 1)
        self.channels: tuple[int, ...] = (*channels, width)
        self.strides: tuple[int, ...] = (*strides, total)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(width, num_classes)
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
    return MobileNetV1(
        alpha=VARIANTS[name],
        num_classes=num_classes,
        in_channels=in_channels,
        norm=norm,
        act=act,
        dropout=dropout,
        stem=stem,
    )
