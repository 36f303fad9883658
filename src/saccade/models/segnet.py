"""SegNet: the decoder puts each value back to the place where the encoder's pooling found it.

Badrinarayanan et al. 2015, https://arxiv.org/abs/1511.00561, figure 2: the thirteen convolutions of
VGG-16, and the same in reverse; every convolution is followed by batch norm and ReLU, but for the
last, which gives the classes. No map is copied to the other side, only positions.
"""

from __future__ import annotations

from itertools import pairwise
from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

from saccade.layers import make_act, make_norm
from saccade.ops.init import initialise
from saccade.protocols import PixelNetwork
from saccade.upsampling import max_unpool, to_multiple

BLOCKS: dict[str, tuple[tuple[int, ...], ...]] = {
    "segnet": ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3),
    "segnet_small": ((16, 16), (32, 32), (64,) * 3, (128,) * 3, (128,) * 3),
}
"""Channels of the encoder's convolutions, block by block; the small form has a quarter."""


class SegNet(nn.Module):
    """Encoder `features` (named as torchvision's vgg16_bn without its poolings) and `decoder`."""

    minimum_size = 1

    def __init__(
        self,
        *,
        blocks: tuple[tuple[int, ...], ...],
        num_classes: int,
        in_channels: int,
        norm: str = "batch",
        act: str = "relu",
    ) -> None:
        super().__init__()
        self.stride = 2 ** len(blocks)
        encoder, decoder, width = list[nn.Module](), list[nn.Module](), in_channels
        for block in blocks:
            encoder.append(_convs((width, *block), norm, act))
            # the first convolution of a decoder block is the last of the encoder's, reversed
            back = (*reversed(block), width if width != in_channels else block[0])
            decoder.insert(0, _convs(back, norm, act, last=width == in_channels))
            width = block[-1]
        self.encoder = nn.ModuleList(encoder)
        self.decoder = nn.ModuleList(decoder)
        self.head = nn.Conv2d(blocks[0][0], num_classes, 3, padding=1)
        initialise(self, "he")

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, C, H, W) -> logits (N, num_classes, H, W)."""
        x = to_multiple(inputs, self.stride)
        memory = []
        for convs in self.encoder:
            x = convs(x)
            size = (x.shape[2], x.shape[3])
            x, positions = F.max_pool2d(x, 2, return_indices=True)
            memory.append((positions, size))
        for convs in self.decoder:
            x = convs(max_unpool(x, *memory.pop()))
        return cast(Tensor, self.head(x))[:, :, : inputs.shape[2], : inputs.shape[3]]

    def segment(self, inputs: Tensor) -> Tensor:
        """(N, C, H, W) -> logits (N, num_classes, H, W)."""
        return cast(Tensor, self(inputs))

    def new_head(self, num_classes: int) -> None:
        """A fresh last convolution."""
        old = self.head
        self.head = nn.Conv2d(old.in_channels, num_classes, 3, padding=1, device=old.weight.device)


def _convs(widths: tuple[int, ...], norm: str, act: str, *, last: bool = False) -> nn.Sequential:
    """Convolution, norm, activation between neighbouring widths; `last` lacks the final one."""
    layers: list[nn.Module] = []
    steps = list(pairwise(widths))
    for wide, channels in steps[:-1] if last else steps:
        layers += [nn.Conv2d(wide, channels, 3, padding=1), make_norm(norm, channels)]
        layers.append(make_act(act))
    return nn.Sequential(*layers)


def build(
    name: str,
    *,
    num_classes: int = 11,
    in_channels: int = 3,
    norm: str = "batch",
    act: str = "relu",
) -> PixelNetwork:
    return SegNet(
        blocks=BLOCKS[name], num_classes=num_classes, in_channels=in_channels, norm=norm, act=act
    )
