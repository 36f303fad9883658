"""Classification: each picture belongs to one class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from saccade.ops import intervals, losses, scores
from saccade.ops.views import VIEWS, views_of
from saccade.protocols import Backbone, Sampling
from saccade.tasks import heads, measures
from saccade.types import Batch, Classification, Field, Measure, Result, Scored


@dataclass(frozen=True, kw_only=True)
class ClassificationTask:
    """One of K classes, from the one field of kind "label" among `fields`.

    label_smoothing  share of the target spread over all classes, 0 <= e < 1
    class_weights    factor of each class's loss (K numbers), "balanced" (set by `fit`), or None
    loss_name        "cross-entropy", or "focal" with its `gamma`: easy examples count less
    binary           with two classes: two softmax units, or one sigmoid unit for the second class
    sampling         "balanced": the loop draws classes equally often
    views            how an answer sees its picture: outputs are averaged over `ops.views.VIEWS`

    Losses of `evaluate` are the cross-entropy without smoothing, weights or gamma; errors are 0 or
    1.
    """

    fields: tuple[Field, ...]
    label_smoothing: float = 0.0
    class_weights: tuple[float, ...] | Literal["balanced"] | None = None
    loss_name: Literal["cross-entropy", "focal"] = "cross-entropy"
    gamma: float = 2.0
    binary: Literal["softmax", "sigmoid"] = "softmax"
    sampling: Sampling = "once"
    views: str = "plain"
    name: str = field(default="classification", init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fields", heads.choose_one(self.fields, "label", self.name))
        heads.check_option(
            len(self.classes) >= 2,
            f"field {self.field_name}: classification needs two classes or more, found "
            f"{len(self.classes)} ({', '.join(self.classes) or 'none'})",
        )
        heads.check_choice("loss_name", self.loss_name, ("cross-entropy", "focal"))
        heads.check_choice("binary", self.binary, ("softmax", "sigmoid"))
        heads.check_choice("views", self.views, VIEWS)
        heads.check_smoothing(self.label_smoothing)
        heads.check_numbers(self, "class_weights", len(self.classes))

    @property
    def field_name(self) -> str:
        return self.fields[0].name

    @property
    def classes(self) -> tuple[str, ...]:
        return self.fields[0].classes

    @property
    def num_outputs(self) -> int:
        one_unit = self.binary == "sigmoid" and len(self.classes) == 2
        return 1 if one_unit else len(self.classes)

    def fit(self, targets: Mapping[str, Any]) -> ClassificationTask:
        """The task with "balanced" class weights made numbers, from the training targets."""
        if self.class_weights != "balanced":
            return self
        labels = targets[self.field_name]
        counts = torch.bincount(labels[labels >= 0], minlength=len(self.classes))
        return replace(self, class_weights=scores.balanced_weights(counts.cpu().numpy()))

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
        plain, *others = views_of(batch.inputs, self.views)
        embeddings, outputs = heads.embed_and_classify(model, plain)
        outputs = averaged([outputs, *(heads.outputs_only(model, view) for view in others)])
        return replace(self.score(outputs, batch.targets), embeddings=embeddings)

    def predict(self, model: nn.Module, batch: Batch) -> list[Result]:
        views = views_of(batch.inputs, self.views)
        return list(self.decode(averaged([heads.outputs_only(model, view) for view in views])))

    def metric(self) -> ClassificationMetric:
        return ClassificationMetric(self.field_name, self.classes)

    def decide(self, results: list[Any], targets: Mapping[str, Any]) -> Mapping[str, Any]:
        """Nothing: the most probable class is the answer."""
        return {}

    def training_loss(self, outputs: Tensor, targets: Mapping[str, Any]) -> Tensor:
        logits, labels = self._logits(outputs), targets[self.field_name]
        weights, smoothing = self._weights(outputs.device), self.label_smoothing
        if self.loss_name == "focal":
            return losses.focal(
                logits, labels, gamma=self.gamma, weights=weights, smoothing=smoothing
            )
        return losses.cross_entropy(logits, labels, weights=weights, smoothing=smoothing)

    def score(self, outputs: Tensor, targets: Mapping[str, Any]) -> Scored:
        logits, labels = self._logits(outputs), targets[self.field_name].cpu()
        probabilities = logits.softmax(dim=1)
        missing = labels < 0
        wrong = ~finite_rows(probabilities) | (probabilities.argmax(dim=1) != labels)
        return Scored(
            results=self._records(probabilities),
            losses=heads.nan_where(missing, losses.cross_entropy(logits, labels)),
            errors=heads.nan_where(missing, wrong.float()),
        )

    def decode(self, outputs: Tensor) -> list[Classification]:
        return self._records(self._logits(outputs).softmax(dim=1))

    def _records(self, probabilities: Tensor) -> list[Classification]:
        classes = self.classes
        return [
            Classification(classes=classes, probabilities=row) for row in probabilities.unbind()
        ]

    def _logits(self, outputs: Tensor) -> Tensor:
        return losses.two_logits(outputs) if self.num_outputs == 1 else outputs

    def _weights(self, device: torch.device) -> Tensor | None:
        return heads.class_weights(self.class_weights, device)


def averaged(outputs: list[Tensor]) -> Tensor:
    """The mean of equally shaped outputs."""
    return outputs[0] if len(outputs) == 1 else torch.stack(outputs).mean(dim=0)


def finite_rows(values: Tensor) -> Tensor:
    """(N, K) -> (N,) bool: no NaN or infinity in the row."""
    return values.isfinite().all(dim=1)


class ClassificationMetric:
    """accuracy, top5 (with more than five classes) and macro F1 of the examples that have a label.

    A result that is not finite is wrong and counts for no class. Macro F1 is the mean over classes
    that occur or are predicted here.
    """

    main = "accuracy"
    higher_is_better = True

    def __init__(self, field: str, classes: tuple[str, ...]) -> None:
        self.field = field
        self.classes = classes
        self._labels: list[Tensor] = []
        self._predicted: list[Tensor] = []
        self._ranks: list[Tensor] = []

    def update(self, scored: Scored, batch: Batch) -> None:
        if not scored.results:
            return
        probabilities = torch.stack([result.probabilities for result in scored.results])
        labels = batch.targets[self.field].cpu()
        known = labels >= 0
        probabilities, labels = probabilities[known], labels[known]
        finite = finite_rows(probabilities)
        predicted = probabilities.argmax(dim=1)
        ranks = torch.from_numpy(scores.rank(probabilities.numpy(), labels.numpy()))
        self._labels.append(labels)
        self._predicted.append(torch.where(finite, predicted, -1))
        self._ranks.append(torch.where(finite, ranks, len(self.classes)))

    def compute(self) -> dict[str, Measure]:
        labels, predicted, ranks = (
            _joined(parts) for parts in (self._labels, self._predicted, self._ranks)
        )
        found = {"accuracy": measures.proportion(int((ranks == 0).sum()), len(labels))}
        if len(self.classes) > 5:
            found["top5"] = measures.proportion(int((ranks < 5).sum()), len(labels))
        sums = _unit_counts(labels, predicted, len(self.classes))
        found["f1"] = measures.macro_f1(sums, len(labels))
        return found

    def details(self) -> dict[str, Any]:
        """Classes, confusion (K, K counts, rows true), per_class (precision, recall, F1)."""
        labels, predicted = _joined(self._labels), _joined(self._predicted)
        table = scores.confusion(labels, predicted, len(self.classes))
        hits, false, _ = scores.hits_false_missed(table)
        missed = np.bincount(labels, minlength=len(self.classes)) - hits
        return {
            "classes": list(self.classes),
            "confusion": table.tolist(),
            "per_class": measures.per_class(self.classes, hits, false, missed),
        }


def _joined(parts: list[Tensor]) -> scores.Integers:
    return torch.cat(parts).numpy() if parts else np.zeros(0, dtype=np.int64)


def _unit_counts(labels: scores.Integers, predicted: scores.Integers, classes: int) -> scores.Array:
    """(U, 3 K) hits, false, missed of each class in each unit of resampling."""
    member = intervals.units(len(labels))
    count = int(member.max()) + 1 if len(member) else 0
    right = predicted == labels
    claimed = (predicted >= 0) & ~right
    columns = [
        np.bincount(member[kept] * classes + which[kept], minlength=count * classes)
        for kept, which in ((right, labels), (claimed, predicted), (~right, labels))
    ]
    return np.concatenate([column.reshape(count, classes) for column in columns], axis=1).astype(
        np.float64
    )
