"""Answers that people give in words and numbers, and their error, as the tasks measure it.

An answer is a class (classification), classes with | between them, or none (multilabel), or numbers
with spaces between them (regression).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from saccade.errors import SaccadeError

TYPED = {"classification": "class", "multilabel": "classes", "regression": "numbers"}
"""Task -> what a person types."""


@dataclass(frozen=True)
class TypedTruth:
    """What is right: by key a class, a list of classes, or a list of numbers and None."""

    task: str
    classes: tuple[str, ...]
    targets: Mapping[str, Any]

    @classmethod
    def of(cls, task: str, classes: tuple[str, ...], table: pa.Table) -> TypedTruth:
        """From the predictions of a part, the columns key and target."""
        texts = dict(zip(table["key"].to_pylist(), table["target"].to_pylist(), strict=True))
        known = {key: text for key, text in texts.items() if text not in ("null", "")}
        plain = task == "classification"
        return cls(task, classes, known if plain else {k: json.loads(t) for k, t in known.items()})

    @property
    def keys(self) -> frozenset[str]:
        return frozenset(self.targets)

    @property
    def form(self) -> str:
        return TYPED[self.task]

    def size(self, key: str) -> None:
        """Nothing is drawn: how large a picture is plays no part."""

    def error(self, key: str, answer: str) -> float:
        """Of one answer. Raises SaccadeError where it is none."""
        target = self.targets[key]
        if self.task == "regression":
            return _distance(target, answer)
        named = answer.split("|") if self.task == "multilabel" else [answer]
        strangers = set(named) - set(self.classes) - {"none"}
        if strangers:
            raise SaccadeError(
                f"{key}: {sorted(strangers)[0]!r} is no class: {', '.join(self.classes)}.",
                name="bad-answer",
            )
        if self.task == "multilabel":
            return len((set(named) - {"none"}) ^ set(target)) / len(self.classes)
        return float(answer != target)


def _distance(target: Sequence[float | None], answer: str) -> float:
    try:
        numbers = [float(text) for text in answer.replace(";", " ").split()]
    except ValueError:
        numbers = []
    if len(numbers) != len(target) or not all(map(math.isfinite, numbers)):
        raise SaccadeError(
            f"{answer!r}: expected {len(target)} numbers, with spaces between them.",
            name="bad-answer",
        )
    known = [abs(n - t) for n, t in zip(numbers, target, strict=True) if t is not None]
    return float(np.mean(known))
