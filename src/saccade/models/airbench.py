"""Airbench: a small network that learns small pictures fast.

Jordan 2024, "94% on CIFAR-10 in 3.29 seconds on a single GPU", https://arxiv.org/abs/2404.00498,
section 3 and listing of airbench94: a 2x2 convolution that can be set to whiten patches, three
groups of two 3x3 convolutions with max pooling, a last max pooling, a linear layer scaled by 1/9.
As published the scale of the norms is fixed at 1, the convolutions begin as the identity. Differs:
the last pooling takes the whole map (3 x 3 at 32 pixels, as published); maps under 4 pixels are
pooled rounding up, so that 8 x 8 pictures pass; batch norm has PyTorch's eps in place of 1e-12.
`airbench_small` is half as wide.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from saccade.layers import check_size, make_act, make_norm, new_linear, shifts
from saccade.ops.init import initialise, whitening_filters
from saccade.protocols import Backbone

VARIANTS = {  # channels of the three groups
    "airbench": (64, 256, 256),
    "airbench_small": (32, 128, 128),
}


def shift_norm(norm: str, channels: int) -> nn.Module:
    """A normalisation whose scale stays 1: only its shift is trained."""
    module = make_norm(norm, channels, momentum=0.4)
    if isinstance(module.weight if shifts(norm) else None, nn.Parameter):
        module.weight.requires_grad_(False)
    return module


class Group(nn.Module):
    """Convolution, 2x2 max pooling, norm, activation; convolution, norm, activation."""

    def __init__(self, in_channels: int, channels: int, *, norm: str, act: str) -> None:
        super().__init__()
        bias = not shifts(norm)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, padding=1, bias=bias)
        self.norm1, self.act1 = shift_norm(norm, channels), make_act(act)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=bias)
        self.norm2, self.act2 = shift_norm(norm, channels), make_act(act)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        x = F.max_pool2d(x, 2, ceil_mode=min(x.shape[-2:]) < 4)
        x = self.act1(self.norm1(x))
        return self.act2(self.norm2(self.conv2(x)))


class Airbench(nn.Module):
    strides: tuple[int, ...] = (2, 4, 8)
    minimum_size = 2

    def __init__(
        self,
        *,
        widths: tuple[int, int, int],
        num_classes: int,
        in_channels: int = 3,
        norm: str = "batch",
        act: str = "gelu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        stem = 2 * in_channels * 2 * 2  # a filter and its negative for every direction of a patch
        self.whitening = nn.Conv2d(in_channels, stem, 2)
        self.act = make_act(act)
        self.group1 = Group(stem, widths[0], norm=norm, act=act)
        self.group2 = Group(widths[0], widths[1], norm=norm, act=act)
        self.group3 = Group(widths[1], widths[2], norm=norm, act=act)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(widths[2], num_classes, bias=False)
        self.channels: tuple[int, ...] = widths
        for group in (self.group1, self.group2, self.group3):
            initialise(group, "dirac")

    def maps(self, inputs: Tensor) -> list[Tensor]:
        check_size(inputs, self, self.minimum_size)
        x = self.act(self.whitening(inputs))  # 31 x 31 of 32 x 32
        fine = self.group1(x)  # 15 x 15
        middle = self.group2(fine)  # 7 x 7
        coarse = self.group3(middle)  # 3 x 3
        return [fine, middle, coarse]

    def embed(self, last: Tensor) -> Tensor:
        return torch.amax(last, (2, 3))

    def classify(self, last: Tensor) -> Tensor:
        return self.head(self.dropout(self.embed(last))) / 9

    def forward(self, inputs: Tensor) -> Tensor:
        return self.classify(self.maps(inputs)[-1])

    def auxiliary(self, maps: list[Tensor]) -> list[Tensor]:
        return []

    def new_head(self, num_classes: int) -> None:
        self.head = new_linear(self.head, num_classes)

    def whiten(self, inputs: Tensor) -> None:
        """Set the first layer from normalised pictures (N, C, H, W) and freeze its filters."""
        patches = inputs.unfold(2, 2, 1).unfold(3, 2, 1)  # (N, C, H - 1, W - 1, 2, 2)
        patches = patches.permute(0, 2, 3, 1, 4, 5).flatten(0, 2)
        filters = whitening_filters(patches.float())
        self.whitening.weight.data.copy_(filters)
        self.whitening.weight.requires_grad_(False)


def build(
    name: str,
    *,
    num_classes: int = 10,
    in_channels: int = 3,
    norm: str = "batch",
    act: str = "gelu",
    dropout: float = 0.0,
) -> Backbone:
    return Airbench(
        widths=VARIANTS[name],
        num_classes=num_classes,
        in_channels=in_channels,
        norm=norm,
        act=act,
        dropout=dropout,
    )
