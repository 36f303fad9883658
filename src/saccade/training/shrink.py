"""L1: weights that do little become exactly zero."""

from __future__ import annotations

import torch
from torch.optim import Optimizer


@torch.no_grad()
def shrink_weights(optimizer: Optimizer, strength: float) -> None:
    """The proximal step of strength * sum |w| after an update: w -> sign(w) max(|w| - rate s, 0).

    Adding sign(w) to the gradient instead leaves weights trembling around zero; this step ends on
    it (iterated soft thresholding; Parikh & Boyd 2014, section 6.5.2). As decoupled decay does, it
    uses the group's rate as it is, whatever an adaptive rule makes of it for a single weight. Acts
    on weights of two and more axes that were just updated, never on norms and biases.
    """
    for group in optimizer.param_groups:
        weights = [w for w in group["params"] if w.ndim >= 2 and w.grad is not None]
        threshold = float(group["lr"]) * strength
        for weight in weights:
            # x - clamp(x, -t, t) is the shrunk value, exactly 0 inside
            weight.sub_(weight.clamp(-threshold, threshold))
