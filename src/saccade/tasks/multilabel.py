"""Multi-label classification: any number of classes in one picture, each on its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from saccade.ops import intervals, losses, scores
from saccade.protocols import Backbone, Sampling
from saccade.tasks import heads, measures
from saccade.types import Batch, Field, Measure, MultiLabel, Result, Scored

WEIGHT_LIMIT = 100.0
"""Largest "balanced" factor of a class's positives: a class seen once must not drown the others."""


@dataclass(frozen=True, kw_only=True)
class MultiLabelTask:
    """K yes-or-no questions, from the one field of kind "labels" among `fields`.

    label_smoothing  e: targets become e / 2 and 1 - e / 2
    class_weights    factor of the loss of each class's positives (K numbers), "balanced"
                     (negatives per positive, at most 100; set by `fit`), or None
    loss_name        "cross-entropy", or "focal" with its `gamma`: easy answers count less
    thresholds       (K numbers) from which probability on a class is named; None = 0.5
                     until `decide` has chosen

    Losses are sums over an example's known labels; those of `evaluate` without smoothing, weights
    or gamma. The error of an example is the share of its known labels that are wrong at the
    thresholds.
    """

    fields: tuple[Field, ...]
    label_smoothing: float = 0.0
    class_weights: tuple[float, ...] | Literal["balanced"] | None = None
    loss_name: Literal["cross-entropy", "focal"] = "cross-entropy"
    gamma: float = 2.0
    thresholds: tuple[float, ...] | None = None
    sampling: Sampling = "once"
    name: str = field(default="multilabel", init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fields", heads.choose_one(self.fields, "labels", self.name))
        heads.check_option(
            len(self.classes) >= 1,
            f"field {self.field_name}: multi-label needs a class, found none",
        )
        heads.check_choice("loss_name", self.loss_name, ("cross-entropy", "focal"))
        heads.check_smoothing(self.label_smoothing)
        for option in ("class_weights", "thresholds"):
            heads.check_numbers(self, option, len(self.classes))

    @property
    def field_name(self) -> str:
        return self.fields[0].name

    @property
    def classes(self) -> tuple[str, ...]:
        return self.fields[0].classes

    @property
    def num_outputs(self) -> int:
        return len(self.classes)

    def fit(self, targets: Mapping[str, Any]) -> MultiLabelTask:
        """The task with "balanced" weights made numbers, from the training targets."""
        if self.class_weights != "balanced":
            return self
        labels = targets[self.field_name]
        yes, no = (labels == 1).sum(dim=0), (labels == 0).sum(dim=0)
        ratios = (no / yes.clamp(min=1)).clamp(1 / WEIGHT_LIMIT, WEIGHT_LIMIT)
        return replace(self, class_weights=tuple(torch.where(yes > 0, ratios, 1.0).tolist()))

    def arguments(self) -> dict[str, Any]:
        return heads.option_values(self)

    def build(self, backbone: Backbone) -> nn.Module:
        return heads.build(backbone, self.num_outputs)

    def loss(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        outputs = heads.training_outputs(model, batch.inputs)
        return heads.named_losses(
            [heads.mixed_loss(self.training_loss, out, batch) for out in outputs]
        )

    def evaluate(self, model: nn.Module, batch: Batch) -> Scored:
        embeddings, outputs = heads.embed_and_classify(model, batch.inputs)
        return replace(self.score(outputs, batch.targets), embeddings=embeddings)

    def predict(self, model: nn.Module, batch: Batch) -> list[Result]:
        return list(self.decode(heads.outputs_only(model, batch.inputs)))

    def metric(self) -> MultiLabelMetric:
        return MultiLabelMetric(self.field_name, self.classes)

    def decide(self, results: list[Any], targets: Mapping[str, Any]) -> Mapping[str, Any]:
        """{"thresholds": one per class} with the highest F1; 0.5 with under five positives.

        Thresholds that were given as an option stay as they are.
        """
        if self.thresholds is not None:
            return {"thresholds": self.thresholds}
        if not results:
            return {}
        probabilities = torch.stack([result.probabilities for result in results]).numpy()
        labels = targets[self.field_name].cpu().numpy()
        known = ~np.isnan(labels)
        columns = range(len(self.classes))
        chosen = [
            scores.best_threshold(labels[known[:, k], k], probabilities[known[:, k], k])
            for k in columns
        ]
        return {"thresholds": tuple(chosen)}

    def training_loss(self, outputs: Tensor, targets: Mapping[str, Any]) -> Tensor:
        return losses.binary_cross_entropy(
            outputs,
            targets[self.field_name],
            positive_weights=self._weights(outputs.device),
            smoothing=self.label_smoothing,
            gamma=self.gamma if self.loss_name == "focal" else 0.0,
        )

    def score(self, outputs: Tensor, targets: Mapping[str, Any]) -> Scored:
        labels = targets[self.field_name].float().cpu()
        probabilities = outputs.sigmoid()
        known = ~labels.isnan()
        # a probability that is NaN answers nothing and is wrong either way
        right = probabilities.isfinite() & ((probabilities >= self._thresholds()) == (labels == 1))
        missing = ~known.any(dim=1)
        plain = losses.binary_cross_entropy(outputs, labels)
        return Scored(
            results=self._records(probabilities),
            losses=heads.nan_where(missing, plain),
            errors=heads.nan_where(missing, losses.masked_mean((~right).float(), known)),
        )

    def decode(self, outputs: Tensor) -> list[MultiLabel]:
        return self._records(outputs.sigmoid())

    def _records(self, probabilities: Tensor) -> list[MultiLabel]:
        classes, thresholds = self.classes, self._thresholds()
        return [
            MultiLabel(classes=classes, probabilities=row, thresholds=thresholds)
            for row in probabilities.unbind()
        ]

    def _thresholds(self) -> Tensor:
        values = self.thresholds or (0.5,) * len(self.classes)
        return losses.constant(values, torch.device("cpu"))

    def _weights(self, device: torch.device) -> Tensor | None:
        return heads.class_weights(self.class_weights, device)


class MultiLabelMetric:
    """map (macro average precision); at the thresholds macro F1 and accuracy (all labels right).

    Classes without a positive here have no average precision and are left out of its mean.
    """

    main = "map"
    higher_is_better = True

    def __init__(self, field: str, classes: tuple[str, ...]) -> None:
        self.field = field
        self.classes = classes
        self._targets: list[Tensor] = []
        self._probabilities: list[Tensor] = []
        self._chosen: list[Tensor] = []

    def update(self, scored: Scored, batch: Batch) -> None:
        if not scored.results:
            return
        probabilities = torch.stack([result.probabilities for result in scored.results])
        thresholds = torch.stack([result.thresholds for result in scored.results])
        labels = batch.targets[self.field].float().cpu()
        known = ~labels.isnan().all(dim=1)
        self._targets.append(labels[known])
        self._probabilities.append(probabilities[known])
        self._chosen.append((probabilities >= thresholds)[known])

    def compute(self) -> dict[str, Measure]:
        targets, probabilities, chosen = self._tables()
        precision, _ = measures.average_precision(targets, probabilities)
        right = (chosen == (targets == 1)) & np.isfinite(probabilities)
        exact = int((right | np.isnan(targets)).all(axis=1).sum())
        counts = scores.yes_no_counts(targets, chosen)
        sums = intervals.unit_sums(counts, intervals.units(len(counts)))
        return {
            "map": precision,
            "f1": measures.macro_f1(sums, len(targets)),
            "accuracy": measures.proportion(exact, len(targets)),
        }

    def details(self) -> dict[str, Any]:
        """Classes, per_class (precision, recall, F1 with intervals; average_precision)."""
        targets, probabilities, chosen = self._tables()
        counts = scores.yes_no_counts(targets, chosen).sum(axis=0, dtype=np.float64)
        rows = measures.per_class(self.classes, *np.split(counts, 3))
        _, each = measures.average_precision(targets, probabilities)
        for name, value in zip(self.classes, each, strict=True):
            rows[name]["average_precision"] = measures.number(float(value))
        return {"classes": list(self.classes), "per_class": rows}

    def _tables(self) -> tuple[scores.Array, scores.Array, scores.Truths]:
        if not self._targets:
            empty = np.zeros((0, len(self.classes)))
            return empty, empty, empty.astype(bool)
        targets, probabilities, chosen = (
            torch.cat(parts).numpy() for parts in (self._targets, self._probabilities, self._chosen)
        )
        return targets, probabilities, chosen
