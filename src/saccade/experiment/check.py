"""What is wrong with data, said before anything is trained on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from saccade.data.audit import audit, summary, worst_first
from saccade.data.dataset import Dataset
from saccade.errors import SaccadeError
from saccade.experiment.prepare import Prepared, Reporter, prepare_data
from saccade.recipe import Recipe
from saccade.types import Notice


@dataclass(frozen=True, kw_only=True)
class Check:
    """What was found. summary: counts per class and part, sizes, modes.

    fault: why the data cannot be split, if they cannot
    """

    prepared: Prepared
    notices: tuple[Notice, ...]
    summary: dict[str, Any]
    fault: SaccadeError | None = None


def check_data(dataset: Dataset, recipe: Recipe, *, reporter: Reporter) -> Check:
    """Read every picture, split as a training would, and audit what is there."""
    told = list[Notice]()
    fault = None
    try:
        prepared = prepare_data(dataset, recipe, reporter=reporter)
    except SaccadeError as error:
        # data that cannot be split can still be looked at
        fault = error
        prepared = prepare_data(dataset, recipe, reporter=reporter, split_now=False)
        told.append(
            Notice(name=error.name, severity="error", message=error.message, files=error.files)
        )
    found = audit(prepared.dataset, prepared.ingested, prepared.part)
    return Check(
        prepared=prepared,
        notices=worst_first([*told, *found, *prepared.notices]),
        summary=summary(prepared.dataset, prepared.ingested, prepared.part),
        fault=fault,
    )
