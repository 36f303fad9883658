"""Data sets that come with the installation: `sample:NAME`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np

from saccade.data.dataset import Dataset, choose_task, class_table
from saccade.errors import SaccadeError
from saccade.types import Example, Field


@dataclass(frozen=True)
class Arrays:
    """A source of decoded pictures. arrays: by name, each (N, H, W) or (N, H, W, 3) uint8.

    The key of a picture is "name#row".
    """

    arrays: Mapping[str, np.ndarray]

    def load(self, key: str) -> np.ndarray:
        """The picture, (H, W) or (H, W, 3) uint8."""
        name, _, row = key.rpartition("#")
        found = self.arrays.get(name)
        if found is None or not row.isdecimal() or int(row) >= len(found):
            raise SaccadeError(f"{key}: no such picture", name="broken-file", files=[key])
        picture: np.ndarray = found[int(row)]
        return picture


def digits(task: str | None = None) -> Dataset:
    """1,797 handwritten digits, 8x8 grey, 10 classes: bundled with scikit-learn (UCI, 1998)."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    grey = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    examples = tuple(
        Example(key=f"digits#{row}", target={"label": str(label)})
        for row, label in enumerate(bunch.target.tolist())
    )
    tasks = ("classification",)
    choose_task(task, tasks, "sample:digits")
    field = Field(name="label", kind="label", classes=class_table(examples, "label"))
    return Dataset(
        name="digits",
        root="sample:digits",
        examples=examples,
        fields=(field,),
        source=Arrays({"digits": grey}),
        tasks=tasks,
        reason="each picture has one of 10 digits",
    )


SAMPLES: dict[str, Callable[[str | None], Dataset]] = {"digits": digits}


def open_sample(name: str, task: str | None = None) -> Dataset:
    """The bundled data set `name`; SaccadeError "unknown-sample" lists those there are."""
    if name not in SAMPLES:
        near = get_close_matches(name, SAMPLES, n=1)
        hint = f"; did you mean sample:{near[0]}?" if near else ""
        raise SaccadeError(
            f"sample:{name} does not exist; there are: "
            + ", ".join(f"sample:{known}" for known in sorted(SAMPLES))
            + hint,
            name="unknown-sample",
        )
    return SAMPLES[name](task)
