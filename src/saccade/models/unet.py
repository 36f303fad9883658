"""U-Net: a contracting path for context, an expanding one for places, and bridges between them.

Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597, figure 1. `unet_valid` is the network as
published: unpadded convolutions, 572 pixels in, 388 out, copies cropped. Whoever wants an answer
for every pixel calls `segment`, which mirrors the picture beyond its edges as the paper does
(figure 2). `unet_padded` keeps the size; `unet_small` is that with a quarter of the channels and
batch norm. `unet` puts the expanding path over any backbone of the catalogue.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from saccade.layers import check_size, make_act, make_norm, shifts
from saccade.ops.init import initialise
from saccade.protocols import Backbone, PixelNetwork
from saccade.upsampling import Enlarge, OverBackbone, mirrored, to_multiple

VARIANTS: dict[str, tuple[int, int, bool, str]] = {  # width, depth, padded, norm
    "unet_valid": (64, 4, False, "none"),
    "unet_padded": (64, 4, True, "none"),
    "unet_small": (16, 4, True, "batch"),
}


class Double(nn.Sequential):
    """Two 3x3 convolutions, each followed by a rectifier."""

    def __init__(
        self, in_channels: int, channels: int, *, padded: bool, norm: str, act: str
    ) -> None:
        layers: list[nn.Module] = []
        for width in (in_channels, channels):
            layers.append(nn.Conv2d(width, channels, 3, padding=int(padded), bias=not shifts(norm)))
            layers += [] if norm == "none" else [make_norm(norm, channels)]
            layers.append(make_act(act))
        super().__init__(*layers)


class Up(nn.Module):
    """An up-convolution to half the channels, the bridge's map beside it, two convolutions."""

    def __init__(
        self, in_channels: int, *, padded: bool, norm: str, act: str, upsampling: str | None
    ) -> None:
        super().__init__()
        channels = in_channels // 2
        self.enlarge: nn.Module
        if upsampling is None:
            self.enlarge = nn.ConvTranspose2d(in_channels, channels, 2, stride=2)
        else:
            self.enlarge = Enlarge(upsampling, in_channels, channels, fine=channels)
        self.convs = Double(in_channels, channels, padded=padded, norm=norm, act=act)

    def forward(self, x: Tensor, bridge: Tensor) -> Tensor:
        larger = self.enlarge(x, bridge) if isinstance(self.enlarge, Enlarge) else self.enlarge(x)
        return self.convs(torch.cat((_middle(bridge, larger), larger), dim=1))


def _middle(bridge: Tensor, wanted: Tensor) -> Tensor:
    """The centre of the bridge's map, as large as the one it is laid beside."""
    top = (bridge.shape[2] - wanted.shape[2]) // 2
    left = (bridge.shape[3] - wanted.shape[3]) // 2
    return bridge[:, :, top : top + wanted.shape[2], left : left + wanted.shape[3]]


class UNet(nn.Module):
    """Both paths. padded: convolutions keep the size; otherwise the answer is smaller.

    upsampling  None = the paper's up-convolution 2x2, else one of `upsampling.UPSAMPLING`
    dropout     at the end of the contracting path, as the paper has it
    """

    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: int,
        width: int,
        depth: int = 4,
        padded: bool,
        norm: str = "none",
        act: str = "relu",
        upsampling: str | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        assert padded or upsampling is None
        widths = [width * 2**level for level in range(depth + 1)]
        ins = [in_channels, *widths]
        parts = {"padded": padded, "norm": norm, "act": act}
        self.down = nn.ModuleList(Double(ins[i], widths[i], **parts) for i in range(depth + 1))  # type: ignore[arg-type]
        self.pool = nn.MaxPool2d(2)
        self.dropout = nn.Dropout2d(dropout)
        self.up = nn.ModuleList(
            Up(wide, **parts, upsampling=upsampling)  # type: ignore[arg-type]
            for wide in reversed(widths[1:])
        )
        self.head = nn.Conv2d(width, num_classes, 1)
        self.depth, self.padded = depth, padded
        self.minimum_size = 2**depth if padded else 1
        initialise(self, "he")

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, num_classes, H', W'): H' = H where padded, else 184 less."""
        if self.padded:
            padded = to_multiple(inputs, 2**self.depth)
            return self._paths(padded)[:, :, : inputs.shape[2], : inputs.shape[3]]
        check_size(inputs, self, self.side_needed(1))
        return self._paths(inputs)

    def _paths(self, x: Tensor) -> Tensor:
        bridges = []
        for level, convs in enumerate(self.down):
            x = convs(self.pool(x) if level else x)
            bridges.append(x)
        x = self.dropout(x)
        for step, bridge in zip(self.up, reversed(bridges[:-1]), strict=True):
            x = step(x, bridge)
        return cast(Tensor, self.head(x))

    def segment(self, inputs: Tensor) -> Tensor:
        """(N, C, H, W) -> logits of all its pixels (N, num_classes, H, W)."""
        if self.padded:
            return cast(Tensor, self(inputs))
        before, after = [], []
        for side in inputs.shape[2:]:
            whole = self.side_needed(side)
            margin = (whole - self.side_given(whole)) // 2
            before.append(margin)
            after.append(whole - side - margin)
        logits = self(mirrored(inputs, (before[0], before[1]), (after[0], after[1])))
        return cast(Tensor, logits[:, :, : inputs.shape[2], : inputs.shape[3]])

    def side_given(self, side: int) -> int:
        """Side of the answer for a side that all poolings divide."""
        for _ in range(self.depth):
            side = (side - 4) // 2
        side -= 4
        for _ in range(self.depth):
            side = 2 * side - 4
        return side

    def side_needed(self, side: int) -> int:
        """The least side of an input whose answer is `side` or more and that no pooling cuts."""
        bottom = side
        for _ in range(self.depth):
            bottom = -(-(bottom + 4) // 2)
        bottom += 4
        for _ in range(self.depth):
            bottom = 2 * bottom + 4
        return bottom

    def new_head(self, num_classes: int) -> None:
        """A fresh last layer."""
        old = self.head
        self.head = nn.Conv2d(old.in_channels, num_classes, 1, device=old.weight.device)


def build(
    name: str,
    *,
    num_classes: int = 2,
    in_channels: int = 1,
    width: int | None = None,
    norm: str | None = None,
    act: str = "relu",
    upsampling: str | None = None,
    dropout: float = 0.0,
) -> PixelNetwork:
    own_width, depth, padded, own_norm = VARIANTS[name]
    return UNet(
        num_classes=num_classes,
        in_channels=in_channels,
        width=width or own_width,
        depth=depth,
        padded=padded,
        norm=norm or own_norm,
        act=act,
        upsampling=upsampling,
        dropout=dropout,
    )


def build_over(
    backbone: Backbone,
    *,
    num_classes: int = 2,
    in_channels: int = 3,
    norm: str = "batch",
    act: str = "relu",
    upsampling: str = "nearest",
) -> PixelNetwork:
    return OverBackbone(
        backbone,
        num_classes=num_classes,
        in_channels=in_channels,
        norm=norm,
        act=act,
        upsampling=upsampling,
    )
