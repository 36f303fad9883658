"""Answers that people draw on pictures (boxes, points, areas); their error as tasks measure it.

An answer is JSON in pixels of the picture as it is displayed, x before y:

    detection      [{"label": "cat", "box": [left, top, right, bottom]}, ...]; [] = nothing there
    localization   [{"box": [left, top, right, bottom]}] or []
    landmarks      [[x, y], ...] in the order of the points' names; hidden ones are guessed
    segmentation   [{"label": "cell", "outline": [[x, y], ...]}, ...]; a later one covers an earlier
                   one, and what no outline holds is of the first class
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from saccade.data.read import header
from saccade.errors import SaccadeError, unknown_name
from saccade.experiment.scoring import printable
from saccade.ops import boxes, mask_scores, pixels
from saccade.ops.outlines import fill
from saccade.review.originals import Originals
from saccade.tasks import pairing
from saccade.tasks.detection_scores import picture_errors
from saccade.types import Detections, Example, Field

DRAWN = {
    "detection": "boxes",
    "localization": "box",
    "landmarks": "points",
    "segmentation": "areas",
}
"""Task -> what a person draws."""

KINDS = ("boxes", "box", "points", "mask")
"""Kinds of fields that are drawn."""

Corners = Sequence[float]


@dataclass(frozen=True)
class DrawnTruth:
    """What is right on pictures that people draw on.

    source        of the pictures: load(key), and mask(key, classes) where masks are files
    normalise_by  of landmarks, as the recipe says it
    """

    task: str
    field: Field
    source: Any
    examples: Mapping[str, Example]
    normalise_by: str | None = None

    @classmethod
    def of(
        cls, task: str, pictures: Originals, shown: Collection[str], normalise_by: str | None
    ) -> DrawnTruth:
        """Of the pictures `shown` that are annotated, from the data where the run found them."""
        dataset = pictures.dataset
        if dataset is None:
            raise SaccadeError(
                "human: the pictures to draw on are not where this run found them; bring them "
                "back, or measure people's error elsewhere and give it with --human-error.",
                name="data-gone",
            )
        field = next(field for field in dataset.fields if field.kind in KINDS)
        examples = {
            printable(example.key): example
            for example in dataset.examples
            if printable(example.key) in shown and example.target.get(field.name) is not None
        }
        return cls(task, field, dataset.source, examples, normalise_by)

    @property
    def keys(self) -> frozenset[str]:
        return frozenset(self.examples)

    @property
    def classes(self) -> tuple[str, ...]:
        return self.field.classes

    @property
    def form(self) -> str:
        return DRAWN[self.task]

    def size(self, key: str) -> tuple[int, int]:
        """Width and height in pixels."""
        found = header(self.source.load(self.examples[key].key))
        return found.width, found.height

    def error(self, key: str, answer: str) -> float:
        """Of one answer. Raises SaccadeError where it is none."""
        target = self.examples[key].target[self.field.name]
        try:
            return ERRORS[self.task](self, target, json.loads(answer))
        except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            raise SaccadeError(
                f"{key}: {answer[:80]!r} is no answer; expected {EXPECTED[self.task]}",
                name="bad-answer",
            ) from error


def _detection(truth: DrawnTruth, target: Any, drawn: Any) -> float:
    classes = truth.field.classes
    found = Detections(
        classes=classes,
        boxes=_boxes([each["box"] for each in drawn]),
        scores=torch.ones(len(drawn)),
        labels=torch.tensor([_place(classes, each["label"]) for each in drawn], dtype=torch.long),
    )
    true = _boxes([each["box"] for each in target])
    labels = torch.tensor([classes.index(each["label"]) for each in target], dtype=torch.long)
    return float(picture_errors([found], [true], [labels])[0])


def _localization(truth: DrawnTruth, target: Any, drawn: Any) -> float:
    if not drawn or target["box"] is None:
        return float(bool(drawn) or target["box"] is not None)
    return 1 - float(boxes.paired_iou(_boxes([drawn[-1]["box"]]), _boxes([target["box"]]))[0])


def _landmarks(truth: DrawnTruth, target: Any, drawn: Any) -> float:
    """NaN where no true point is visible."""
    if len(drawn) != len(target):
        raise ValueError("not a place for every point")
    visible = torch.tensor([[point is not None for point in target]])
    ends = pairing.yardstick(truth.field.classes, truth.normalise_by)
    return float(pairing.normalised(_points(drawn), _points(target), visible, ends)[0])


def _segmentation(truth: DrawnTruth, target: Any, drawn: Any) -> float:
    classes = truth.field.classes
    mask = truth.source.mask(target, classes) if isinstance(target, str) else target
    true = torch.from_numpy(np.asarray(mask).astype(np.int64))
    said = np.zeros(true.shape, dtype=np.int64)
    for area in drawn:
        outline = np.array([[_finite(x), _finite(y)] for x, y in area["outline"]])
        fill(said, outline.reshape(-1, 2), _place(classes, area["label"]))
    sums = (
        pixels.counts(torch.from_numpy(said)[None], true[None], len(classes))
        .flatten(1)
        .double()
        .numpy()
    )
    return 1 - float(mask_scores.mean_iou(sums)[0])


ERRORS = {
    "detection": _detection,
    "localization": _localization,
    "landmarks": _landmarks,
    "segmentation": _segmentation,
}
EXPECTED = {
    "detection": '[{"label": "cat", "box": [left, top, right, bottom]}, ...] in pixels',
    "localization": '[{"box": [left, top, right, bottom]}] in pixels, or []',
    "landmarks": "[[x, y], ...] in pixels, one for every point",
    "segmentation": '[{"label": "cell", "outline": [[x, y], ...]}, ...] in pixels',
}


def _place(classes: Sequence[str], name: str) -> int:
    if name not in classes:
        raise unknown_name("class", name, classes)
    return classes.index(name)


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise ValueError("no finite number")
    return float(number)


def _boxes(corners: Sequence[Corners]) -> Tensor:
    """(M, 4), the corners in order however the box was drawn."""
    found = [
        (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
        for x0, y0, x1, y1 in (map(_finite, each) for each in corners)
    ]
    return torch.tensor(found, dtype=torch.float32).reshape(-1, 4)


def _points(places: Sequence[Any]) -> Tensor:
    """(1, P, 2); a true point that is not visible lies at 0, 0."""
    found = [tuple(map(_finite, (0, 0) if place is None else place)) for place in places]
    return torch.tensor(found, dtype=torch.float32).reshape(1, -1, 2)
