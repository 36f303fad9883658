"""Detection: any number of objects in a picture, each with a box and a class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from saccade.errors import SaccadeError
from saccade.protocols import Backbone, Detector, Sampling
from saccade.tasks import heads
from saccade.tasks.detection_scores import (
    USUAL,
    DetectionMetric,
    best_thresholds,
    gather,
    gather_found,
    in_picture,
    picture_errors,
)
from saccade.types import Batch, Detections, Field, Result, Scored

LEAST = 0.01
"""Confidence of the boxes that are kept for scoring: average precision needs the doubtful ones."""


@dataclass(frozen=True, kw_only=True)
class DetectionTask:
    """Objects of K classes, from the one field of kind "boxes" among `fields`.

    thresholds  confidence from which a box of each class counts, chosen by `decide`
    iou         overlap beyond which the weaker of two boxes of a class is dropped
    most        boxes kept in one picture

    `build` takes a detector (`models/`), which does the rest. Losses of `evaluate` are the
    detector's own; errors are 1 - F1 of the picture at IoU 0.5 and these thresholds.
    """

    fields: tuple[Field, ...]
    thresholds: tuple[float, ...] | None = None
    iou: float = 0.6
    most: int = 100
    sampling: Sampling = "once"
    name: str = field(default="detection", init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fields", heads.choose_one(self.fields, "boxes", self.name))
        heads.check_option(
            bool(self.classes), f"field {self.field_name}: no class of objects to detect"
        )
        heads.check_option(0 < self.iou < 1, f"iou: expected 0..1, found {self.iou}")
        heads.check_numbers(self, "thresholds", len(self.classes))

    @property
    def field_name(self) -> str:
        return self.fields[0].name

    @property
    def classes(self) -> tuple[str, ...]:
        return self.fields[0].classes

    @property
    def confidences(self) -> tuple[float, ...]:
        """The thresholds, or the usual one where none are chosen."""
        return self.thresholds or (USUAL,) * len(self.classes)

    def fit(self, targets: Mapping[str, Any]) -> DetectionTask:
        return self

    def selecting(self, *, conf: float | None = None, iou: float | None = None) -> DetectionTask:
        """The task with this confidence for every class and this overlap; None = as it is."""
        heads.check_option(conf is None or 0 <= conf <= 1, f"conf: expected 0..1, found {conf}")
        return replace(
            self,
            thresholds=self.thresholds if conf is None else (conf,) * len(self.classes),
            iou=self.iou if iou is None else iou,
        )

    def arguments(self) -> dict[str, Any]:
        return heads.option_values(self)

    def build(self, backbone: Backbone) -> nn.Module:
        """The detector for these classes. Raises SaccadeError for a network that is none."""
        if not isinstance(backbone, Detector):
            raise SaccadeError(
                f"{type(backbone).__name__} classifies pictures; detection takes a detector on a "
                "backbone, such as --model yolo --backbone resnet18",
                name="wrong-model",
            )
        backbone.new_head(len(self.classes))
        return cast(nn.Module, backbone)

    def begin(self, model: nn.Module, batches: Iterable[Batch]) -> list[str]:
        """Anchors from the boxes of training inputs as they are without augmentation."""
        boxes: list[Tensor] = []
        size = (0, 0)
        for batch in batches:
            boxes += [each.cpu() for each in batch.targets[self.field_name]]
            size = (batch.inputs.shape[2], batch.inputs.shape[3])
        joined = torch.cat(boxes) if boxes else torch.zeros(0, 4)
        _detector(model).fit_anchors(joined[:, 2:] - joined[:, :2])
        return _detector(model).tell(boxes, size)

    def loss(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        boxes, labels = self._targets(batch)
        return _detector(model).training_loss(batch.inputs, boxes, labels)

    def evaluate(self, model: nn.Module, batch: Batch) -> Scored:
        boxes, labels = self._targets(batch)
        losses, found = _detector(model).judge(
            batch.inputs, boxes, labels, confidence=LEAST, iou=self.iou, limit=self.most
        )
        results = self._records(found, batch)
        certain = [self._certain(result) for result in results]
        errors = picture_errors(certain, in_picture(boxes, batch), labels)
        return Scored(results=results, losses=heads.on_cpu(losses), errors=errors)

    def predict(self, model: nn.Module, batch: Batch) -> list[Result]:
        found = _detector(model).detect(
            batch.inputs, confidence=min(self.confidences), iou=self.iou, limit=self.most
        )
        return [self._certain(result) for result in self._records(found, batch)]

    def metric(self) -> DetectionMetric:
        return DetectionMetric(self.field_name, self.classes, self.confidences)

    def decide(self, results: list[Any], targets: Mapping[str, Any]) -> Mapping[str, Any]:
        """The confidence of each class's best F1."""
        true = gather(targets[self.field_name], targets[self.field_name + ".label"])
        found = gather_found(results)
        return {"thresholds": list(best_thresholds(found, true, len(self.classes)))}

    def _targets(self, batch: Batch) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        return batch.targets[self.field_name], batch.targets[self.field_name + ".label"]

    def _certain(self, result: Detections) -> Detections:
        if not len(result.scores):
            return result
        kept = result.scores >= torch.tensor(self.confidences)[result.labels]
        return Detections(
            classes=result.classes,
            boxes=result.boxes[kept],
            scores=result.scores[kept],
            labels=result.labels[kept],
        )

    def _records(self, found: Sequence[Any], batch: Batch) -> list[Detections]:
        boxes = in_picture([each.boxes for each in found], batch)
        return [
            Detections(
                classes=self.classes,
                boxes=placed,
                scores=heads.on_cpu(each.scores),
                labels=each.labels.cpu(),
            )
            for each, placed in zip(found, boxes, strict=True)
        ]


def _detector(model: nn.Module) -> Detector:
    return cast(Detector, model)
