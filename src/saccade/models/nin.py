"""Network in Network: 1x1 convolutions after every convolution, global average pooling as the head.

Lin, Chen and Yan 2013, https://arxiv.org/abs/1312.4400, figure 2, with the layer sizes of the
authors' CIFAR-10 network. Differs: no rectifier on the class maps, behind which a class could fall
silent.
"""

from __future__ import annotations

from torch import Tensor, nn

from saccade.layers import check_size, new_conv, norm_and_act
from saccade.ops.init import initialise
from saccade.protocols import Backbone


class MlpConv(nn.Sequential):
    """A convolution that keeps the size, then a perceptron at every position: 1x1 convolutions."""

    def __init__(
        self, in_channels: int, widths: tuple[int, ...], *, kernel: int, norm: str, act: str
    ) -> None:
        parts: list[nn.Module] = []
        for index, channels in enumerate(widths):
            side = kernel if index == 0 else 1
            parts.append(nn.Conv2d(in_channels, channels, side, padding=side // 2))
            parts.append(norm_and_act(norm, channels, act))
            in_channels = channels
        super().__init__(*parts)


class NetworkInNetwork(nn.Module):
    channels: tuple[int, ...] = (96, 192, 192)
    strides: tuple[int, ...] = (1, 2, 4)
    minimum_size = 4

    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: int = 3,
        norm: str = "none",
        act: str = "relu",
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.mlpconv1 = MlpConv(in_channels, (192, 160, 96), kernel=5, norm=norm, act=act)
        self.pool1 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.drop1 = nn.Dropout(dropout)
        self.mlpconv2 = MlpConv(96, (192, 192, 192), kernel=5, norm=norm, act=act)
        self.pool2 = nn.AvgPool2d(3, stride=2, ceil_mode=True)
        self.drop2 = nn.Dropout(dropout)
        self.mlpconv3 = MlpConv(192, (192, 192), kernel=3, norm=norm, act=act)
        self.classes = nn.Conv2d(192, num_classes, 1)
        initialise(self, "he", kinds=(nn.Conv2d,))
        initialise(self.classes, "normal")

    def maps(self, inputs: Tensor) -> list[Tensor]:
        check_size(inputs, self, self.minimum_size)
        first = self.mlpconv1(inputs)  # 96 x 32 x 32
        x = self.drop1(self.pool1(first))  # 16 x 16
        second = self.mlpconv2(x)  # 192 x 16 x 16
        x = self.drop2(self.pool2(second))  # 8 x 8
        third = self.mlpconv3(x)  # 192 x 8 x 8
        return [first, second, third]

    def embed(self, last: Tensor) -> Tensor:
        return last.mean((2, 3))

    def classify(self, last: Tensor) -> Tensor:
        return self.classes(last).mean((2, 3))  # (N, K, 8, 8) -> (N, K)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.classify(self.maps(inputs)[-1])

    def auxiliary(self, maps: list[Tensor]) -> list[Tensor]:
        return []

    def new_head(self, num_classes: int) -> None:
        self.classes = new_conv(self.classes, num_classes)


def build(
    name: str,
    *,
    num_classes: int = 10,
    in_channels: int = 3,
    norm: str = "none",
    act: str = "relu",
    dropout: float = 0.5,
) -> Backbone:
    return NetworkInNetwork(
        num_classes=num_classes, in_channels=in_channels, norm=norm, act=act, dropout=dropout
    )
