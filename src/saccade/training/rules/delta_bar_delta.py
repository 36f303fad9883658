"""Delta-bar-delta: every weight has a rate of its own, led by the sign of its gradient.

Jacobs 1988, "Increased rates of convergence through learning rate adaptation", Neural Networks 1,
295-307, equations 5 to 7. With the average of past gradients d_t = (1 - theta) g_t + theta d_(t-1):

    rate_t = rate_(t-1) + kappa            where d_(t-1) g_t > 0   (the sign stays)
             rate_(t-1) * (1 - phi)        where d_(t-1) g_t < 0   (it turned)
             rate_(t-1)                    otherwise
    w_t    = w_(t-1) - rate_t g_t

As published, for gradients of the whole training set: with small batches the sign turns by chance
and rates only shrink. Differs: rates are kept as factors of the scheduled rate, so that schedules
and warm-up act on them (factor 1 = lr); kappa is in the same unit. `growth` bounds the factor,
because additive growth has no end where a gradient keeps its sign for good.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch.optim import Optimizer


class DeltaBarDelta(Optimizer):
    """kappa: added to a factor; phi: share it loses, 0..1; theta: memory of the average, 0..1."""

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float,
        kappa: float = 0.05,
        phi: float = 0.2,
        theta: float = 0.7,
        growth: float = 100.0,
        weight_decay: float = 0.0,
    ) -> None:
        rule = {"kappa": kappa, "phi": phi, "theta": theta, "growth": growth}
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, **rule})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One update from the gradients that are there."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["average"] = torch.zeros_like(weight)
                    state["factor"] = torch.ones_like(weight)
                gradient = weight.grad.add(weight, alpha=group["weight_decay"])
                average, factor = state["average"], state["factor"]
                agreement = average * gradient
                grown = (factor + group["kappa"]).clamp_(max=group["growth"])
                shrunk = factor * (1 - group["phi"])
                factor.copy_(
                    torch.where(agreement > 0, grown, torch.where(agreement < 0, shrunk, factor))
                )
                average.lerp_(gradient, 1 - group["theta"])
                weight.addcmul_(factor, gradient, value=-group["lr"])
