"""The average of a network's weights over the updates, which is kept, judged and shipped.

Polyak & Juditsky 1992; as an exponentially weighted average with decay d it forgets all but about
the last 1 / (1 - d) updates. Early on the decay is lower, min(d, t / (t + 9)) after t updates (the
rule of TensorFlow's ExponentialMovingAverage), so that neither the random start nor the first steps
weigh in it; the first update is copied.

Running means and variances of batch norm are averaged with the weights: they begin at 0 and 1 like
nothing that was ever measured, and they belong to the weights they were measured with. Counters
are copied.
"""

from __future__ import annotations

import copy

import torch
from torch import nn


def start_average(model: nn.Module) -> nn.Module:
    """A copy of `model` to be averaged into; it is never trained itself."""
    return copy.deepcopy(model).requires_grad_(False).eval()


def decay_at(update: int, decay: float) -> float:
    """The decay used after `update` updates, counted from 1."""
    return min(decay, (update - 1) / (update + 8))


@torch.no_grad()
def update_average(
    average: nn.Module, model: nn.Module, *, update: int, decay: float, sparse: bool = False
) -> None:
    """Take the weights after `update` updates (from 1) into `average`.

    sparse: weights that L1 set to exactly 0 are 0 in the average too, not only on their way there.
    """
    share = 1 - decay_at(update, decay)
    pairs = zip(average.state_dict().values(), model.state_dict().values(), strict=True)
    floats, values = [], []
    for kept, now in pairs:
        if kept.is_floating_point():
            floats.append(kept)
            values.append(now)
        else:
            kept.copy_(now)
    torch._foreach_lerp_(floats, values, share)
    if sparse:
        for kept, now in zip(average.parameters(), model.parameters(), strict=True):
            if now.ndim >= 2:
                kept.masked_fill_(now == 0, 0.0)
