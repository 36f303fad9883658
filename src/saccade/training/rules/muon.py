"""Muon: momentum whose direction is made orthogonal, for the filters of convolutions.

Jordan 2024, https://kellerjordan.github.io/posts/muon/, as in the CIFAR-10 record script
airbench94_muon. A filter bank (C_out, C_in, h, w) is read as a matrix (C_out, C_in * h * w):

    m_t = beta m_(t-1) + g_t;  u = g_t + beta m_t                 (Nesterov)
    U   = Newton-Schulz(u)                                        (all singular values near 1)
    W_t = W_(t-1) sqrt(C_out) / |W_(t-1)|  -  rate * U            (the norm of W is kept)

The norm is set anew because a batch norm behind the convolution makes it meaningless, and because
orthogonal updates would let it grow; for networks without such norms `normalise` turns it off.
Every other weight (biases, norms, linear layers) moves by SGD with Nesterov momentum at
`other` times the rate.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic a x + b x^3 + c x^5: steep at 0, so that few steps suffice; the singular values
end between about 0.7 and 1.2 instead of at 1."""


def orthogonalise(matrix: Tensor, *, steps: int = 5, precise: bool = True) -> Tensor:
    """(R, C) -> about U V^T of its singular value decomposition U S V^T.

    precise: in float32; otherwise in bfloat16, which is faster where hardware has it.
    """
    a, b, c = COEFFICIENTS
    x = matrix.float() if precise else matrix.bfloat16()
    x = x / (x.norm() + 1e-7)  # the largest singular value is now at most 1
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(steps):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    found: Tensor = (x.T if tall else x).to(matrix.dtype)
    return found


class Muon(Optimizer):
    """beta: of the filters' momentum; other: rate of the other weights relative to the filters'.

    other_beta  momentum of those;  steps: of Newton-Schulz;  weight_decay: L2 of the others, and
                of filters only without `normalise`, decoupled
    """

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float,
        beta: float = 0.6,
        other: float = 1.0,
        other_beta: float = 0.85,
        steps: int = 3,
        normalise: bool = True,
        weight_decay: float = 0.0,
    ) -> None:
        rule = {"beta": beta, "other": other, "other_beta": other_beta, "steps": steps}
        super().__init__(
            params, {"lr": lr, "weight_decay": weight_decay, "normalise": normalise, **rule}
        )

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One update from the gradients that are there."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["momentum"] = torch.zeros_like(weight)
                if is_filter(weight):
                    _move_filter(weight, state["momentum"], group)
                else:
                    _move_other(weight, state["momentum"], group)


def is_filter(weight: Tensor) -> bool:
    """Convolution weights (C_out, C_in, *window); linear layers and biases are not."""
    return weight.ndim >= 3


def _move_filter(weight: Tensor, momentum: Tensor, group: dict[str, Any]) -> None:
    assert weight.grad is not None
    momentum.mul_(group["beta"]).add_(weight.grad)
    ahead = weight.grad.add(momentum, alpha=group["beta"])
    # half precision where matrix products are fast in it
    direction = orthogonalise(
        ahead.flatten(1), steps=group["steps"], precise=weight.device.type != "cuda"
    )
    if group["normalise"]:
        weight.mul_(len(weight) ** 0.5 / weight.norm().clamp(min=1e-7))
    else:
        weight.mul_(1 - group["lr"] * group["weight_decay"])
    weight.add_(direction.view_as(weight), alpha=-group["lr"])


def _move_other(weight: Tensor, momentum: Tensor, group: dict[str, Any]) -> None:
    assert weight.grad is not None
    gradient = weight.grad.add(weight, alpha=group["weight_decay"])
    momentum.mul_(group["other_beta"]).add_(gradient)
    ahead = gradient.add(momentum, alpha=group["other_beta"])
    weight.add_(ahead, alpha=-group["lr"] * group["other"])
