"""Learning rates over time: plain functions of progress, so that nothing has to be saved."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from saccade.errors import SaccadeError


def _one_cycle(done: float, last: float) -> float:
    """Up for 30 %, then down below where it began (Smith 2018, arXiv 1803.09820)."""
    if done < 0.3:
        return 0.04 + 0.96 * 0.5 * (1 - math.cos(math.pi * done / 0.3))
    return last + (1 - last) * 0.5 * (1 + math.cos(math.pi * (done - 0.3) / 0.7))


SCHEDULES: dict[str, tuple[float, Callable[[float, float], float]]] = {
    "constant": (1.0, lambda done, last: 1.0),
    "linear": (0.0, lambda done, last: last + (1 - last) * (1 - done)),
    "cosine": (0.0, lambda done, last: last + (1 - last) * 0.5 * (1 + math.cos(math.pi * done))),
    # falls after each third; by a tenth, as ResNet's and VGG's published trainings do by hand
    "step": (0.01, lambda done, last: last ** (min(int(done * 3), 2) / 2)),
    "exponential": (0.001, lambda done, last: last**done),
    # the notes' decay: rate = lr0 / (1 + decay * epoch)
    "1/t": (0.1, lambda done, last: 1 / (1 + (1 / last - 1) * done)),
    "onecycle": (1e-4, _one_cycle),
}
"""Name -> where it ends if nothing is said, and a function of the share of training behind us (0 to
1) and of where it ends; both relative to lr0."""


def rate_at(
    name: str, step: int, total: int, *, lr0: float, warmup: int = 0, last: float | None = None
) -> float:
    """The learning rate of update `step` (from 0) of `total`.

    The first `warmup` updates rise linearly to lr0 and the schedule runs over the rest, to the
    share `last` of lr0 (None = the schedule's own, see `SCHEDULES`).
    """
    if name not in SCHEDULES:
        known = ", ".join([*SCHEDULES, PLATEAU])
        raise SaccadeError(
            f"optimizer.schedule: {name!r} is not known; choose from {known}.",
            name="unknown-schedule",
        )
    if name == "onecycle":
        warmup = 0  # it rises by itself
    if step < warmup:
        return lr0 * (step + 1) / (warmup + 1)
    usual, schedule = SCHEDULES[name]
    return lr0 * schedule((step - warmup) / max(1, total - warmup), last or usual)


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
