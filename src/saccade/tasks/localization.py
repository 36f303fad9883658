"""Localization: where is the one object of a picture, if there is one, and what is it.

Target and output of the network are (p, bx, by, bw, bh, c1 ... cK): that there is an object, the
centre and the size of its box as shares of the input's width and height, its class. Where p is 0
the rest does not count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from saccade.ops import boxes, intervals, losses
from saccade.protocols import Backbone, Sampling
from saccade.tasks import heads, measures, voting
from saccade.types import Batch, Field, Geometry, Localization, Measure, Result, Scored

BOX_WEIGHT = 5.0
"""Squared errors of shares are small beside logarithms of chances (Redmon et al. 2016, eq. 3)."""

FOUND = 0.5
OVERLAP = 0.5
"""Intersection over union from which a box counts as right."""


@dataclass(frozen=True, kw_only=True)
class LocalizationTask:
    """One box and its class, from the one field of kind "box" among `fields`.

    box_weight  of the squared error of the box in the sum of the three parts

    The loss has three parts: "object", the logistic loss of p; "box", the squared error summed over
    bx, by, bw, bh, times box_weight; "class", the cross-entropy. The error of an example is
    1 - IoU, 1 where the object is missed; without object 1 for a false alarm, else 0.
    """

    fields: tuple[Field, ...]
    box_weight: float = BOX_WEIGHT
    sampling: Sampling = "once"
    name: str = field(default="localization", init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fields", heads.choose_one(self.fields, "box", self.name))
        heads.check_option(self.box_weight > 0, f"box_weight: {self.box_weight}, expected above 0")

    @property
    def field_name(self) -> str:
        return self.fields[0].name

    @property
    def classes(self) -> tuple[str, ...]:
        return self.fields[0].classes

    def fit(self, targets: Mapping[str, Any]) -> LocalizationTask:
        """The task itself: it takes nothing from the data."""
        return self

    def arguments(self) -> dict[str, Any]:
        return heads.option_values(self)

    def build(self, backbone: Backbone) -> nn.Module:
        return voting.build(backbone, things=1, numbers=3 + len(self.classes))

    def loss(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        outputs, _ = self.outputs(model, batch.inputs)
        return self.parts(outputs, batch)

    def outputs(self, model: nn.Module, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 5 + K) in the order p, bx, by, bw, bh, c1 ... cK, p and c as logits; and features."""
        found, features, _ = voting.run(model, inputs)
        place, chance, rest = found[:, 0, :2], found[:, 0, 2:3], found[:, 0, 3:]
        return torch.cat([chance, place, rest[:, :2], rest[:, 2:]], dim=1), features

    def parts(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The three parts of the loss, (N,) each, 0 where nothing is known."""
        truth, label = batch.targets[self.field_name], batch.targets[self.field_name + ".label"]
        known, there = ~truth.isnan().any(dim=1), label >= 0
        # a number that is none would reach the gradient even where it does not count
        shares = boxes.to_centres(truth.nan_to_num(0.0)) / _sides(batch.inputs)
        wrong = (outputs[:, 1:5] - shares).square().sum(dim=1)
        chance = F.binary_cross_entropy_with_logits(outputs[:, 0], there.float(), reduction="none")
        return {
            "object": torch.where(known, chance, 0.0),
            "box": self.box_weight * torch.where(known & there, wrong, 0.0),
            "class": losses.cross_entropy(outputs[:, 5:], label),
        }

    def evaluate(self, model: nn.Module, batch: Batch) -> Scored:
        outputs, features = self.outputs(model, batch.inputs)
        outputs = heads.on_cpu(outputs)
        batch = batch.to("cpu")
        parts = self.parts(outputs, batch)
        missing = batch.targets[self.field_name].isnan().any(dim=1)
        results = self.decode(outputs, batch)
        return Scored(
            results=results,
            losses=heads.nan_where(missing, torch.stack(list(parts.values())).sum(dim=0)),
            errors=heads.nan_where(missing, 1 - self._quality(results, batch)),
            embeddings=heads.on_cpu(features),
        )

    def predict(self, model: nn.Module, batch: Batch) -> list[Result]:
        outputs, _ = self.outputs(model, batch.inputs)
        return list(self.decode(heads.on_cpu(outputs), batch.to("cpu")))

    def decode(self, outputs: Tensor, batch: Batch) -> list[Localization]:
        """Boxes in pixels of the pictures."""
        placed = boxes.to_corners(torch.cat([outputs[:, 1:3], outputs[:, 3:5].clamp(min=0)], dim=1))
        placed = placed * _sides(batch.inputs)
        chances, scores = outputs[:, 5:].softmax(dim=1), outputs[:, 0].sigmoid()
        return [
            Localization(
                classes=self.classes,
                score=float(scores[row]),
                box=to_picture(placed[row], batch.geometry, row),
                probabilities=chances[row],
            )
            for row in range(len(outputs))
        ]

    def _quality(self, results: list[Localization], batch: Batch) -> Tensor:
        """(N,) IoU of what was found with the truth; without object 1 where nothing was found."""
        truth = batch.targets[self.field_name]
        there = batch.targets[self.field_name + ".label"] >= 0
        found = torch.tensor([result.score >= FOUND for result in results])
        overlap = boxes.paired_iou(
            torch.stack([result.box for result in results]),
            torch.stack([to_picture(box, batch.geometry, row) for row, box in enumerate(truth)]),
        )
        return torch.where(there, torch.where(found, overlap, 0.0), (~found).float())

    def metric(self) -> LocalizationMetric:
        return LocalizationMetric(self)

    def decide(self, results: list[Any], targets: Mapping[str, Any]) -> Mapping[str, Any]:
        """Nothing: an object is there from a chance of one half on."""
        return {}


def _sides(inputs: Tensor) -> Tensor:
    """(4,) width, height, width, height of the network input."""
    height, width = inputs.shape[-2:]
    return torch.tensor([width, height, width, height], dtype=torch.float32, device=inputs.device)


def to_picture(box: Tensor, geometry: Geometry | None, row: int) -> Tensor:
    """A box of network input `row` in pixels of its picture, clipped to it."""
    if geometry is None:
        return box
    corners = geometry.to_picture(row, box.view(2, 2))
    height, width = geometry.size[row].tolist()
    limit = torch.tensor([width, height], dtype=corners.dtype)
    return torch.minimum(corners.clamp(min=0), limit).flatten()


class LocalizationMetric:
    """mean_iou over pictures with an object, accuracy of what is there, acc_iou50.

    accuracy   share of pictures whose class (or that there is nothing) is told right
    mean_iou   intersection over union with the true box, 0 where the object is missed
    acc_iou50  share of pictures told right whose box, where there is one, has IoU 0.5 or more
    """

    main = "mean_iou"
    higher_is_better = True

    def __init__(self, task: LocalizationTask) -> None:
        self._task = task
        self._rows: list[np.ndarray] = []

    def update(self, scored: Scored, batch: Batch) -> None:
        """Columns: label (-1 nothing), found class (-1 nothing), quality."""
        if not scored.results:
            return
        label = batch.targets[self._task.field_name + ".label"].cpu().numpy()
        found = [
            int(result.probabilities.argmax()) if result.score >= FOUND else -1
            for result in scored.results
        ]
        quality = 1 - scored.errors.numpy()
        rows = np.stack([label, np.array(found), quality], axis=1).astype(np.float64)
        self._rows.append(rows[np.isfinite(quality)])

    def compute(self) -> dict[str, Measure]:
        label, found, quality = self._table().T
        right = label == found
        return {
            "mean_iou": _mean(quality[label >= 0]),
            "accuracy": _mean(right.astype(np.float64)),
            "acc_iou50": _mean((right & (quality >= OVERLAP)).astype(np.float64)),
        }

    def details(self) -> dict[str, Any]:
        """classes; places_per_class: mean_iou and acc_iou50 of each, with intervals."""
        label, found, quality = self._table().T
        rows = {}
        for index, name in enumerate(self._task.classes):
            own = label == index
            right = (found[own] == index) & (quality[own] >= OVERLAP)
            rows[name] = {
                "examples": int(own.sum()),
                "mean_iou": measures.plain(_mean(quality[own])),
                "acc_iou50": measures.plain(_mean(right.astype(np.float64))),
            }
        return {"classes": list(self._task.classes), "places_per_class": rows}

    def _table(self) -> np.ndarray:
        return np.concatenate([np.zeros((0, 3)), *self._rows])


def _mean(values: np.ndarray) -> Measure:
    value, low, high, count = intervals.mean_interval(values)
    return Measure(value=value, low=low, high=high, n=count)
