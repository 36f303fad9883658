"""What a network costs, layer by layer, without running it: sizes are followed on the meta device.

Counted are the calls a network makes (convolution, linear, norm, pooling, activation, addition,
concatenation), whether they come from modules or from functions, so that any `nn.Module` can be
described. Names come from the parameters a call uses.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from saccade.ops.counting import Counter, Row
from saccade.protocols import Backbone

__all__ = ["Row", "Total", "by_stage", "describe", "empty", "total", "training_bytes"]


@dataclass(frozen=True, kw_only=True)
class Total:
    """Sums over rows: a network's, or a stage's. The forward pass only; parameters all.

    output, receptive_field  of the last row
    """

    parameters: int
    multiply_adds: int
    receptive_field: int
    activation_bytes: int
    output: tuple[int, ...]


def describe(model: nn.Module, input_shape: tuple[int, ...]) -> list[Row]:
    """Rows of `model` for one input (C, *space), in the order of running.

    A Backbone's rows know their stage; any other module is one stage. The model is left as it is.
    """
    on_meta = _on_meta(model).eval()
    inputs = torch.zeros(1, *input_shape, device="meta")
    counter = Counter(on_meta, inputs)
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
    return [replace(row, stage=stage) for row, stage in zip(counter.rows, stages, strict=True)]


def total(rows: list[Row]) -> Total:
    """Sums over `rows`; auxiliary heads count as parameters only, as they serve training alone."""
    forward = [row for row in rows if row.stage != -2]
    return Total(
        parameters=sum(row.parameters for row in rows),
        multiply_adds=sum(row.multiply_adds for row in forward),
        receptive_field=forward[-1].receptive_field if forward else 1,
        activation_bytes=sum(row.activation_bytes for row in forward),
        output=forward[-1].output if forward else (),
    )


def by_stage(rows: list[Row]) -> dict[int, Total]:
    """Totals of each stage: 0, 1, ... in order, then -1 for the head and -2 for auxiliary heads."""
    stages = sorted({row.stage for row in rows}, key=lambda stage: (stage < 0, abs(stage)))
    return {
        stage: total([replace(row, stage=0) for row in rows if row.stage == stage])
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

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), _QuickNorms():
        on_meta(inputs)
    skip = {each.untyped_storage()._cdata for each in (*on_meta.state_dict().values(), inputs)}
    sizes = (int(storage.nbytes()) for key, storage in kept.items() if key not in skip)
    return sum(sizes) // 2


def empty(build: Callable[[], nn.Module]) -> nn.Module:
    """What `build` makes, on the meta device: every size, no values, no time for filling them."""
    with torch.device("meta"), _Unfilled():
        return build()


class _QuickNorms(TorchFunctionMode):
    """Batch norms that only keep what torch's keep: on meta theirs take most of the time."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        given = kwargs or {}
        if func is nn.functional.batch_norm and given.get("training"):
            return _BatchNorm.apply(args[0], given["weight"])
        return func(*args, **given)


class _BatchNorm(torch.autograd.Function):
    """Sizes of the training form: the input is kept, and mean and deviation per channel."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor | None) -> Tensor:
        statistics = inputs.new_empty(2, inputs.shape[1])
        ctx.save_for_backward(inputs, statistics)
        return torch.empty_like(inputs)


class _Unfilled(TorchFunctionMode):
    """Leaves tensors as they are where they would be initialised."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        given = kwargs or {}
        if getattr(func, "__name__", "") in FILLS:
            return args[0] if args else given["tensor"]
        return func(*args, **given)


FILLS = ("zero_", "fill_", "normal_", "uniform_", "kaiming_normal_", "kaiming_uniform_")


def _on_meta(model: nn.Module) -> nn.Module:
    """A copy that has every size and no values."""
    memo: dict[int, Any] = {}
    for parameter in model.parameters():
        empty = torch.empty_like(parameter, device="meta")
        memo[id(parameter)] = nn.Parameter(empty, requires_grad=parameter.requires_grad)
    for buffer in model.buffers():
        memo[id(buffer)] = torch.empty_like(buffer, device="meta")
    return copy.deepcopy(model, memo)
