"""VGG: nothing but 3x3 convolutions, 2x2 pooling and three dense layers.

Simonyan and Zisserman 2014, https://arxiv.org/abs/1409.1556, table 1, columns A, B, D and E.
Parameter names are torchvision's. `_bn` adds batch norm after each convolution. Differs: an
adaptive pooling to 7 x 7, which does nothing at 224 x 224, takes any other input of 32 and more.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from saccade.layers import check_size, make_act, make_norm, new_linear
from saccade.ops.init import initialise
from saccade.protocols import Backbone

WIDTHS = (64, 128, 256, 512, 512)

VARIANTS = {  # convolutions in each of the five blocks, norm
    "vgg11": ((1, 1, 2, 2, 2), "none"),
    "vgg13": ((2, 2, 2, 2, 2), "none"),
    "vgg16": ((2, 2, 3, 3, 3), "none"),
    "vgg19": ((2, 2, 4, 4, 4), "none"),
    "vgg11_bn": ((1, 1, 2, 2, 2), "batch"),
    "vgg13_bn": ((2, 2, 2, 2, 2), "batch"),
    "vgg16_bn": ((2, 2, 3, 3, 3), "batch"),
    "vgg19_bn": ((2, 2, 4, 4, 4), "batch"),
}


class VGG(nn.Module):
    channels: tuple[int, ...] = (*WIDTHS, 512)
    strides: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    minimum_size = 32

    def __init__(
        self,
        *,
        blocks: tuple[int, int, int, int, int],
        num_classes: int,
        in_channels: int = 3,
        norm: str = "none",
        act: str = "relu",
        dropout: float = 0.5,
        hidden: int = 4096,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        ends = []
        for channels, count in zip(WIDTHS, blocks, strict=True):
            for _ in range(count):
                layers.append(nn.Conv2d(in_channels, channels, 3, padding=1))
                if norm != "none":
                    layers.append(make_norm(norm, channels))
                layers.append(make_act(act))
                in_channels = channels
            ends.append(len(layers) - 1)
            layers.append(nn.MaxPool2d(2))
        self.ends = (*ends, len(layers) - 1)
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(7)
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, hidden),
            make_act(act),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            make_act(act),
            nn.Dropout(dropout),
            nn.Linear(hidden, num_classes),
        )
        initialise(self, "he", kinds=(nn.Conv2d,))

    def maps(self, inputs: Tensor) -> list[Tensor]:
        """Each block before its pooling, at last the map after the fifth pooling."""
        check_size(inputs, self, self.minimum_size)
        maps, x = [], inputs
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self.ends:
                maps.append(x)
        return maps

    def embed(self, last: Tensor) -> Tensor:
        x = torch.flatten(self.avgpool(last), 1)  # (N, 25088)
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
    blocks, own_norm = VARIANTS[name]
    return VGG(
        blocks=blocks,
        num_classes=num_classes,
        in_channels=in_channels,
        norm=norm or own_norm,
        act=act,
        dropout=dropout,
        hidden=hidden,
    )
