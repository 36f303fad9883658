"""What lies between a backbone and a detector's answers: maps of several resolutions, joined."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from saccade.layers import ConvNormAct

LEAKY = "leaky_relu_0.1"


class Slim(nn.Module):
    """A top-down pyramid of one width: each map gets what the coarser ones know."""

    def __init__(self, channels: Sequence[int], *, width: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(
            ConvNormAct(each, width, kernel=1, act="silu") for each in channels
        )
        self.smooth = nn.ModuleList(ConvNormAct(width, width, act="silu") for _ in channels)
        self.channels = (width,) * len(channels)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        made: list[Tensor] = []
        for x, lateral, smooth in zip(
            reversed(maps), reversed(self.lateral), reversed(self.smooth), strict=True
        ):
            y = lateral(x)
            if made:
                y = y + F.interpolate(made[0], size=y.shape[2:], mode="nearest")
            made.insert(0, smooth(y))
        return made


class Passthrough(nn.Module):
    """YOLOv2: the map before the last, its cells' 2 x 2 neighbours side by side, beside the last.

    2017, section 2 (fine-grained features); the 1x1 convolution to 64 channels is the published
    network's.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        fine, coarse = channels[-2:]
        self.deep = nn.Sequential(
            ConvNormAct(coarse, 1024, act=LEAKY), ConvNormAct(1024, 1024, act=LEAKY)
        )
        self.reduce = ConvNormAct(fine, 64, kernel=1, act=LEAKY)
        self.join = ConvNormAct(1024 + 4 * 64, 1024, act=LEAKY)
        self.channels = (1024,)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        fine, deep = self.reduce(maps[-2]), self.deep(maps[-1])
        height, width = (2 * side for side in deep.shape[2:])
        if abs(fine.shape[2] - height) > 1 or abs(fine.shape[3] - width) > 1:
            fine = F.interpolate(fine, (height, width))  # of backbones that do not pad
        # of odd sides the last neighbours are missing or left over
        fine = F.pad(fine, (0, width - fine.shape[3], 0, height - fine.shape[2]))
        return [self.join(torch.cat([F.pixel_unshuffle(fine, 2), deep], 1))]


class Deep(nn.Module):
    """YOLOv3: five convolutions on each map, joined with the coarser one's (2018, section 2.3)."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.sets, self.heads, self.ups = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        coming = 0
        for wide in reversed(channels):
            half, width = wide // 2, wide + coming
            parts: list[nn.Module] = []
            for index in range(5):
                given = (width if index == 0 else wide) if index % 2 == 0 else half
                parts.append(
                    ConvNormAct(given, half, kernel=1, act=LEAKY)
                    if index % 2 == 0
                    else ConvNormAct(given, wide, act=LEAKY)
                )
            self.sets.append(nn.Sequential(*parts))
            self.heads.append(ConvNormAct(half, wide, act=LEAKY))
            coming = half // 2
            self.ups.append(ConvNormAct(half, coming, kernel=1, act=LEAKY))
        self.ups = self.ups[:-1]
        self.channels = tuple(channels)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        made: list[Tensor] = []
        x = maps[-1]
        for index, (convolutions, head) in enumerate(zip(self.sets, self.heads, strict=True)):
            x = convolutions(x)
            made.insert(0, head(x))
            if index < len(self.ups):
                finer = maps[-2 - index]
                x = F.interpolate(self.ups[index](x), size=finer.shape[2:], mode="nearest")
                x = torch.cat([x, finer], 1)
        return made
