"""From coarse maps back to every pixel: ways to enlarge by name, and a decoder for any backbone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from saccade.errors import unknown_name
from saccade.layers import ConvNormAct
from saccade.protocols import Backbone

WIDTHS = (256, 128, 64, 32, 16)
"""Channels of the decoder, at most, from a stride of 16 to single pixels."""


def max_unpool(x: Tensor, positions: Tensor, size: tuple[int, int]) -> Tensor:
    """Put every value back where max-pooling found it; the rest is 0.

    Args:
        x: (N, C, h, w).
        positions: (N, C, h, w) int64, of `F.max_pool2d(..., return_indices=True)`.
        size: height, width before pooling.

    Returns:
        (N, C, *size). Written as a scatter, which every runtime of ONNX knows.
    """
    count, channels = x.shape[:2]
    flat = x.new_zeros(count, channels, size[0] * size[1])
    placed = flat.scatter(2, positions.flatten(2), x.flatten(2))
    return placed.view(count, channels, *size)


def bilinear_kernel(factor: int) -> Tensor:
    """(2 f, 2 f), one less where f is odd: bilinear enlargement as a transposed convolution's."""
    side = 2 * factor - factor % 2
    line = 1 - (torch.arange(side) - (side - 1) / 2).abs() / factor
    return line[:, None] * line


class Transposed(nn.ConvTranspose2d):
    """A transposed convolution of stride f that begins as bilinear enlargement.

    Every pixel is reached by equally many weights, and neighbours begin alike: no checkerboard
    (Odena et al. 2016, https://distill.pub/2016/deconv-checkerboard). Channels are mixed at random,
    unless there are as many as before: then each begins as itself.
    """

    def __init__(self, in_channels: int, channels: int, *, factor: int, bias: bool = True) -> None:
        kernel = bilinear_kernel(factor)
        super().__init__(
            in_channels,
            channels,
            len(kernel),
            stride=factor,
            padding=factor // 2,
            bias=bias,
        )
        same = in_channels == channels
        mixed = torch.eye(channels) if same else torch.randn(in_channels, channels)
        scale = 1.0 if same else in_channels**-0.5
        with torch.no_grad():
            self.weight.copy_(scale * mixed[:, :, None, None] * kernel)
            if self.bias is not None:
                self.bias.zero_()


class Enlarge(nn.Module):
    """A coarse map (N, C, h, w) at the size of a finer one: one of `UPSAMPLING` by name.

    nearest     a 1x1 convolution, then every pixel repeated
    bilinear    a 1x1 convolution, then straight lines between pixels
    transposed  a transposed convolution that begins as bilinear
    unpool      a 1x1 convolution, then each value where the finer map has its maximum
    """

    def __init__(self, name: str, in_channels: int, channels: int, *, fine: int) -> None:
        """`fine`: channels of the finer map, that unpooling takes its positions from; 0 = none."""
        super().__init__()
        if name not in UPSAMPLING:
            raise unknown_name("upsampling", name, UPSAMPLING)
        self.name = name if fine or name != "unpool" else "nearest"
        if name == "transposed":
            self.learnt: nn.Module = Transposed(in_channels, channels, factor=2)
        else:
            out = fine if self.name == "unpool" else channels
            self.learnt = nn.Conv2d(in_channels, out, 1)
        self.channels = fine if self.name == "unpool" else channels

    def forward(self, x: Tensor, fine: Tensor) -> Tensor:
        """x: (N, C, h, w); fine: (N, `fine`, about 2 h, about 2 w), whose size is reached."""
        size = (fine.shape[2], fine.shape[3])
        return UPSAMPLING[self.name](self.learnt(x), fine, size)


def _nearest(x: Tensor, fine: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(x, size)


def _bilinear(x: Tensor, fine: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(x, size, mode="bilinear", align_corners=False)


def _as_learnt(x: Tensor, fine: Tensor, size: tuple[int, int]) -> Tensor:
    larger = x if x.shape[2] >= size[0] and x.shape[3] >= size[1] else F.interpolate(x, size)
    return larger[:, :, : size[0], : size[1]]


def _unpool(x: Tensor, fine: Tensor, size: tuple[int, int]) -> Tensor:
    _, positions = F.max_pool2d(fine, 2, ceil_mode=True, return_indices=True)
    return max_unpool(x, positions[:, :, : x.shape[2], : x.shape[3]], size)


UPSAMPLING: dict[str, Callable[[Tensor, Tensor, tuple[int, int]], Tensor]] = {
    "nearest": _nearest,
    "bilinear": _bilinear,
    "transposed": _as_learnt,
    "unpool": _unpool,
}
"""What follows the learnt layer: (enlarged or not, the finer map, its size) -> at that size."""


class Step(nn.Module):
    """Enlarge, lay the finer map beside it, two convolutions (Ronneberger et al. 2015)."""

    def __init__(
        self, in_channels: int, fine: int, channels: int, *, upsampling: str, norm: str, act: str
    ) -> None:
        super().__init__()
        self.enlarge = Enlarge(upsampling, in_channels, channels, fine=fine)
        self.convs = nn.Sequential(
            ConvNormAct(self.enlarge.channels + fine, channels, norm=norm, act=act),
            ConvNormAct(channels, channels, norm=norm, act=act),
        )

    def forward(self, x: Tensor, fine: Tensor) -> Tensor:
        return self.convs(torch.cat((self.enlarge(x, fine), fine), dim=1))


class OverBackbone(nn.Module):
    """A U-Net whose left side is any backbone: logits (N, num_classes, H, W) of every pixel.

    backbone    its maps are the left side; where none has a stride, the map is enlarged alone
    upsampling  one of `UPSAMPLING`
    detail      channels of a convolution of the input itself, the finest map there is
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        num_classes: int,
        in_channels: int = 3,
        upsampling: str = "nearest",
        norm: str = "batch",
        act: str = "relu",
        detail: int = 16,
    ) -> None:
        super().__init__()
        assert isinstance(backbone, nn.Module)
        self.backbone: Backbone = backbone
        self.minimum_size = backbone.minimum_size
        finest = {stride: row for row, stride in enumerate(backbone.strides)}  # the last of each
        self.fine: list[tuple[int, int | None]] = []
        self.detail: nn.Module | None = None
        steps, stride, width = list[nn.Module](), backbone.strides[-1], backbone.channels[-1]
        while stride > 1:
            stride = _next(stride, backbone.strides)
            row = finest.get(stride)
            fine = 0 if row is None else backbone.channels[row]
            if row is None and stride == 1:
                self.detail = ConvNormAct(in_channels, detail, norm=norm, act=act)
                fine = detail
            narrow = min(width, WIDTHS[-min(len(WIDTHS), stride.bit_length())])
            steps.append(Step(width, fine, narrow, upsampling=upsampling, norm=norm, act=act))
            self.fine.append((stride, row))
            width = narrow
        self.steps = nn.ModuleList(steps)
        self.head = nn.Conv2d(width, num_classes, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        maps = self.backbone.maps(inputs)
        x, size = maps[-1], list(inputs.shape[2:])
        for step, (stride, row) in zip(self.steps, self.fine, strict=True):
            if row is not None:
                fine = maps[row]
            elif stride == 1 and self.detail is not None:
                fine = self.detail(inputs)
            else:
                fine = x.new_empty(len(x), 0, *(-(-side // stride) for side in size))
            x = step(x, fine)
        logits = self.head(x)
        if logits.shape[2:] != inputs.shape[2:]:
            logits = F.interpolate(logits, inputs.shape[2:], mode="bilinear", align_corners=False)
        return logits

    def segment(self, inputs: Tensor) -> Tensor:
        """(N, C, H, W) -> logits (N, num_classes, H, W)."""
        return cast(Tensor, self(inputs))

    def new_head(self, num_classes: int) -> None:
        """A fresh last layer."""
        old = self.head
        self.head = nn.Conv2d(old.in_channels, num_classes, 1, device=old.weight.device)


def _next(stride: int, strides: Sequence[int]) -> int:
    """Half the stride, or the backbone's own next finer one where that is not a half."""
    finer = [own for own in strides if own < stride]
    return max([*finer, stride // 2]) if finer and stride // 2 < max(finer) else stride // 2


def mirrored(inputs: Tensor, before: tuple[int, int], after: tuple[int, int]) -> Tensor:
    """Inputs (N, C, H, W) with mirror images around them, as wide as asked, however wide."""
    for axis in (2, 3):
        length = inputs.shape[axis]
        place = torch.arange(-before[axis - 2], length + after[axis - 2], device=inputs.device)
        place = place.remainder(2 * length)
        place = torch.where(place < length, place, 2 * length - 1 - place)
        inputs = inputs.index_select(axis, place)
    return inputs


def to_multiple(inputs: Tensor, multiple: int) -> Tensor:
    """Inputs with mirror images below and to the right, until both sides are multiples."""
    after = (-inputs.shape[2] % multiple, -inputs.shape[3] % multiple)
    return inputs if after == (0, 0) else mirrored(inputs, (0, 0), after)
