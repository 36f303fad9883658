"""FCN: a classifier slid over the picture, its coarse answers enlarged and refined by finer maps.

Long, Shelhamer and Darrell 2014, https://arxiv.org/abs/1411.4038, figure 3: VGG-16 with its dense
layers as convolutions; 32s enlarges 32 times, 16s first adds what the fourth pooling says, 8s the
third as well. Enlargements are transposed convolutions that begin as bilinear, the last one stays
so (section 4.3 of the paper's journal form). Differs from the paper: convolutions of the dense
layers keep the size instead of padding the picture by 100 pixels; batch norm by default, without
which a start at random learns nothing (norm=none is the paper's); scores of the finer maps begin at
random and not at zero, as all are learnt together.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

from saccade.layers import check_size, make_act, make_norm
from saccade.ops.init import initialise
from saccade.protocols import PixelNetwork
from saccade.upsampling import Transposed, bilinear_kernel

STRIDES = {"fcn32s": 32, "fcn16s": 16, "fcn8s": 8}

BLOCKS = ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3)


class FCN(nn.Module):
    """blocks: channels of VGG's convolutions. hidden: of the two layers that were dense."""

    minimum_size = 32

    def __init__(
        self,
        *,
        blocks: tuple[tuple[int, ...], ...] = BLOCKS,
        stride: int,
        num_classes: int,
        in_channels: int,
        norm: str = "batch",
        act: str = "relu",
        hidden: int = 4096,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.stride = stride
        self.blocks, width = nn.ModuleList(), in_channels
        for block in blocks:
            layers = list[nn.Module]()
            for channels in block:
                layers += _conv(width, channels, 3, norm, act)
                width = channels
            self.blocks.append(nn.Sequential(*layers, nn.MaxPool2d(2, ceil_mode=True)))
        self.dense = nn.Sequential(
            *_conv(width, hidden, 7, norm, act),
            nn.Dropout2d(dropout),
            *_conv(hidden, hidden, 1, norm, act),
            nn.Dropout2d(dropout),
        )
        finer = {32: (), 16: (-2,), 8: (-2, -3)}[stride]
        self.widths = (hidden, *(blocks[place][-1] for place in finer))
        initialise(self, "he")
        self.new_head(num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, C, H, W) -> logits (N, num_classes, H, W)."""
        check_size(inputs, self, self.minimum_size)
        pools, x = [], inputs
        for block in self.blocks:
            x = block(x)
            pools.append(x)
        x = self.scores[0](self.dense(x))
        for score, enlarge, pool in zip(
            self.scores[1:], self.enlarge, reversed(pools[:-1]), strict=False
        ):
            x = enlarge(x)[:, :, : pool.shape[2], : pool.shape[3]] + score(pool)
        return self._last(x)[:, :, : inputs.shape[2], : inputs.shape[3]]

    def _last(self, x: Tensor) -> Tensor:
        """The fixed bilinear enlargement, as a transposed convolution of each channel."""
        kernel = bilinear_kernel(self.stride).to(x).expand(x.shape[1], 1, -1, -1)
        return F.conv_transpose2d(
            x, kernel, stride=self.stride, padding=self.stride // 2, groups=x.shape[1]
        )

    def segment(self, inputs: Tensor) -> Tensor:
        """(N, C, H, W) -> logits (N, num_classes, H, W)."""
        return cast(Tensor, self(inputs))

    def new_head(self, num_classes: int) -> None:
        """Fresh scores of every map, and enlargements between them that begin as bilinear."""
        device = next(self.parameters()).device
        self.scores = nn.ModuleList(nn.Conv2d(width, num_classes, 1) for width in self.widths)
        self.enlarge = nn.ModuleList(
            Transposed(num_classes, num_classes, factor=2, bias=False) for _ in self.widths[1:]
        )
        self.scores.to(device)
        self.enlarge.to(device)


def _conv(wide: int, channels: int, kernel: int, norm: str, act: str) -> list[nn.Module]:
    conv = nn.Conv2d(wide, channels, kernel, padding=kernel // 2)
    return [conv, *([] if norm == "none" else [make_norm(norm, channels)]), make_act(act)]


def build(
    name: str,
    *,
    num_classes: int = 21,
    in_channels: int = 3,
    norm: str = "batch",
    act: str = "relu",
    hidden: int = 4096,
    dropout: float = 0.5,
) -> PixelNetwork:
    return FCN(
        stride=STRIDES[name],
        num_classes=num_classes,
        in_channels=in_channels,
        norm=norm,
        act=act,
        hidden=hidden,
        dropout=dropout,
    )
