"""What a network costs, layer by layer, without running it: sizes are followed on the meta device.

Counted are the calls a network makes (convolution, linear, norm, pooling, activation, addition,
concatenation), whether they come from modules or from functions, so that any `nn.Module` can be
described. Names come from the parameters a call uses.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from saccade.protocols import Backbone

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
}
KINDS = {name: kind for kind, names in FUNCTIONS.items() for name in names.split()}
"""Function -> kind of row. "shrink" takes any size to a given one: pooling where it does
something."""

ROWS = {"conv", "conv_transpose", "linear", "pool", "norm", "join", "act"}
NAMES = {"__add__": "add", "__iadd__": "add", "add_": "add", "relu_": "relu"}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One layer for one picture.

    name             of the layer that owns the parameters, else of its block and the function
    kind             conv, linear, norm, pool, act, join ...
    stage            index of the map it leads to; -1 the head, -2 an auxiliary head
    output           (C, *space), without the batch
    multiply_adds    of convolutions and linear layers, 0 for the rest
    receptive_field  side in pixels of the input that one output value can see
    activation_bytes of the output as float32
    """

    name: str
    kind: str
    stage: int
    output: tuple[int, ...]
    parameters: int
    multiply_adds: int
    receptive_field: int
    activation_bytes: int


@dataclass(frozen=True, kw_only=True)
class Total:
    """Sums over rows: a network's, or a stage's. The forward pass only; parameters all."""

    parameters: int
    multiply_adds: int
    receptive_field: int
    activation_bytes: int
    output: tuple[int, ...]


@dataclass(frozen=True)
class _View:
    """Of a tensor: per axis of space, the pixels one value sees and the step between neighbours."""

    field: tuple[int, ...]
    jump: tuple[int, ...]
    rows_before: int

    def through(self, kernel: tuple[int, ...], stride: tuple[float, ...], rows: int) -> _View:
        pairs = zip(self.field, self.jump, kernel, strict=True)
        field = tuple(seen + (side - 1) * jump for seen, jump, side in pairs)
        jumps = zip(self.jump, stride, strict=True)
        return _View(field, tuple(max(1, int(jump * step)) for jump, step in jumps), rows)


def describe(model: nn.Module, input_shape: tuple[int, ...]) -> list[Row]:
    """Rows of `model` for one input (C, *space), in the order of running.

    A Backbone's rows know their stage; any other module is one stage. The model is left as it is.
    """
    on_meta = _on_meta(model).eval()
    inputs = torch.zeros(1, *input_shape, device="meta")
    counter = _Counter(on_meta, inputs)
    with torch.no_grad(), counter:
        if not isinstance(on_meta, Backbone):
            on_meta(inputs)
            return counter.rows
        maps = on_meta.maps(inputs)
        ends = [counter.views[id(each)].rows_before for each in maps]
        on_meta.classify(maps[-1])
        head = len(counter.rows)
        on_meta.auxiliary(maps)
    stages = [
        next((stage for stage, end in enumerate(ends) if index < end), -1 if index < head else -2)
        for index in range(len(counter.rows))
    ]
    return [
        Row(**{**vars(row), "stage": stage})
        for row, stage in zip(counter.rows, stages, strict=True)
    ]


def total(rows: list[Row]) -> Total:
    """Sums over `rows`; auxiliary heads count as parameters only, as they serve training alone."""
    forward = [row for row in rows if row.stage != -2]
    return Total(
        parameters=sum(row.parameters for row in rows),
        multiply_adds=sum(row.multiply_adds for row in forward),
        receptive_field=max((row.receptive_field for row in forward), default=1),
        activation_bytes=sum(row.activation_bytes for row in forward),
        output=forward[-1].output if forward else (),
    )


def by_stage(rows: list[Row]) -> dict[int, Total]:
    """Totals of each stage: 0, 1, ... in order, then -1 for the head and -2 for auxiliary heads."""
    stages = sorted({row.stage for row in rows}, key=lambda stage: (stage < 0, abs(stage)))
    return {
        stage: total([Row(**{**vars(row), "stage": 0}) for row in rows if row.stage == stage])
        for stage in stages
    }


def training_bytes(model: nn.Module, input_shape: tuple[int, ...]) -> int:
    """Bytes of float32 activations that one input's backward pass keeps, followed on meta.

    Every tensor that autograd saves counts once, parameters and the input not.
    """
    on_meta = _on_meta(model).train()
    inputs = torch.zeros(2, *input_shape, device="meta")  # two: batch norm refuses one value
    kept: dict[int, Any] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        on_meta(inputs)
    skip = {each.untyped_storage()._cdata for each in (*on_meta.state_dict().values(), inputs)}
    sizes = (int(storage.nbytes()) for key, storage in kept.items() if key not in skip)
    return sum(sizes) // 2


def _on_meta(model: nn.Module) -> nn.Module:
    """A copy that has every size and no values."""
    memo: dict[int, Any] = {}
    for parameter in model.parameters():
        empty = torch.empty_like(parameter, device="meta")
        memo[id(parameter)] = nn.Parameter(empty, requires_grad=parameter.requires_grad)
    for buffer in model.buffers():
        memo[id(buffer)] = torch.empty_like(buffer, device="meta")
    return copy.deepcopy(model, memo)


class _Counter(TorchFunctionMode):
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
        kwargs = dict(kwargs or {})
        function = getattr(func, "__name__", "")
        tensors = _tensors((args, kwargs))
        result = func(*args, **kwargs)
        outputs = _tensors(result)
        known = [each for each in tensors if id(each) in self.views]
        if not outputs or not known:
            return result
        # a gate of one value per map sees everything; by convention it does not count
        full = [each for each in known if each.shape[2:] == outputs[0].shape[2:]]
        view = _join([self.views[id(each)] for each in full or known], len(self.rows))
        kind = KINDS.get(function, "")
        view = self._through(view, kind, known[0], outputs[0], args, kwargs)
        rows = len(self.rows)
        view = self._row(function, kind, view, tensors, outputs[0])
        for each in outputs:
            if id(each) in self.views and len(self.rows) == rows:
                continue  # handed through unchanged, as dropout does outside training
            self.views[id(each)] = view
            self.kept.append(each)
        return result

    def _through(
        self,
        view: _View,
        kind: str,
        source: Tensor,
        output: Tensor,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> _View:
        axes, rows = len(view.field), view.rows_before
        if kind == "conv":
            weight = _argument(args, kwargs, 1, "weight", None)
            stride = _each(_argument(args, kwargs, 3, "stride", 1), axes)
            dilation = _each(_argument(args, kwargs, 5, "dilation", 1), axes)
            sides = zip(weight.shape[2:], dilation, strict=True)
            return view.through(tuple((side - 1) * gap + 1 for side, gap in sides), stride, rows)
        if kind == "conv_transpose":
            weight = _argument(args, kwargs, 1, "weight", None)
            stride = _each(_argument(args, kwargs, 3, "stride", 1), axes)
            sides = zip(weight.shape[2:], stride, strict=True)
            kernel = tuple(math.ceil(side / step) for side, step in sides)
            return view.through(kernel, tuple(1 / step for step in stride), rows)
        if kind == "pool":
            kernel = _each(_argument(args, kwargs, 1, "kernel_size", 1), axes)
            stride = _each(_argument(args, kwargs, 2, "stride", None) or kernel, axes)
            return view.through(kernel, stride, rows)
        if kind in ("shrink", "flatten") and source.ndim == axes + 2:
            before = tuple(source.shape[2:])
            after = tuple(output.shape[2:]) if output.ndim == source.ndim else (1,) * axes
            kernel = tuple(math.ceil(a / b) for a, b in zip(before, after, strict=True))
            return view.through(kernel, kernel, rows)
        return view

    def _row(
        self, function: str, kind: str, view: _View, tensors: list[Tensor], output: Tensor
    ) -> _View:
        owned = [each for each in tensors if id(each) in self.names]
        if kind == "shrink" and output[0].numel() < max(each[0].numel() for each in tensors):
            kind = "pool"
        if not owned and kind not in ROWS:
            return view
        name = NAMES.get(function, function)
        if owned:
            name = self.names[id(owned[0])].rpartition(".")[0] or name
            self.block = name.rpartition(".")[0]
        elif self.block:
            name = f"{self.block}.{name}"
        values = output.numel()
        row = Row(
            name=name,
            kind=kind or function,
            stage=0,
            output=tuple(output.shape[1:]),
            parameters=sum(each.numel() for each in owned if id(each) not in self.counted),
            multiply_adds=_multiply_adds(kind, tensors, values),
            receptive_field=max(view.field, default=1),
            activation_bytes=values * BYTES,
        )
        self.counted.update(id(each) for each in owned)
        self.rows.append(row)
        return _View(view.field, view.jump, len(self.rows))


def _multiply_adds(kind: str, tensors: list[Tensor], values: int) -> int:
    if kind in ("conv", "linear"):
        return values * tensors[1][0].numel()
    if kind == "conv_transpose":
        return tensors[0].numel() * tensors[1][0].numel()
    return 0


def _join(views: list[_View], rows: int) -> _View:
    """Where branches meet, the widest view counts."""
    field = tuple(max(sides) for sides in zip(*(view.field for view in views), strict=True))
    jump = tuple(max(steps) for steps in zip(*(view.jump for view in views), strict=True))
    return _View(field, jump, rows)


def _tensors(values: Any) -> list[Tensor]:
    """Every tensor inside nested arguments, in order."""
    if isinstance(values, Tensor):
        return [values]
    if isinstance(values, Mapping):
        values = values.values()
    elif not isinstance(values, list | tuple):
        return []
    return [tensor for value in values for tensor in _tensors(value)]


def _argument(
    args: tuple[Any, ...], kwargs: dict[str, Any], place: int, name: str, default: Any
) -> Any:
    return args[place] if len(args) > place else kwargs.get(name, default)


def _each(value: int | tuple[int, ...], axes: int) -> tuple[int, ...]:
    return (value,) * axes if isinstance(value, int) else tuple(value)
