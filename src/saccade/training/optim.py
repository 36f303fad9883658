"""Optimisers by name, with weight decay kept off norms and biases."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from saccade.errors import SaccadeError
from saccade.training.rules.table import OPTIMISERS

HOMOGENEOUS = (
    *(nn.Dropout, nn.Identity, nn.ReLU, nn.LeakyReLU),
    *(nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d),
)
"""Layers that may lie between a filter and its norm: twice as much in is twice as much out."""


def make_optimizer(
    name: str,
    model: nn.Module,
    *,
    lr: float,
    momentum: float,
    beta2: float,
    weight_decay: float,
    scale: Callable[[str], float] = lambda name: 1.0,
) -> Optimizer:
    """An optimiser over `model`'s trainable parameters.

    name: see `rules.table` for what each makes of momentum and beta2.
    scale: parameter name -> factor of its rate.
    Decay acts on weights of two and more axes only: decaying a norm's scale or a bias regularises
    nothing and costs accuracy (He et al. 2019, "Bag of Tricks", section 3.1).
    """
    if name not in OPTIMISERS:
        raise SaccadeError(
            f"optimizer.name: {name!r} is not known; choose from {', '.join(OPTIMISERS)}.",
            name="unknown-optimizer",
        )
    free = before_batch_norms(model) if name == "muon" else frozenset()
    return OPTIMISERS[name](parameter_groups(model, weight_decay, scale, free), lr, momentum, beta2)


def parameter_groups(
    model: nn.Module,
    weight_decay: float,
    scale: Callable[[str], float] = lambda name: 1.0,
    free: Collection[nn.Parameter] = (),
) -> list[dict[str, Any]]:
    """Two groups for every rate, decayed and not, each trainable parameter once.

    free: filters whose norm Muon sets, in groups of their own.
    """
    groups: dict[tuple[float, float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            decay = weight_decay if parameter.ndim >= 2 else 0.0
            groups.setdefault((scale(name), decay, parameter in free), []).append(parameter)
    return [
        {"params": own, "weight_decay": decay, "scale": factor, "normalise": normed}
        for (factor, decay, normed), own in sorted(groups.items(), key=lambda each: each[0])[::-1]
    ]


def before_batch_norms(model: nn.Module) -> frozenset[nn.Parameter]:
    """Filters behind which batch statistics follow, which divide the filters' norm out again."""
    leaves = [module for module in model.modules() if not list(module.children())]
    telling = [module for module in leaves if not isinstance(module, HOMOGENEOUS)]
    found = set[nn.Parameter]()
    for module, follower in itertools.pairwise(telling):
        filters = getattr(module, "weight", None)
        if isinstance(follower, _BatchNorm) and isinstance(filters, nn.Parameter):
            found.add(filters)
    return frozenset(found)


def set_rate(optimizer: Optimizer, rate: float) -> None:
    """Give every group the rate `rate` times its own scale (1 unless the group says otherwise)."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("scale", 1.0)


def optimizer_tensors(optimizer: Optimizer, names: Iterable[str]) -> dict[str, Any]:
    """The optimiser's memory as flat names ("conv1.weight/exp_avg" -> tensor), for saving."""
    flat = {}
    for name, parameter in zip(names, _parameters(optimizer), strict=True):
        for key, value in optimizer.state.get(parameter, {}).items():
            if value is not None:
                flat[f"{name}/{key}"] = value
    return flat


def load_optimizer_tensors(
    optimizer: Optimizer, names: Iterable[str], flat: dict[str, Any]
) -> None:
    """The inverse of `optimizer_tensors`."""
    for name, parameter in zip(names, _parameters(optimizer), strict=True):
        own = {key.rpartition("/")[2]: key for key in flat if key.rpartition("/")[0] == name}
        if own:
            optimizer.state[parameter] = {
                short: _laid_out_as(parameter, flat[key]) for short, key in own.items()
            }


def _laid_out_as(parameter: nn.Parameter, value: Tensor) -> Tensor:
    """Fused kernels walk parameter and memory alike, so both need the same strides."""
    if value.shape != parameter.shape:
        return value.to(parameter.device)
    return torch.empty_like(parameter, dtype=value.dtype, requires_grad=False).copy_(value)


def parameter_names(model: nn.Module, optimizer: Optimizer) -> list[str]:
    """The model's names of the optimiser's parameters, in the optimiser's order."""
    by_id = {id(parameter): name for name, parameter in model.named_parameters()}
    return [by_id[id(parameter)] for parameter in _parameters(optimizer)]


def _parameters(optimizer: Optimizer) -> list[nn.Parameter]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
