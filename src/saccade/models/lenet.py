"""LeNet-5: the first convolutional network in daily use, reading cheques.

LeCun et al. 1998, "Gradient-based learning applied to document recognition", figure 2 and table 1.
`lenet5` is the network as published: 60,000 trainable parameters, trainable subsampling, a
sparsely connected C3, scaled tanh, and an output layer of Euclidean radial basis functions whose
+-1 codes are fixed. Differs from the paper: the codes are random (section IIB names this choice)
rather than drawn as 7x12 letters, and a logit is the part of minus half the squared distance that
differs between classes, the product with the code: softmax is the same, one output has both signs.
`lenet5_modern` has a dense C3, max pooling, ReLU and a linear output: 61,706 parameters. Larger
inputs give a larger C5 map, which is averaged.
"""

from __future__ import annotations

import random

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from saccade.layers import check_size, make_act, make_norm, new_linear
from saccade.ops.init import initialise
from saccade.protocols import Backbone

SPARSE_C3 = (  # table 1: the S2 maps that each of the 16 C3 maps sees
    ((0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (4, 5, 0), (5, 0, 1)),
    (
        *((0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (3, 4, 5, 0), (4, 5, 0, 1), (5, 0, 1, 2)),
        *((0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5)),
    ),
    ((0, 1, 2, 3, 4, 5),),
)


class Subsampling(nn.Module):
    """Sum of 2x2, times a trainable coefficient, plus a trainable bias: two parameters a map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels, 1, 1), 0.25))
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return 4 * F.avg_pool2d(x, 2) * self.weight + self.bias


class SparseConv(nn.Module):
    """C3: each map sees three, four or six of the maps below; a grouped convolution for each."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList(
            nn.Conv2d(sum(len(seen) for seen in rows), len(rows), 5, groups=len(rows))
            for rows in SPARSE_C3
        )
        self.seen = [[below for seen in rows for below in seen] for rows in SPARSE_C3]

    def forward(self, x: Tensor) -> Tensor:
        pairs = zip(self.parts, self.seen, strict=True)
        return torch.cat([part(x[:, seen]) for part, seen in pairs], 1)  # (N, 16, H - 4, W - 4)


class Codes(nn.Module):
    """Radial basis functions: the nearer to a class's fixed +-1 code, the larger its logit."""

    def __init__(self, in_features: int, num_classes: int) -> None:
        super().__init__()
        draw = random.Random(1998)  # noqa: S311
        codes = [[draw.choice((-1.0, 1.0)) for _ in range(in_features)] for _ in range(num_classes)]
        self.register_buffer("codes", torch.tensor(codes))

    def forward(self, x: Tensor) -> Tensor:
        # -|x - code|^2 / 2 without |x|^2 and |code|^2, which all classes share
        return F.linear(x, self.get_buffer("codes"))


class LeNet5(nn.Module):
    channels: tuple[int, ...] = (6, 16, 120)
    strides: tuple[int, ...] = (1, 2, 4)

    def __init__(
        self,
        *,
        published: bool,
        num_classes: int,
        in_channels: int = 1,
        norm: str = "none",
        act: str = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        # 28-pixel digits were centred in 32 x 32 pictures: padding does the same
        self.c1 = nn.Conv2d(in_channels, 6, 5, padding=0 if published else 2)
        self.norm1, self.act1 = make_norm(norm, 6), make_act(act)
        self.s2 = nn.Sequential(Subsampling(6), make_act(act)) if published else nn.MaxPool2d(2)
        self.c3 = SparseConv() if published else nn.Conv2d(6, 16, 5)
        self.norm3, self.act3 = make_norm(norm, 16), make_act(act)
        self.s4 = nn.Sequential(Subsampling(16), make_act(act)) if published else nn.MaxPool2d(2)
        self.c5 = nn.Conv2d(16, 120, 5)
        self.act5 = make_act(act)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.f6 = nn.Linear(120, 84)
        self.act6 = make_act(act)
        self.dropout = nn.Dropout(dropout)
        self.output: nn.Module = Codes(84, num_classes) if published else nn.Linear(84, num_classes)
        self.minimum_size = 32 if published else 28
        initialise(self, "lecun" if published else "he", kinds=(nn.Conv2d,))

    def maps(self, inputs: Tensor) -> list[Tensor]:
        check_size(inputs, self, self.minimum_size)
        c1 = self.act1(self.norm1(self.c1(inputs)))  # 6 x 28 x 28 of 32 x 32
        s2 = self.s2(c1)  # 6 x 14 x 14
        c3 = self.act3(self.norm3(self.c3(s2)))  # 16 x 10 x 10
        s4 = self.s4(c3)  # 16 x 5 x 5
        c5 = self.act5(self.c5(s4))  # 120 x 1 x 1
        return [c1, c3, c5]

    def embed(self, last: Tensor) -> Tensor:
        x = torch.flatten(self.avgpool(last), 1)
        return self.act6(self.f6(x))  # (N, 84)

    def classify(self, last: Tensor) -> Tensor:
        return self.output(self.dropout(self.embed(last)))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.classify(self.maps(inputs)[-1])

    def auxiliary(self, maps: list[Tensor]) -> list[Tensor]:
        return []

    def new_head(self, num_classes: int) -> None:
        if isinstance(self.output, nn.Linear):
            self.output = new_linear(self.output, num_classes)
        else:
            self.output = Codes(84, num_classes).to(self.f6.weight)


def build(
    name: str,
    *,
    num_classes: int = 10,
    in_channels: int = 1,
    norm: str = "none",
    act: str | None = None,
    dropout: float = 0.0,
) -> Backbone:
    published = name == "lenet5"
    return LeNet5(
        published=published,
        num_classes=num_classes,
        in_channels=in_channels,
        norm=norm,
        act=act or ("scaled_tanh" if published else "relu"),
        dropout=dropout,
    )
