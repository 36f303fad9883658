"""The calls of a network, watched on the meta device: a row for each that costs something.

`saccade.ops.cost` is the door; names, views and shortcuts of the watching are kept here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

BYTES = 4
"""Of one float32 value."""

FUNCTIONS = {
    "conv": "conv1d conv2d conv3d",
    "conv_transpose": "conv_transpose1d conv_transpose2d conv_transpose3d",
    "linear": "linear",
    "pool": "max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d",
    "norm": "batch_norm group_norm layer_norm local_response_norm",
    "join": "add __add__ __iadd__ add_ cat concat",
    "act": "relu relu_ relu6 hardtanh leaky_relu prelu elu selu celu gelu silu mish hardswish "
    "softplus tanh sigmoid hardsigmoid",
    "shrink": "mean amax adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d "
    "adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d",
    "flatten": "flatten",
    "unfold": "unfold",
    "einsum": "einsum",
}
KINDS = {name: kind for kind, names in FUNCTIONS.items() for name in names.split()}
"""Function -> kind of row. "shrink" takes any size to a given one: pooling where it does
something."""

ROWS = {"conv", "conv_transpose", "linear", "einsum", "pool", "norm", "join", "act"}
ADDS = {"add", "add_", "__add__", "__iadd__"}
KEEPS = ADDS | {name for name, kind in KINDS.items() if kind in ("norm", "act")}
"""Functions whose output has the shape of their inputs where these agree: they need not be run. On
meta they are the slow ones, as Python stands in for every kernel."""

PLACES = {
    "conv": {"weight": 1, "stride": 3, "dilation": 5, "groups": 6},
    "conv_transpose": {"weight": 1, "stride": 3, "groups": 6, "dilation": 7},
    "pool": {"kernel_size": 1, "stride": 2},
    "unfold": {"kernel_size": 1, "dilation": 2, "stride": 4},
}
"""Where torch's functions have what a window needs, when not given by name."""

NAMES = {"__add__": "add", "__iadd__": "add", "add_": "add", "relu_": "relu"}


@dataclass(frozen=True, kw_only=True)
class Window:
    """How a convolution or pooling goes over its input: sides, steps, gaps per axis; groups."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int


@dataclass(frozen=True, kw_only=True)
class Row:
    """One layer for one picture.

    name             of the layer that owns the parameters, else of its block and the function
    kind             conv, linear, norm, pool, act, join ...
    stage            index of the map it leads to; -1 the head, -2 an auxiliary head
    input, output    (C, *space), without the batch
    multiply_adds    of convolutions and linear layers, 0 for the rest
    receptive_field  side in pixels of the input that one output value can see
    activation_bytes of the output as float32
    window           of a convolution
    source           index of the convolution or dense layer whose output this row takes in, through
                     nothing but norms and activations; -1 where there is none
    """

    name: str
    kind: str
    stage: int
    input: tuple[int, ...]
    output: tuple[int, ...]
    parameters: int
    multiply_adds: int
    receptive_field: int
    activation_bytes: int
    window: Window | None = None
    source: int = -1


@dataclass(frozen=True)
class _View:
    """Of a tensor: per axis of space, the pixels one value sees and the step between neighbours.

    rows_before: rows written when it was made; source: as in Row.
    """

    field: tuple[int, ...]
    jump: tuple[int, ...]
    rows_before: int
    source: int = -1

    def through(self, kernel: tuple[int, ...], stride: tuple[float, ...], rows: int) -> _View:
        pairs = zip(self.field, self.jump, kernel, strict=True)
        field = tuple(seen + (side - 1) * jump for seen, jump, side in pairs)
        jumps = zip(self.jump, stride, strict=True)
        steps = tuple(max(1, int(jump * step)) for jump, step in jumps)
        return _View(field, steps, rows, self.source)


@dataclass(frozen=True)
class _Call:
    """One call of a torch function."""

    function: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @cached_property
    def kind(self) -> str:
        return KINDS.get(self.function, "")

    @cached_property
    def tensors(self) -> list[Tensor]:
        return _tensors((self.args, self.kwargs))

    @property
    def inputs(self) -> int:
        """How many of the tensors are inputs rather than weights."""
        return 2 if self.kind == "join" else 1

    def window(self, axes: int) -> Window | None:
        """Kernel and steps of a convolution, pooling or unfold, None for any other call."""
        if self.kind not in PLACES:
            return None
        places = PLACES[self.kind]

        def each(name: str, default: Any) -> tuple[int, ...]:
            value = self._argument(places.get(name, -1), name)
            # torch's pooling has None and an empty list for a stride that is the kernel
            return _each(value if value or value == 0 else default, axes)

        kernel = each("kernel_size", 1)
        if "weight" in places:
            kernel = tuple(self._argument(1, "weight").shape[2:])
        stride = each("stride", kernel if self.kind == "pool" else 1)
        groups = self._argument(places.get("groups", -1), "groups") or 1
        return Window(kernel=kernel, stride=stride, dilation=each("dilation", 1), groups=groups)

    def _argument(self, place: int, name: str) -> Any:
        given = 0 <= place < len(self.args)
        return self.args[place] if given else self.kwargs.get(name)


class Counter(TorchFunctionMode):
    """Sees every call of a torch function and writes a row for those that cost something."""

    def __init__(self, model: nn.Module, inputs: Tensor) -> None:
        super().__init__()
        self.rows: list[Row] = []
        axes = inputs.ndim - 2
        self.views = {id(inputs): _View((1,) * axes, (1,) * axes, 0)}
        self.kept: list[Tensor] = [inputs]  # ids stay true while their tensors live
        self.names = {id(each): name for name, each in model.named_parameters()}
        self.counted: set[int] = set()
        self.block = ""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        call = _Call(getattr(func, "__name__", ""), args, dict(kwargs or {}))
        tensors = call.tensors
        same = call.function in KEEPS and len({each.shape for each in tensors[: call.inputs]}) == 1
        result = torch.empty_like(tensors[0]) if same else func(*args, **call.kwargs)
        outputs = _tensors(result)
        known = [each for each in tensors if id(each) in self.views]
        if not outputs or not known:
            return result
        # a gate of one value per map sees everything; by convention it does not count
        full = [each for each in known if each.shape[2:] == outputs[0].shape[2:]]
        view = _join([self.views[id(each)] for each in full or known], len(self.rows))
        view = _through(view, call, known[0], outputs[0])
        rows = len(self.rows)
        view = self._row(call, view, known[0], outputs[0])
        for each in outputs:
            if id(each) in self.views and len(self.rows) == rows:
                continue  # handed through unchanged, as dropout does outside training
            self.views[id(each)] = view
            self.kept.append(each)
        return result

    def _row(self, call: _Call, view: _View, source: Tensor, output: Tensor) -> _View:
        owned = [each for each in call.tensors if id(each) in self.names]
        kind = call.kind
        if kind == "shrink" and output[0].numel() < max(each[0].numel() for each in call.tensors):
            kind = "pool"
        if not owned and kind not in ROWS:
            return view
        name = NAMES.get(call.function, call.function)
        if owned:
            name = self.names[id(owned[0])].rpartition(".")[0] or name
            self.block = name.rpartition(".")[0]
        elif self.block:
            name = f"{self.block}.{name}"
        row = Row(
            name=name,
            kind=kind or call.function,
            stage=0,
            input=tuple(source.shape[1:]),
            output=tuple(output.shape[1:]),
            parameters=sum(each.numel() for each in owned if id(each) not in self.counted),
            multiply_adds=_multiply_adds(call, output.numel()),
            receptive_field=max(view.field, default=1),
            activation_bytes=output.numel() * BYTES,
            window=call.window(len(view.field)) if kind in ("conv", "conv_transpose") else None,
            source=view.source,
        )
        self.counted.update(id(each) for each in owned)
        self.rows.append(row)
        after = view.source if kind in ("norm", "act") else -1
        if kind in ("conv", "linear"):
            after = len(self.rows) - 1
        return replace(view, rows_before=len(self.rows), source=after)


def _through(view: _View, call: _Call, source: Tensor, output: Tensor) -> _View:
    """The view of what a call makes of a tensor with this view."""
    axes, rows = len(view.field), view.rows_before
    window = call.window(axes)
    if window is not None:
        sides = zip(window.kernel, window.dilation, strict=True)
        kernel = tuple((side - 1) * gap + 1 for side, gap in sides)
        if call.kind != "conv_transpose":
            return view.through(kernel, window.stride, rows)
        sides = zip(kernel, window.stride, strict=True)
        kernel = tuple(math.ceil(side / step) for side, step in sides)
        return view.through(kernel, tuple(1 / step for step in window.stride), rows)
    if call.kind in ("shrink", "flatten") and source.ndim == axes + 2:
        before = tuple(source.shape[2:])
        after = tuple(output.shape[2:]) if output.ndim == source.ndim else (1,) * axes
        kernel = tuple(math.ceil(a / b) for a, b in zip(before, after, strict=True))
        return view.through(kernel, kernel, rows)
    return view


def _multiply_adds(call: _Call, values: int) -> int:
    tensors = call.tensors
    if call.kind in ("conv", "linear"):
        return values * tensors[1][0].numel()
    if call.kind == "conv_transpose":
        return tensors[0].numel() * tensors[1][0].numel()
    if call.kind == "einsum":  # one for every combination of its letters
        letters = call.args[0].replace(" ", "").partition("->")[0].split(",")
        pairs = zip(letters, tensors, strict=True)
        sides = {
            letter: side
            for word, each in pairs
            for letter, side in zip(word, each.shape, strict=True)
        }
        return math.prod(sides.values())
    return 0


def _join(views: list[_View], rows: int) -> _View:
    """Where branches meet, the widest view counts."""
    field = tuple(max(sides) for sides in zip(*(view.field for view in views), strict=True))
    jump = tuple(max(steps) for steps in zip(*(view.jump for view in views), strict=True))
    sources = {view.source for view in views}
    return _View(field, jump, rows, sources.pop() if len(sources) == 1 else -1)


def _tensors(values: Any) -> list[Tensor]:
    """Every tensor inside nested arguments, in order."""
    if isinstance(values, Tensor):
        return [values]
    if isinstance(values, Mapping):
        values = values.values()
    elif not isinstance(values, list | tuple):
        return []
    return [tensor for value in values for tensor in _tensors(value)]


def _each(value: int | tuple[int, ...], axes: int) -> tuple[int, ...]:
    return (value,) * axes if isinstance(value, int) else tuple(value)
