"""The learning-rate finder: one short sweep from rates that do nothing to rates that explode."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.optim import Optimizer

from saccade.errors import SaccadeError
from saccade.protocols import Task
from saccade.training.device import Hardware
from saccade.training.loop import cut, sum_parts, weighted_mean
from saccade.training.optim import set_rate
from saccade.types import Batch

SMOOTHING = 0.9
"""Decay of the averaged loss."""
BLOWN = 4.0
"""The sweep ends where the loss is so many times the lowest."""


@dataclass(frozen=True)
class Sweep:
    """rates: tried, rising; losses: the averaged loss (bias corrected) at each."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]


def sweep(
    model: nn.Module,
    task: Task,
    batches: Iterable[Batch],
    make: Callable[[nn.Module], Optimizer],
    *,
    hardware: Hardware,
    pieces: int = 1,
    lowest: float = 1e-6,
    highest: float = 10.0,
    steps: int = 100,
    seed: int = 0,
) -> Sweep:
    """Train a copy of `model` with a rate that rises by a constant factor each update.

    Smith 2017, "Cyclical learning rates", https://arxiv.org/abs/1506.01186, section 3.3. `batches`
    are used as far as they last, each in so many `pieces`; model and random state are left as they
    were.
    """
    trial = copy.deepcopy(model).train()
    optimizer = make(trial)
    rates, losses, average, lowest_loss = list[float](), list[float](), 0.0, math.inf
    with torch.random.fork_rng(devices=[]):
        for step, batch in zip(range(steps), batches, strict=False):
            torch.manual_seed((seed << 32) + step)
            rate = lowest * (highest / lowest) ** (step / max(1, steps - 1))
            set_rate(optimizer, rate)
            optimizer.zero_grad(set_to_none=True)
            value = 0.0
            for piece, share in cut(batch, pieces):
                with hardware.autocast():
                    parts = task.loss(trial, piece)
                loss = weighted_mean(sum_parts(parts, len(piece)), piece.weights) * share
                value += loss.item()
                loss.backward()  # type: ignore[no-untyped-call]
            average = SMOOTHING * average + (1 - SMOOTHING) * value
            smooth = average / (1 - SMOOTHING ** (step + 1))
            if not math.isfinite(value) or smooth > BLOWN * lowest_loss:
                break
            lowest_loss = min(lowest_loss, smooth)
            rates.append(rate)
            losses.append(smooth)
            optimizer.step()
    return Sweep(tuple(rates), tuple(losses))


def suggest(rates: Sequence[float], losses: Sequence[float]) -> float:
    """The rate at which the loss falls fastest over the logarithm of the rate.

    Slopes are taken over a tenth of the sweep and only up to the lowest loss: what comes after it
    is falling back from an explosion. Raises SaccadeError where the loss never falls.
    """
    end = min(range(len(losses)), key=losses.__getitem__, default=0) + 1
    reach = max(1, len(losses) // 20)
    slopes = {
        place: (losses[place + reach] - losses[place - reach])
        / math.log(rates[place + reach] / rates[place - reach])
        for place in range(reach, end - reach)
    }
    if not slopes or min(slopes.values()) >= 0:
        raise SaccadeError(
            "--lr0 auto: the loss falls at no learning rate from "
            f"{rates[0] if rates else 0:g} to {rates[-1] if rates else 0:g}. Give a rate, or check "
            "data and network (zero initialisation, labels).",
            name="no-learning-rate",
        )
    return rates[min(slopes, key=slopes.__getitem__)]
