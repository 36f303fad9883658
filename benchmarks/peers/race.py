"""What runners share: the task they are given, and a clock that stands still while others run."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Task:
    """folder: train/CLASS/*.png and val/CLASS/*.png;  epochs: 0 = the runner's own default"""

    folder: str
    seed: int
    epochs: int = 0
    side: int = 28
    channels: int = 1
    num_classes: int = 10


def read_task() -> Task:
    """From the file named on the command line."""
    return Task(**json.loads(Path(sys.argv[1]).read_text()))


class Runner:
    """Answers `epoch` with the seconds it took and the accuracy on val after it.

    accuracies: trains on, epoch by epoch; what it does before the first one counts too.
    """

    def __init__(self, accuracies: Iterator[float]) -> None:
        self._accuracies = accuracies

    def epoch(self) -> dict[str, Any] | None:
        """None where the training is over."""
        started = time.perf_counter()
        accuracy = next(self._accuracies, None)
        if accuracy is None:
            return None
        return {"seconds": time.perf_counter() - started, "accuracy": accuracy}
