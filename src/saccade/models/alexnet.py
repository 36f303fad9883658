"""AlexNet: the network that won ImageNet 2012.

Krizhevsky et al. 2012, "ImageNet classification with deep convolutional neural networks", figure 2.
`alexnet_grouped` is the network of the paper, its two towers written as convolutions of two groups,
with local response normalisation: 60,965,224 parameters. `alexnet` is the one-tower form of
Krizhevsky 2014, https://arxiv.org/abs/1404.5997, without normalisation, with torchvision's names.
Differs: pictures of 224 are padded by 2 (the paper's 55 x 55 needs 227), and an adaptive pooling to
6 x 6, which does nothing at 224, takes any other input.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from saccade.layers import check_size, new_linear, norm_and_act
from saccade.ops.init import initialise
from saccade.protocols import Backbone

VARIANTS = {  # channels of the five convolutions, groups of the second, fourth and fifth
    "alexnet": ((64, 192, 384, 256, 256), 1),
    "alexnet_grouped": ((96, 256, 384, 384, 256), 2),
}


class AlexNet(nn.Module):
    strides: tuple[int, ...] = (4, 8, 16, 32)
    minimum_size = 63

    def __init__(
        self,
        *,
        widths: tuple[int, int, int, int, int],
        groups: int,
        num_classes: int,
        in_channels: int = 3,
        norm: str = "none",
        act: str = "relu",
        dropout: float = 0.5,
        hidden: int = 4096,
    ) -> None:
        super().__init__()
        c1, c2, c3, c4, c5 = widths
        deep = "none" if norm == "local" else norm  # the paper normalises the first two layers
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, c1, 11, stride=4, padding=2),  # 55 x 55 of 224 x 224
            norm_and_act(norm, c1, act),
            nn.MaxPool2d(3, stride=2),  # 27 x 27
            nn.Conv2d(c1, c2, 5, padding=2, groups=groups),
            norm_and_act(norm, c2, act),
            nn.MaxPool2d(3, stride=2),  # 13 x 13
            nn.Conv2d(c2, c3, 3, padding=1),
            norm_and_act(deep, c3, act),
            nn.Conv2d(c3, c4, 3, padding=1, groups=groups),
            norm_and_act(deep, c4, act),
            nn.Conv2d(c4, c5, 3, padding=1, groups=groups),
            norm_and_act(deep, c5, act),
            nn.MaxPool2d(3, stride=2),  # 6 x 6
        )
        self.avgpool = nn.AdaptiveAvgPool2d(6)
        self.classifier = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(c5 * 6 * 6, hidden),
            norm_and_act("none", hidden, act),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            norm_and_act("none", hidden, act),
            nn.Linear(hidden, num_classes),
        )
        self.ends = (1, 4, 11, 12)
        self.channels: tuple[int, ...] = (c1, c2, c5, c5)
        initialise(self, "he", kinds=(nn.Conv2d,))

    def maps(self, inputs: Tensor) -> list[Tensor]:
        check_size(inputs, self, self.minimum_size)
        maps, x = [], inputs
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self.ends:
                maps.append(x)
        return maps

    def embed(self, last: Tensor) -> Tensor:
        x = torch.flatten(self.avgpool(last), 1)  # (N, 9216)
        return self.classifier[:-1](x)

    def classify(self, last: Tensor) -> Tensor:
        return self.classifier[-1](self.embed(last))

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
    norm: str | None = None,
    act: str = "relu",
    dropout: float = 0.5,
    hidden: int = 4096,
) -> Backbone:
    widths, groups = VARIANTS[name]
    return AlexNet(
        widths=widths,
        groups=groups,
        num_classes=num_classes,
        in_channels=in_channels,
        norm=norm or ("local" if groups == 2 else "none"),
        act=act,
        dropout=dropout,
        hidden=hidden,
    )
