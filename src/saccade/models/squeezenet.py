"""SqueezeNet: AlexNet's accuracy with 50 times fewer parameters.

Iandola et al. 2016, https://arxiv.org/abs/1602.07360, table 1 (1.0) and the authors' 1.1, which
pools earlier and costs 2.4 times less. Parameter names are torchvision's. Differs in nothing but
the optional normalisation.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from saccade.layers import check_size, new_conv, norm_and_act
from saccade.ops.init import initialise
from saccade.protocols import Backbone

FIRES = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))
"""fire2 to fire9: squeeze channels, channels of either expansion."""

VARIANTS = {  # channels and kernel of conv1, fires before which is a pooling, smallest side
    "squeezenet1_0": (96, 7, (0, 3, 7), 21),
    "squeezenet1_1": (64, 3, (0, 2, 4), 17),
}


class Fire(nn.Module):
    """Squeeze by 1x1, expand by 1x1 and 3x3 side by side (figure 1)."""

    def __init__(self, in_channels: int, squeeze: int, expand: int, *, norm: str, act: str) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(in_channels, squeeze, 1)
        self.squeeze_activation = norm_and_act(norm, squeeze, act)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand1x1_activation = norm_and_act(norm, expand, act)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)
        self.expand3x3_activation = norm_and_act(norm, expand, act)

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze_activation(self.squeeze(x))
        narrow = self.expand1x1_activation(self.expand1x1(x))
        wide = self.expand3x3_activation(self.expand3x3(x))
        return torch.cat([narrow, wide], 1)


class SqueezeNet(nn.Module):
    strides: tuple[int, ...] = (2, 4, 8, 16)

    def __init__(
        self,
        *,
        stem: tuple[int, int],
        pools: tuple[int, ...],
        minimum_size: int,
        num_classes: int,
        in_channels: int = 3,
        norm: str = "none",
        act: str = "relu",
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        width, kernel = stem
        layers: list[nn.Module] = [
            nn.Conv2d(in_channels, width, kernel, stride=2),
            norm_and_act(norm, width, act),
        ]
        ends, channels = [], []
        for index, (squeeze, expand) in enumerate(FIRES):
            if index in pools:
                ends.append(len(layers) - 1)
                channels.append(width)
                layers.append(nn.MaxPool2d(3, stride=2, ceil_mode=True))
            layers.append(Fire(width, squeeze, expand, norm=norm, act=act))
            width = 2 * expand
        self.ends = (*ends, len(layers) - 1)
        self.channels: tuple[int, ...] = (*channels, width)
        self.minimum_size = minimum_size
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Dropout(dropout),
            nn.Conv2d(width, num_classes, 1),  # conv10
            norm_and_act("none", num_classes, act),
            nn.AdaptiveAvgPool2d(1),
        )
        initialise(self, "he")
        initialise(self.classifier, "normal")

    def maps(self, inputs: Tensor) -> list[Tensor]:
        """Each part before its pooling: conv1, then the fires."""
        check_size(inputs, self, self.minimum_size)
        maps, x = [], inputs
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self.ends:
                maps.append(x)
        return maps

    def embed(self, last: Tensor) -> Tensor:
        return last.mean((2, 3))  # (N, 512)

    def classify(self, last: Tensor) -> Tensor:
        return torch.flatten(self.classifier(last), 1)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.classify(self.maps(inputs)[-1])

    def auxiliary(self, maps: list[Tensor]) -> list[Tensor]:
        return []

    def new_head(self, num_classes: int) -> None:
        """Fresh conv10 without its rectifier: a sigmoid unit or a regression needs both signs."""
        self.classifier[1] = new_conv(self.classifier[1], num_classes)
        self.classifier[2] = nn.Identity()


def build(
    name: str,
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    norm: str = "none",
    act: str = "relu",
    dropout: float = 0.5,
) -> Backbone:
    width, kernel, pools, minimum_size = VARIANTS[name]
    return SqueezeNet(
        stem=(width, kernel),
        pools=pools,
        minimum_size=minimum_size,
        num_classes=num_classes,
        in_channels=in_channels,
        norm=norm,
        act=act,
        dropout=dropout,
    )
