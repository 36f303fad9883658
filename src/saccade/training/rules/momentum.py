"""Momentum as an exponentially weighted average of gradients, with bias correction.

    v_t = beta v_(t-1) + (1 - beta) g_t          v_0 = 0
    w_t = w_(t-1) - rate * v_t / (1 - beta^t)

The division takes away the pull towards v_0 = 0. Some course notes write it into the recursion,
v_t = (beta v_(t-1) + (1 - beta) g_t) / (1 - beta^t), so that the corrected average is averaged
again; that grows without bound for a constant gradient (1, 5.3, 18 ... for beta 0.9). Here as in
the source (Kingma & Ba 2015, https://arxiv.org/abs/1412.6980, section 3): the average itself stays
uncorrected, only what is read from it is divided.

torch's SGD leaves out (1 - beta), so its steps are 1 / (1 - beta) times as long in the end.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch.optim import Optimizer


class AveragedMomentum(Optimizer):
    """beta: 0 <= beta < 1, averages about the last 1 / (1 - beta) gradients; weight_decay is L2."""

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float,
        beta: float = 0.9,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "beta": beta, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One update from the gradients that are there."""
        for group in self.param_groups:
            beta = group["beta"]
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["average"] = torch.zeros_like(weight)
                    state["step"] = torch.zeros((), dtype=torch.float64)
                gradient = weight.grad.add(weight, alpha=group["weight_decay"])
                state["step"] += 1
                state["average"].lerp_(gradient, 1 - beta)
                corrected = 1 - beta ** float(state["step"])
                weight.add_(state["average"], alpha=-group["lr"] / corrected)
