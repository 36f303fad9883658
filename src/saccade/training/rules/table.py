"""Every optimiser by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.optim import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop

from saccade.training.rules.delta_bar_delta import DeltaBarDelta
from saccade.training.rules.momentum import AveragedMomentum
from saccade.training.rules.muon import Muon

Groups = list[dict[str, Any]]


def _nesterov(groups: Groups, lr: float, momentum: float, beta2: float) -> Optimizer:
    # fused: one pass over memory instead of one kernel per tensor and operation
    return SGD(groups, lr=lr, momentum=momentum, nesterov=momentum > 0, fused=True)


OPTIMISERS: dict[str, Callable[[Groups, float, float, float], Optimizer]] = {
    "sgd": _nesterov,
    "nesterov": _nesterov,
    "heavy_ball": lambda groups, lr, momentum, beta2: SGD(
        groups, lr=lr, momentum=momentum, fused=True
    ),
    "descent": lambda groups, lr, momentum, beta2: SGD(groups, lr=lr, fused=True),
    "momentum": lambda groups, lr, momentum, beta2: AveragedMomentum(groups, lr=lr, beta=momentum),
    "rmsprop": lambda groups, lr, momentum, beta2: RMSprop(
        groups, lr=lr, momentum=momentum, alpha=beta2
    ),
    "adam": lambda groups, lr, momentum, beta2: Adam(
        groups, lr=lr, betas=(momentum, beta2), fused=True
    ),
    "adamw": lambda groups, lr, momentum, beta2: AdamW(
        groups, lr=lr, betas=(momentum, beta2), fused=True
    ),
    "adagrad": lambda groups, lr, momentum, beta2: Adagrad(groups, lr=lr),
    "delta_bar_delta": lambda groups, lr, momentum, beta2: DeltaBarDelta(groups, lr=lr),
    "muon": lambda groups, lr, momentum, beta2: Muon(groups, lr=lr, other_beta=momentum),
}
"""name -> (parameter groups, lr, momentum, beta2) -> optimiser.

sgd, nesterov    SGD with Nesterov momentum;  heavy_ball: torch's SGD momentum
descent          plain gradient descent
momentum         an average of gradients with bias correction (steps 1 - momentum times as long)
rmsprop          momentum on top of it, beta2 averages the squares
adam, adamw      momentum is beta1; Adam's decay is L2, AdamW's decoupled
adagrad, delta_bar_delta, muon   see the papers in `training.rules`
"""
