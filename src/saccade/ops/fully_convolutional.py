"""A classifier that takes pictures of any size: its dense layers become convolutions.

A dense layer on a flattened map (C, h, w) is a convolution with a kernel of h x w that fits in one
place. On a larger map it fits in several, and one pass answers for every window of the picture
(LeCun et al. 1998, section VII; Sermanet et al. 2013, https://arxiv.org/abs/1312.6229).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from saccade.errors import SaccadeError
from saccade.ops.counting import KINDS
from saccade.protocols import Backbone

SCALINGS = {"mul", "__mul__", "__rmul__", "div", "__truediv__"}
SAME = SCALINGS | {name for name, kind in KINDS.items() if kind == "act"}
"""Functions of single values, which take maps as they are."""

LEFT_OUT = {"dropout", "contiguous"}


class FullyConvolutional(nn.Module):
    """(N, C, H, W) -> logits (N, K, H', W'), each for one window of the picture.

    window   (height, width) of the input that one value was made for
    stride   pixels between neighbouring windows: value (i, j) sees the window from (i, j) * stride,
             and where convolutions pad, a little of its surroundings in the place of zeros
    """

    def __init__(
        self, body: nn.Module, head: nn.Module, *, window: tuple[int, int], stride: int
    ) -> None:
        super().__init__()
        self.body, self.head, self.window, self.stride = body, head, window, stride

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.head(self.body(inputs))
        return logits


def fully_convolutional(model: Backbone, input_shape: tuple[int, int, int]) -> FullyConvolutional:
    """`model` for any larger picture; for one of `input_shape` (C, H, W) it gives the same numbers.

    Layers and weights are shared with `model`, and both are in evaluation mode from now on.
    Raises SaccadeError where the head does something that has no place on a map.
    """
    assert isinstance(model, nn.Module)
    like = next(model.parameters())
    model.eval()
    with torch.no_grad():
        last = model.maps(torch.zeros(1, *input_shape, device=like.device, dtype=like.dtype))[-1]
        recorder = _Recorder(last)
        with recorder:
            logits = model.classify(last)
    if logits is not recorder.current:
        raise SaccadeError(
            "the head is no chain of layers from the last map to the logits: the steps after "
            f"{recorder.layers[-1] if recorder.layers else 'the map'} cannot be followed.",
            name="not-convolutional",
        )
    network = FullyConvolutional(
        _Body(model),
        nn.Sequential(*recorder.layers),
        window=(input_shape[1], input_shape[2]),
        stride=model.strides[-1] * recorder.stride,
    )
    return network.eval()


class _Body(nn.Module):
    """The network up to its last map."""

    def __init__(self, model: Backbone) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor) -> Tensor:
        return self.model.maps(inputs)[-1]


class _Elementwise(nn.Module):
    """A function of single values, with the arguments it was called with."""

    def __init__(
        self, function: Callable[..., Tensor], args: tuple[Any, ...], options: Mapping[str, Any]
    ) -> None:
        super().__init__()
        self.function, self.args, self.options = function, args, dict(options)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, *self.args, **self.options)


class _Recorder(TorchFunctionMode):
    """Writes down a head as layers that take maps; the head must be a chain."""

    def __init__(self, last: Tensor) -> None:
        super().__init__()
        self.layers: list[nn.Module] = []
        self.stride = 1
        self.current = last
        self.side = (last.shape[2], last.shape[3])  # of the map that a flattened vector came from

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        options = dict(kwargs or {})
        result = func(*args, **options)
        if not isinstance(result, Tensor) or result is self.current:
            return result
        if not args or args[0] is not self.current:
            return result
        self._write(func, args[1:], options, result)
        self.current = result
        return result

    def _write(
        self,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        options: dict[str, Any],
        result: Tensor,
    ) -> None:
        name = getattr(func, "__name__", "")
        if name == "linear":
            self._add(_as_convolution(*args, side=self.side, **options), (1, 1))
        elif name == "conv2d":
            weight, bias, *rest = (*args, None)[: max(2, len(args))]
            self._add(
                _convolution(weight, options.pop("bias", bias), rest, options), result.shape[2:]
            )
        elif name in ("adaptive_avg_pool2d", "mean", "amax", "adaptive_max_pool2d"):
            self._pool(tuple(result.shape[2:]) or (1, 1), largest="max" in name)
        elif name in SAME and not any(isinstance(each, Tensor) for each in args):
            self._add(_Elementwise(func, args, options), self.side)
        elif name not in LEFT_OUT and name != "flatten":
            raise SaccadeError(
                f"the head calls {name}, which has no counterpart on a map; heads of pooling, "
                "dense layers, 1x1 convolutions and activations can be made convolutional.",
                name="not-convolutional",
            )

    def _add(self, layer: nn.Module, side: tuple[int, ...]) -> None:
        self.layers.append(layer)
        self.side = (side[0], side[1])

    def _pool(self, side: tuple[int, ...], *, largest: bool) -> None:
        """Pooling of the map to `side`, as windows of the size that they have on this map."""
        kernel = (self.side[0] // side[0], self.side[1] // side[1])
        if (kernel[0] * side[0], kernel[1] * side[1]) != self.side:
            raise SaccadeError(
                f"the head pools a map of {self.side} to {side}, in windows of unequal size: give "
                "the input size of the network's paper.",
                name="not-convolutional",
            )
        stride = kernel if side != (1, 1) else (1, 1)
        if kernel == (1, 1):
            return
        if stride[0] != stride[1]:
            raise SaccadeError("the head pools with unequal steps.", name="not-convolutional")
        self.stride *= stride[0]
        self._add((nn.MaxPool2d if largest else nn.AvgPool2d)(kernel, stride), side)


def _as_convolution(
    weight: Tensor, bias: Tensor | None = None, *, side: tuple[int, int]
) -> nn.Conv2d:
    """A dense layer on a flattened (C, *side) as a convolution that fits once; weights shared."""
    channels = weight.shape[1] // (side[0] * side[1])
    return _convolution(weight.view(-1, channels, *side), bias, (), {})


def _convolution(
    weight: Tensor, bias: Tensor | None, rest: Any, options: Mapping[str, Any]
) -> nn.Conv2d:
    places = ("stride", "padding", "dilation", "groups")
    given = {**dict(zip(places, rest, strict=False)), **options}
    layer = nn.Conv2d(
        weight.shape[1] * given.get("groups", 1),
        weight.shape[0],
        (weight.shape[2], weight.shape[3]),
        bias=bias is not None,
        device="meta",
        **given,
    )
    layer.weight = nn.Parameter(weight.detach(), requires_grad=False)
    layer.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)
    return layer
