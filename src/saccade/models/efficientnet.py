"""EfficientNet: depth, width and resolution grown together.

Tan and Le 2019, https://arxiv.org/abs/1905.11946, table 1, and the authors' published
coefficients for B1 to B7, which are rounded and hand-set rather than powers of the paper's alpha,
beta and gamma: `compound_scale` computes those for any phi. Parameter names are torchvision's.
Differs in nothing at the standard stem; `stem="small"` begins with stride 1, for pictures of about
32 pixels.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from torch import Tensor, nn

from saccade.errors import unknown_name
from saccade.layers import (
    ConvNormAct,
    StochasticDepth,
    check_size,
    divisible,
    make_act,
    new_linear,
)
from saccade.ops.init import initialise
from saccade.protocols import Backbone

BLOCKS = (  # table 1: expansion, kernel, stride, channels, layers
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)


class Scale(NamedTuple):
    """Factors of width and depth over B0, and the side of the input in pixels."""

    width: float
    depth: float
    resolution: int


VARIANTS = {  # published scale, dropout; batch norm's eps from B5 on is 1e-3
    "efficientnet_b0": (Scale(1.0, 1.0, 224), 0.2),
    "efficientnet_b1": (Scale(1.0, 1.1, 240), 0.2),
    "efficientnet_b2": (Scale(1.1, 1.2, 260), 0.3),
    "efficientnet_b3": (Scale(1.2, 1.4, 300), 0.3),
    "efficientnet_b4": (Scale(1.4, 1.8, 380), 0.4),
    "efficientnet_b5": (Scale(1.6, 2.2, 456), 0.4),
    "efficientnet_b6": (Scale(1.8, 2.6, 528), 0.5),
    "efficientnet_b7": (Scale(2.0, 3.1, 600), 0.5),
}


def compound_scale(
    phi: float, *, alpha: float = 1.2, beta: float = 1.1, gamma: float = 1.15
) -> Scale:
    """Equation 3: depth alpha^phi, width beta^phi, resolution 224 gamma^phi.

    alpha beta^2 gamma^2 is about 2, so that the cost doubles with every phi. The published
    variants are near it, not on it: phi = 1 gives width 1.1, depth 1.2 and 258 pixels, B1 is 1.0,
    1.1 and 240.
    """
    return Scale(beta**phi, alpha**phi, round(224 * gamma**phi))


def scale_told(name: str) -> list[str]:
    """How the published scale of a variant differs from the formula of the same phi; [] for B0."""
    if name not in VARIANTS or name == "efficientnet_b0":
        return []
    phi = int(name[-1])
    return [
        f"{words}: width {scale.width:.2f}, depth {scale.depth:.2f}, {scale.resolution} pixels"
        for words, scale in (
            ("published scale", VARIANTS[name][0]),
            (f"compound_scale({phi})", compound_scale(phi)),
        )
    ]


class SqueezeExcite(nn.Module):
    """Weighs each channel by what the whole map shows (Hu et al. 2017)."""

    def __init__(self, channels: int, squeezed: int, *, act: str) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.activation = make_act(act)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)
        self.scale_activation = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        scale = self.activation(self.fc1(self.avgpool(x)))
        return x * self.scale_activation(self.fc2(scale))


class Block(NamedTuple):
    """One MBConv as numbers."""

    in_channels: int
    channels: int
    expand: int
    kernel: int
    stride: int
    drop: float


class MBConv(nn.Module):
    """MobileNet v2's inverted residual with squeeze and excitation."""

    def __init__(self, block: Block, *, norm: str, act: str, eps: float) -> None:
        super().__init__()
        narrow, wide = block.in_channels, block.in_channels * block.expand
        parts: list[nn.Module] = []
        if block.expand > 1:
            parts.append(ConvNormAct(narrow, wide, kernel=1, norm=norm, act=act, eps=eps))
        parts += [
            ConvNormAct(
                wide,
                wide,
                kernel=block.kernel,
                stride=block.stride,
                groups=wide,
                norm=norm,
                act=act,
                eps=eps,
            ),
            SqueezeExcite(wide, max(1, narrow // 4), act=act),
            ConvNormAct(wide, block.channels, kernel=1, norm=norm, act="none", eps=eps),
        ]
        self.block = nn.Sequential(*parts)
        self.stochastic_depth = StochasticDepth(block.drop)
        self.shortcut = block.stride == 1 and narrow == block.channels

    def forward(self, x: Tensor) -> Tensor:
        y = self.block(x)
        return x + self.stochastic_depth(y) if self.shortcut else y


def layout(scale: Scale, *, stochastic_depth: float) -> list[list[Block]]:
    """The scaled table: stages of blocks; the drop probability grows linearly with depth."""
    width, stages, drawn = divisible(32 * scale.width), [], 0
    counts = [math.ceil(count * scale.depth) for *_, count in BLOCKS]
    for (expand, kernel, stride, base, _), count in zip(BLOCKS, counts, strict=True):
        stage = []
        for step in range(count):
            channels = divisible(base * scale.width)
            drop = stochastic_depth * drawn / sum(counts)
            stage.append(Block(width, channels, expand, kernel, stride if step == 0 else 1, drop))
            width, drawn = channels, drawn + 1
        stages.append(stage)
    return stages


class EfficientNet(nn.Module):
    minimum_size = 1

    def __init__(
        self,
        *,
        scale: Scale,
        num_classes: int,
        in_channels: int = 3,
        norm: str = "batch",
        act: str = "silu",
        dropout: float = 0.2,
        stochastic_depth: float = 0.2,
        stem: str = "standard",
    ) -> None:
        super().__init__()
        if stem not in ("standard", "small"):
            raise unknown_name("stem", stem, ("standard", "small"))
        eps = 1e-3 if scale.width >= 1.6 else 1e-5
        total = 1 if stem == "small" else 2
        stages = layout(scale, stochastic_depth=stochastic_depth)
        width = stages[0][0].in_channels
        layers: list[nn.Module] = [
            ConvNormAct(in_channels, width, stride=total, norm=norm, act=act, eps=eps)
        ]
        ends, strides, channels = [], [], []
        for stage in stages:
            if stage[0].stride == 2:
                ends.append(len(layers) - 1)
                channels.append(stage[0].in_channels)
                strides.append(total)
            total *= stage[0].stride
            blocks = (MBConv(block, norm=norm, act=act, eps=eps) for block in stage)
            layers.append(nn.Sequential(*blocks))
        width = stages[-1][-1].channels
        layers.append(ConvNormAct(width, 4 * width, kernel=1, norm=norm, act=act, eps=eps))
        self.features = nn.Sequential(*layers)
        self.ends = (*ends, len(layers) - 1)
        self.channels: tuple[int, ...] = (*channels, 4 * width)
        self.strides: tuple[int, ...] = (*strides, total)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(4 * width, num_classes))
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
    act: str = "silu",
    dropout: float | None = None,
    stochastic_depth: float = 0.2,
    stem: str = "standard",
) -> Backbone:
    scale, own_dropout = VARIANTS[name]
    return EfficientNet(
        scale=scale,
        num_classes=num_classes,
        in_channels=in_channels,
        norm=norm,
        act=act,
        dropout=own_dropout if dropout is None else dropout,
        stochastic_depth=stochastic_depth,
        stem=stem,
    )
