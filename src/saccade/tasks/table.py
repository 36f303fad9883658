"""The table of tasks: names to what they mean."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn

from saccade.errors import SaccadeError
from saccade.protocols import Backbone, Task
from saccade.tasks import heads
from saccade.tasks.classification import ClassificationTask
from saccade.tasks.detection import DetectionTask
from saccade.tasks.landmarks import LandmarksTask
from saccade.tasks.localization import LocalizationTask
from saccade.tasks.multilabel import MultiLabelTask
from saccade.tasks.multitask import MultiTask
from saccade.tasks.own import as_backbone
from saccade.tasks.regression import RegressionTask
from saccade.tasks.segmentation import SegmentationTask
from saccade.types import Field, ModelCard

TASKS: dict[str, type[Any]] = {
    "classification": ClassificationTask,
    "multilabel": MultiLabelTask,
    "regression": RegressionTask,
    "multitask": MultiTask,
    "localization": LocalizationTask,
    "landmarks": LandmarksTask,
    "segmentation": SegmentationTask,
    "detection": DetectionTask,
}


MIXES = ("classification", "multilabel", "regression", "multitask")
"""Tasks whose loss can be that of two examples mixed in one picture (mixup, cutmix)."""


def create(name: str, fields: Iterable[Field], **options: Any) -> Task:
    """The task of that name for the fields it can learn; other fields are passed over.

    Raises SaccadeError for an unknown name or option, or where no field fits.
    """
    task: Task = heads.make(_find(name), tuple(fields), options)
    return task


def options(name: str) -> tuple[str, ...]:
    """Names of the options that `create` takes for this task."""
    return heads.option_names(_find(name))


def accepts(name: str, option: str) -> bool:
    """Whether the task takes that option."""
    return option in options(name)


def mirrors(task: Task) -> bool:
    """Whether the task's names of places hold in a mirrored picture, or are known to change."""
    return bool(getattr(task, "mirrors", False))


def own(module: nn.Module) -> Backbone:
    """A user's own network in the place of a catalogue's; see `saccade.tasks.own.OwnModule`."""
    return as_backbone(module)


def from_card(card: ModelCard) -> Task:
    """The task a model was trained for, with the thresholds and views it decides by."""
    return create(card.task, card.fields, **{**card.task_arguments, **card.decision})


def _find(name: str) -> type[Any]:
    if name not in TASKS:
        raise SaccadeError(
            f"unknown task {name!r}; the tasks are: {', '.join(TASKS)}", name="unknown-task"
        )
    return TASKS[name]
