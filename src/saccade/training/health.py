"""How signals and gradients pass through the layers, watched while training and before it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from saccade.layers import ScaledTanh
from saccade.ops.init import WEIGHTED
from saccade.protocols import Task
from saccade.tap import layer_names, watching
from saccade.training.device import Hardware
from saccade.training.loop import sum_parts, weighted_mean
from saccade.types import Batch

COLUMNS = (
    "weight_norm",
    "gradient_norm",
    "update_ratio",
    "gradient_variance",
    "mean",
    "variance",
    "dead",
    "saturated",
    "twins",
)
"""What is known of a layer with weights at the start and after an epoch.

weight_norm, gradient_norm   length of its weights and of the loss's gradient in them
update_ratio       |change of the weights by the last update| / |weights|; about 1e-3 is usual
gradient_variance  of the loss's gradient in its outputs, times the examples squared
mean, variance     of its activation's outputs (its own outputs where none follows)
dead       share of units whose rectifier gave nothing for any example of the probe
saturated  share of units whose bounded activation was at a limit for 95 % of the probe
twins      share of units whose weights equal another unit's: symmetric units never part
NaN: not applicable (no such activation, frozen weights).
"""

RECTIFIERS = (nn.ReLU, nn.ReLU6, nn.GELU, nn.SiLU, nn.Mish, nn.Hardswish)
LIMITS: dict[type[nn.Module], tuple[float, ...]] = {
    nn.Sigmoid: (0.0, 1.0),
    nn.Hardsigmoid: (0.0, 1.0),
    nn.Tanh: (-1.0, 1.0),
    nn.Hardtanh: (-1.0, 1.0),
    nn.ReLU6: (6.0,),
    ScaledTanh: (-1.7159, 1.7159),
}
"""Outputs that bounded activations come near to where they are saturated."""

SATURATED = 0.95
NEAR = 0.01
"""Closer to a limit than this counts as at the limit."""
LEAST, MOST = 16, 64
"""Examples of the probe."""
GRID = 8
"""Of larger maps the statistics see a regular grid of at most so many places a side."""


def probe_size(examples: int) -> int:
    """Examples for the probe: half a percent of an epoch, so that watching costs little."""
    return min(MOST, examples, max(LEAST, examples // 200))


def probe(model: nn.Module, task: Task, batch: Batch, hardware: Hardware) -> Tensor:
    """(layers with weights, COLUMNS) float64 on the CPU, from one pass over `batch`.

    Runs the model in the mode it is in and leaves it as it was: batch statistics are put back,
    gradients are cleared. `update_ratio` stays NaN; see `update_ratios`.
    """
    names = layer_names(model, WEIGHTED)
    reader = _Reader()
    buffers = {name: value.clone() for name, value in model.named_buffers()}
    model.zero_grad(set_to_none=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        with watching(model, reader.look), hardware.autocast():
            parts = task.loss(model, batch)
        loss = weighted_mean(sum_parts(parts, len(batch)), batch.weights)
        if loss.requires_grad:
            loss.backward()  # type: ignore[no-untyped-call]
    modules = dict(model.named_modules())
    for name in names:
        row = reader.rows.setdefault(name, {})
        weight = modules[name].weight
        assert isinstance(weight, nn.Parameter)
        row["weight_norm"] = weight.detach().float().norm()
        row["twins"] = twins(weight.detach())
        if weight.grad is not None:
            row["gradient_norm"] = weight.grad.float().norm()
        if "gradient_variance" in row:
            row["gradient_variance"] = row["gradient_variance"] * len(batch) ** 2
    model.zero_grad(set_to_none=True)
    with torch.no_grad():
        for name, value in model.named_buffers():
            value.copy_(buffers[name])
    return _table([reader.rows[name] for name in names])


def snapshot(model: nn.Module) -> dict[str, Tensor]:
    """Copies of the layers' weights, to be compared after an update."""
    modules = dict(model.named_modules())
    found = {}
    for name in layer_names(model, WEIGHTED):
        weight = modules[name].weight
        assert isinstance(weight, nn.Parameter)
        found[name] = weight.detach().clone()
    return found


def update_ratios(model: nn.Module, before: Mapping[str, Tensor]) -> list[float]:
    """|change of the weights since `before`| / |weights before|, layer by layer."""
    after = snapshot(model)
    ratios = [
        torch.stack([(after[name] - old).norm(), old.norm()]).float()
        for name, old in before.items()
    ]
    pairs = torch.stack(ratios).tolist() if ratios else []
    return [change / size if size else math.nan for change, size in pairs]


def twins(weight: Tensor) -> Tensor:
    """Share of units (first axis) whose weights equal those of another one, to 1e-5.

    Random projections stand for the weights, so that a layer of many units costs little.
    """
    flat = weight.flatten(1).float()
    if len(flat) < 2:
        return flat.new_zeros(())
    generator = torch.Generator().manual_seed(0)
    axes = torch.randn(flat.shape[1], 4, generator=generator).to(flat.device)
    marks = flat @ axes / math.sqrt(flat.shape[1])
    marks = marks[marks[:, 0].argsort()]
    scale = marks.abs().mean().clamp(min=1e-30)
    same = ((marks[1:] - marks[:-1]).abs() < 1e-5 * scale).all(1)
    edge = same.new_zeros(1)
    either: Tensor = torch.cat([edge, same]) | torch.cat([same, edge])
    return either.float().mean()


def rows(tables: Sequence[Tensor], names: Sequence[str]) -> list[dict[str, Any]]:
    """Lines of health.csv: epoch (0 = before the first), layer, every column that is known."""
    return [
        {
            "epoch": epoch,
            "layer": name,
            **{key: value for key, value in zip(COLUMNS, line, strict=True) if value == value},
        }
        for epoch, table in enumerate(tables)
        for name, line in zip(names, table.tolist(), strict=True)
    ]


@dataclass(frozen=True)
class Variance:
    """Of one layer's outputs (forward) and of the gradient in them (backward)."""

    layer: str
    forward: float
    backward: float


def variances(model: nn.Module, inputs: Tensor, *, seed: int = 0) -> list[Variance]:
    """Variances layer by layer for (N, C, *space) inputs and random gradients at the outputs.

    No targets are needed and nothing is trained. A healthy start keeps both within a few powers
    of ten from the first layer to the last.
    """
    reader = _Reader()
    with watching(model, reader.look):
        outputs = model(inputs)
    generator = torch.Generator().manual_seed(seed)
    outputs.backward(torch.randn(outputs.shape, generator=generator))
    model.zero_grad(set_to_none=True)
    return [
        Variance(
            name,
            float(row["output_variance"]),
            float(row["gradient_variance"]) if "gradient_variance" in row else math.nan,
        )
        for name, row in reader.rows.items()
    ]


class _Reader:
    """Statistics of each layer with weights and of the activation that follows it."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Tensor]] = {}
        self._last: dict[str, Tensor] | None = None

    def look(self, name: str, module: nn.Module, output: Tensor) -> None:
        if isinstance(module, WEIGHTED):
            self._last = self.rows[name] = _moments(output)
            self._last["output_variance"] = self._last["variance"]
            if output.requires_grad:
                output.register_hook(_keeper(self._last))  # type: ignore[no-untyped-call]
        elif self._last is not None and _is_activation(module):
            self._last.update(_moments(output))
            self._last.update(_units(module, output))


def _keeper(row: dict[str, Tensor]) -> Any:
    def keep(gradient: Tensor) -> None:
        row["gradient_variance"] = _thinned(gradient).var()

    return keep


def _thinned(values: Tensor) -> Tensor:
    """(N, units, *space) float32 with space thinned to a grid: a fraction of the arithmetic."""
    places = tuple(slice(None, None, -(-side // GRID)) for side in values.shape[2:])
    # reductions are slow over strides
    return values.detach()[(slice(None), slice(None), *places)].float().contiguous()


def _is_activation(module: nn.Module) -> bool:
    return isinstance(module, ScaledTanh) or type(module).__module__.endswith(".activation")


def _moments(output: Tensor) -> dict[str, Tensor]:
    variance, mean = torch.var_mean(_thinned(output))
    return {"mean": mean, "variance": variance}


def _units(module: nn.Module, output: Tensor) -> dict[str, Tensor]:
    """Shares of dead and of saturated units; axis 1 counts the units."""
    values = _thinned(output).transpose(0, 1).flatten(1)  # (units, the rest)
    found: dict[str, Tensor] = {}
    if isinstance(module, RECTIFIERS):
        # smooth rectifiers never give exactly nothing
        silence = 1e-3 * values.square().mean().sqrt()
        found["dead"] = (values.abs().amax(1) <= silence).float().mean()
    limits = LIMITS.get(type(module))
    if limits is not None:
        at_limit = torch.stack([(values - limit).abs() < NEAR * 2 for limit in limits]).any(0)
        found["saturated"] = (at_limit.float().mean(1) >= SATURATED).float().mean()
    return found


def _table(lines: Sequence[Mapping[str, Tensor]]) -> Tensor:
    unknown = torch.tensor(math.nan)
    cells = [
        torch.stack([line.get(key, unknown).detach().float().cpu() for key in COLUMNS])
        for line in lines
    ]
    return torch.stack(cells).double() if cells else torch.zeros(0, len(COLUMNS)).double()
