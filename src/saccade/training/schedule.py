"""Learning rates over time: plain functions of progress, so that nothing has to be saved.

Each maps `done`, the share of training behind us (0..1), to a factor of the first rate lr0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from saccade.errors import SaccadeError

SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda done: 1.0,
    "linear": lambda done: 1.0 - done,
    "cosine": lambda done: 0.5 * (1 + math.cos(math.pi * done)),
    # a tenth after each third, as ResNet's and VGG's published trainings do by hand
    "step": lambda done: 0.1 ** min(int(done * 3), 2),
    "exponential": lambda done: 0.001**done,
    # the notes' decay: rate = lr0 / (1 + decay * epoch), here 1 / (1 + 9 * done)
    "1/t": lambda done: 1.0 / (1.0 + 9.0 * done),
    # Smith 2018, arXiv 1803.09820: up for 30 %, down below where it began
    "onecycle": lambda done: (
        0.04 + 0.96 * 0.5 * (1 - math.cos(math.pi * done / 0.3))
        if done < 0.3
        else 1e-4 + (1 - 1e-4) * 0.5 * (1 + math.cos(math.pi * (done - 0.3) / 0.7))
    ),
}


def rate_at(name: str, step: int, total: int, *, lr0: float, warmup: int = 0) -> float:
    """The learning rate of update `step` (from 0) of `total`.

    The first `warmup` updates rise linearly to lr0 and the schedule runs over the rest.
    """
    if name not in SCHEDULES:
        known = ", ".join([*SCHEDULES, PLATEAU])
        raise SaccadeError(
            f"optimizer.schedule: {name!r} is not known; choose from {known}.",
            name="unknown-schedule",
        )
    if step < warmup:
        return lr0 * (step + 1) / (warmup + 1)
    return lr0 * SCHEDULES[name]((step - warmup) / max(1, total - warmup))


PLATEAU = "plateau"
"""The schedule that follows the dev scores: `rate_at("constant", ...)` times `plateau_factor`."""


def plateau_factor(
    scores: Sequence[tuple[float, ...]], *, patience: int, factor: float = 0.1
) -> float:
    """What the rate is multiplied by after epochs with these dev scores.

    It falls by `factor` when more than `patience` epochs have passed without a better score since
    the best one or since the last fall. A function of the recorded scores, so that a resumed
    training has nothing more to remember. Scores compare as tuples, larger is better; a NaN is
    never better.
    """
    best: tuple[float, ...] | None = None
    waited, fallen = 0, 1.0
    for score in scores:
        if not any(math.isnan(part) for part in score) and (best is None or score > best):
            best, waited = score, 0
            continue
        waited += 1
        if waited > patience:
            fallen, waited = fallen * factor, 0
    return fallen
