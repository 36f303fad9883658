"""What is wanted: one metric to optimise, and limits that only have to be kept."""

from __future__ import annotations

import operator
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from saccade.errors import SaccadeError
from saccade.predict import Predictor

SMALLER_IS_BETTER = ("mae", "rmse", "nme", "eer", "far", "frr", "loss")
COSTS = ("latency", "size", "parameters")
"""Known of a network besides its metrics: ms for one picture, MB of weights, and their number."""

COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
FORM = re.compile(r"\s*([^\s<>=](?:[^<>]*[^\s<>=])?)\s*(<=|>=|<|>)\s*([0-9.eE+-]+)\s*$")


@dataclass(frozen=True)
class Limit:
    """name: a metric of the task or one of COSTS;  sign: <, <=, >, >="""

    name: str
    sign: str
    bound: float

    def __str__(self) -> str:
        return f"{self.name} {self.sign} {self.bound:g}"

    def kept(self, values: Mapping[str, float]) -> bool:
        """Whether `values` keep it; what is unknown does not."""
        return COMPARE[self.sign](values.get(self.name, float("nan")), self.bound)


def parse_limit(text: str) -> Limit:
    """Of "latency<100" or "f1 >= 0.9". Raises SaccadeError."""
    found = FORM.match(text)
    try:
        if found:
            return Limit(found[1], found[2], float(found[3]))
    except ValueError:
        found = None
    raise SaccadeError(
        f"--limit {text}: expected NAME<NUMBER (or <=, >, >=), where NAME is a metric of the task, "
        "latency (ms for one picture), size (MB) or parameters; for example "
        '--limit "latency<100".',
        name="bad-limit",
    )


def larger_is_better(metric: str) -> bool:
    # of several columns each has its own: age/mae
    return metric.rpartition("/")[2] not in SMALLER_IS_BETTER


def costs(predictor: Predictor, *, rounds: int = 20) -> dict[str, float]:
    """Latency, size and number of parameters of a trained network on this machine.

    latency: the median time in ms from a decoded picture of the network's size to its result.
    """
    picture = predictor.card.preprocessing
    shape = (picture.height, picture.width, picture.channels)
    noise = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    spans = []
    for _ in range(rounds + 2):  # the first two choose kernels and fill caches
        started = time.perf_counter()
        predictor(noise)
        spans.append(1000 * (time.perf_counter() - started))
    tensors = predictor.model.state_dict().values()
    return {
        "latency": float(np.median(spans[2:])),
        "size": sum(each.numel() * each.element_size() for each in tensors) / 1e6,
        "parameters": float(sum(each.numel() for each in predictor.model.parameters())),
    }
