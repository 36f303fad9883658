"""What two or more networks share: normalisation and activation by name, heads, size checks."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from saccade.errors import SaccadeError, unknown_name


class ScaledTanh(nn.Module):
    """1.7159 tanh(2x / 3): maps +-1 to +-1 (LeCun et al. 1998, appendix A)."""

    def forward(self, x: Tensor) -> Tensor:
        return 1.7159 * torch.tanh(x * (2 / 3))


ACTS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "leaky_relu": partial(nn.LeakyReLU, 0.01),
    "leaky_relu_0.1": partial(nn.LeakyReLU, 0.1),
    "prelu": nn.PReLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "celu": nn.CELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "hardswish": nn.Hardswish,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
    "scaled_tanh": ScaledTanh,
    "sigmoid": nn.Sigmoid,
    "none": nn.Identity,
}

NORMS = ("batch", "group", "layer", "instance", "local", "none")


def make_act(name: str) -> nn.Module:
    """An activation by name. Never in place: maps and taps keep what they saw."""
    if name not in ACTS:
        raise unknown_name("activation", name, ACTS)
    return ACTS[name]()


def make_norm(name: str, channels: int, *, eps: float = 1e-5, momentum: float = 0.1) -> nn.Module:
    """A normalisation of (N, channels, H, W) by name.

    batch     over the batch and space; running statistics with `momentum`
    group     over space and groups of channels: 32 groups, or as many as divide the channels
    layer     over space and all channels of one picture
    instance  over space, each channel alone
    local     local response normalisation across 5 channels (Krizhevsky et al. 2012, section 3.3)
    none      nothing
    """
    if name == "batch":
        return nn.BatchNorm2d(channels, eps=eps, momentum=momentum)
    if name == "group":
        return nn.GroupNorm(math.gcd(channels, 32), channels, eps=eps)
    if name == "layer":
        return nn.GroupNorm(1, channels, eps=eps)
    if name == "instance":
        return nn.GroupNorm(channels, channels, eps=eps)
    if name == "local":
        return LocalNorm()
    if name == "none":
        return nn.Identity()
    raise unknown_name("normalisation", name, NORMS)


class LocalNorm(nn.Module):
    """b_c = a_c / (k + alpha * sum of a^2 over 5 channels around c)^beta, as published."""

    def __init__(
        self, *, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0
    ) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, x: Tensor) -> Tensor:
        # torch divides alpha by the size, the paper does not
        return F.local_response_norm(x, self.size, self.alpha * self.size, self.beta, self.k)


def shifts(norm: str) -> bool:
    """Whether a normalisation has a shift of its own: the convolution before it needs no bias."""
    return norm in ("batch", "group", "layer", "instance")


class ConvNormAct(nn.Sequential):
    """Convolution that keeps the size (divided by the stride), normalisation, activation.

    Children are named 0, 1, 2, as in torchvision's block of this kind.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        kernel: int = 3,
        stride: int = 1,
        groups: int = 1,
        norm: str = "batch",
        act: str = "relu",
        eps: float = 1e-5,
    ) -> None:
        conv = nn.Conv2d(
            in_channels,
            channels,
            kernel,
            stride=stride,
            padding=(kernel - 1) // 2,
            groups=groups,
            bias=not shifts(norm),
        )
        parts = [conv, make_norm(norm, channels, eps=eps)]
        super().__init__(*parts, *([] if act == "none" else [make_act(act)]))


class BasicConv(nn.Module):
    """Convolution, normalisation, activation with the children of torchvision's Inceptions."""

    def __init__(
        self,
        in_channels: int,
        channels: int,
        kernel: int | tuple[int, int],
        *,
        stride: int = 1,
        same: bool = False,
        norm: str = "batch",
        act: str = "relu",
    ) -> None:
        """`same` pads so that stride 1 keeps the size; otherwise there is no padding."""
        super().__init__()
        sides = (kernel, kernel) if isinstance(kernel, int) else kernel
        self.conv = nn.Conv2d(
            in_channels,
            channels,
            sides,
            stride=stride,
            padding=(sides[0] // 2, sides[1] // 2) if same else 0,
            bias=not shifts(norm),
        )
        self.bn = make_norm(norm, channels, eps=1e-3)
        self.act = make_act(act)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.conv(x)))


class LocallyConnected2d(nn.Module):
    """A convolution whose kernel is another one at every place: local, but nothing is shared.

    weight (channels, in_channels * kernel^2, H', W'), bias (channels, H', W'); kernel values in the
    order of nn.Conv2d. The input (N, in_channels, H, W) has the size it was made for.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        kernel: int,
        *,
        size: tuple[int, int],
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
    ) -> None:
        """`size` is the input's (H, W)."""
        super().__init__()
        self.in_size, self.kernel, self.stride, self.padding = size, kernel, stride, padding
        height, width = ((side + 2 * padding - kernel) // stride + 1 for side in size)
        fan_in = in_channels * kernel * kernel
        self.weight = nn.Parameter(torch.empty(channels, fan_in, height, width))
        self.bias = nn.Parameter(torch.zeros(channels, height, width)) if bias else None
        nn.init.normal_(self.weight, std=math.sqrt(2 / fan_in))

    def forward(self, x: Tensor) -> Tensor:
        if tuple(x.shape[2:]) != self.in_size:
            raise SaccadeError(
                f"a locally connected layer has weights for pictures of {self.in_size} pixels "
                f"(height, width), these have {tuple(x.shape[2:])}",
                name="wrong-size",
            )
        patches = F.unfold(x, self.kernel, stride=self.stride, padding=self.padding)
        patches = patches.view(
            *patches.shape[:2], *self.weight.shape[2:]
        )  # (N, C * kernel^2, H', W')
        y = torch.einsum("nkhw,ckhw->nchw", patches, self.weight)
        return y if self.bias is None else y + self.bias

    def share(self, conv: nn.Conv2d) -> None:
        """Take over one convolution's kernel at every place: the layer is then that convolution."""
        with torch.no_grad():
            self.weight.copy_(conv.weight.flatten(1)[:, :, None, None].expand_as(self.weight))
            if self.bias is not None and conv.bias is not None:
                self.bias.copy_(conv.bias[:, None, None].expand_as(self.bias))


def norm_and_act(norm: str, channels: int, act: str) -> nn.Sequential:
    """What follows a convolution: norm and activation, local response norm after the activation.

    Without parameters it leaves no trace in a state dict, so that published names stay.
    """
    parts = [make_act(act)]
    if norm != "none":
        parts.insert(1 if norm == "local" else 0, make_norm(norm, channels))
    return nn.Sequential(*parts)


class StochasticDepth(nn.Module):
    """Drops a residual branch of single pictures while training (Huang et al. 2016)."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, branch: Tensor) -> Tensor:
        if not self.training or self.probability == 0:
            return branch
        keep = 1 - self.probability
        shape = (branch.shape[0],) + (1,) * (branch.ndim - 1)
        return branch * branch.new_empty(shape).bernoulli_(keep) / keep


def divisible(channels: float, *, divisor: int = 8) -> int:
    """The nearest multiple of `divisor` that is not more than 10 % below (MobileNet's rounding)."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def check_size(inputs: Tensor, network: nn.Module, minimum: int) -> None:
    """Refuse pictures (N, C, *space) that vanish before the network's last stage."""
    if min(inputs.shape[2:]) < minimum:
        found = " x ".join(str(side) for side in inputs.shape[2:])
        raise SaccadeError(
            f"{type(network).__name__} takes pictures of at least {minimum} pixels a side, these "
            f"are {found}: choose --imgsz {minimum} or more, or a network that takes less",
            name="picture-too-small",
        )


def new_linear(old: nn.Module, num_classes: int) -> nn.Linear:
    """A fresh layer in the place of `old`: same inputs, device and type."""
    assert isinstance(old, nn.Linear)
    like = old.weight
    return nn.Linear(
        old.in_features,
        num_classes,
        bias=old.bias is not None,
        device=like.device,
        dtype=like.dtype,
    )


def new_conv(old: nn.Module, num_classes: int) -> nn.Conv2d:
    """A fresh 1x1 convolution in the place of `old`, for networks whose head is one."""
    assert isinstance(old, nn.Conv2d)
    like = old.weight
    return nn.Conv2d(old.in_channels, num_classes, 1, device=like.device, dtype=like.dtype)


def strip_head(network: Any, in_channels: int) -> None:
    """Take out of a Backbone all that its maps do not need: detectors have their own head."""
    was_training = network.training
    network.eval()
    like = next(network.parameters())
    side = max(64, network.minimum_size)
    maps = network.maps(torch.zeros(1, in_channels, side, side, device=like.device))
    named = dict(network.named_parameters())
    outputs = sum(each.sum() for each in maps)
    found = torch.autograd.grad(outputs, list(named.values()), allow_unused=True)
    used = {name for name, grad in zip(named, found, strict=True) if grad is not None}
    _without(network, used, "")
    network.train(was_training)


def _without(module: nn.Module, used: set[str], prefix: str) -> None:
    for name, child in module.named_children():
        inside = f"{prefix}{name}."
        if not any(True for _ in child.parameters()):
            continue
        if any(each.startswith(inside) for each in used):
            _without(child, used, inside)
        else:
            setattr(module, name, nn.Identity())
