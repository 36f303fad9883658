"""What learning rate is usual for an optimiser and a batch."""

from __future__ import annotations

import math

FIXED = {"adam": 1e-3, "adamw": 1e-3, "rmsprop": 3e-4, "adagrad": 1e-2}
"""Of optimisers whose steps do not grow with the gradient (Adam: Kingma and Ba 2015)."""

PER_256 = {
    "sgd": 0.1,
    "nesterov": 0.1,
    "heavy_ball": 0.1,
    "momentum": 1.0,
    "descent": 0.5,
    "delta_bar_delta": 0.3,
}
"""For 256 examples; with a momentum of 0.9 the steps of the first three add ten gradients up."""

ORTHOGONAL = (0.24, 2000)
"""Rate of Muon and its batch in the record script (see `training.rules.muon`)."""


def usual_rate(optimizer: str, batch: int) -> float:
    """NaN for an unknown one. Rates grow with the batch (Goyal et al. 2017, arXiv 1706.02677)."""
    if optimizer in FIXED:
        return FIXED[optimizer]
    if optimizer == "muon":
        # a step is as long whatever the gradient: only the noise of small batches is to be averaged
        rate, usual = ORTHOGONAL
        return rate * math.sqrt(batch / usual)
    return PER_256.get(optimizer, math.nan) * batch / 256
