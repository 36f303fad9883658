"""Multi-task: several fields at once from one network, whose maps are computed once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from saccade.protocols import Backbone, Metric, Sampling
from saccade.tasks import heads
from saccade.tasks.classification import ClassificationTask
from saccade.tasks.multilabel import MultiLabelTask
from saccade.tasks.regression import RegressionTask
from saccade.types import Batch, Field, FieldKind, Heads, Measure, Result, Scored

HEADS: dict[FieldKind, type[heads.Head]] = {
    "label": ClassificationTask,
    "labels": MultiLabelTask,
    "values": RegressionTask,
}


@dataclass(frozen=True, kw_only=True)
class MultiTask:
    """One head for each field of kind "label", "labels" or "values".

    options     by field name: options of that field's own task (`ClassificationTask`,
                `MultiLabelTask`, `RegressionTask`)
    thresholds  by name of a field of kind "labels": one number per class, chosen by `decide`
    weights     by field name: factor of that head's loss, 1 where not named

    The network ends in one linear layer with the outputs of all heads side by side, which is one
    linear layer per head on the same embedding. An example without a target for a head adds nothing
    to that head's loss; losses and errors of `evaluate` are sums and means over the heads that have
    a target, errors of numbers in standard deviations of their training targets.
    """

    fields: tuple[Field, ...]
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    thresholds: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    sampling: Sampling = "once"
    name: str = field(default="multitask", init=False)

    def __post_init__(self) -> None:
        chosen = heads.choose_fields(self.fields, tuple(HEADS), self.name)
        object.__setattr__(self, "fields", chosen)
        names = [item.name for item in chosen]
        unknown = sorted({*self.options, *self.thresholds, *self.weights} - set(names))
        heads.check_option(
            not unknown,
            f"options for unknown fields {', '.join(unknown)}; there are {', '.join(names)}",
        )
        object.__setattr__(self, "options", {key: dict(item) for key, item in self.options.items()})
        assert self.tasks  # an option that a head refuses is told now, not in training

    @cached_property
    def tasks(self) -> dict[str, heads.Head]:
        """The task of each field, by field name."""
        made: dict[str, heads.Head] = {}
        for item in self.fields:
            options = dict(self.options.get(item.name, {}))
            if item.name in self.thresholds:
                options["thresholds"] = self.thresholds[item.name]
            made[item.name] = heads.make(HEADS[item.kind], (item,), options)
        return made

    @property
    def num_outputs(self) -> int:
        return sum(head.num_outputs for head in self.tasks.values())

    def fit(self, targets: Mapping[str, Any]) -> MultiTask:
        """The task with every head's options set from the training targets."""
        fitted = {
            name: {**self.options.get(name, {}), **head.fit(targets).arguments()}
            for name, head in self.tasks.items()
        }
        return replace(self, options=fitted)

    def arguments(self) -> dict[str, Any]:
        return heads.option_values(self)

    def build(self, backbone: Backbone) -> nn.Module:
        return heads.build(backbone, self.num_outputs)

    def loss(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """One part per head, named as its field; 0 where the example has no such target."""
        passes = [self._split(out) for out in heads.training_outputs(model, batch.inputs)]
        parts: dict[str, Tensor] = {}
        for name, head in self.tasks.items():
            weight = self.weights.get(name, 1.0)
            found = [
                weight * heads.mixed_loss(head.training_loss, outs[name], batch) for outs in passes
            ]
            parts |= heads.named_losses(found, name)
        return parts

    def evaluate(self, model: nn.Module, batch: Batch) -> Scored:
        embeddings, outputs = heads.embed_and_classify(model, batch.inputs)
        scored = {
            name: self.tasks[name].score(part, batch.targets)
            for name, part in self._split(outputs).items()
        }
        weights = torch.tensor([self.weights.get(name, 1.0) for name in scored])
        losses = torch.stack([item.losses for item in scored.values()], dim=1)
        errors = torch.stack([self._share(name, scored[name].errors) for name in scored], dim=1)
        missing = losses.isnan().all(dim=1) & errors.isnan().all(dim=1)
        return Scored(
            results=_together({name: item.results for name, item in scored.items()}),
            losses=heads.nan_where(missing, (losses * weights).nansum(dim=1)),
            errors=errors.nanmean(dim=1),
            embeddings=embeddings,
        )

    def _share(self, name: str, errors: Tensor) -> Tensor:
        """Errors of numbers in standard deviations of their targets: units cannot be averaged."""
        head = self.tasks[name]
        if not isinstance(head, RegressionTask) or head.std is None:
            return errors
        return errors / (sum(head.std) / len(head.std))

    def predict(self, model: nn.Module, batch: Batch) -> list[Result]:
        parts = self._split(heads.outputs_only(model, batch.inputs))
        return list(
            _together({name: self.tasks[name].decode(part) for name, part in parts.items()})
        )

    def metric(self) -> MultiTaskMetric:
        return MultiTaskMetric({name: head.metric() for name, head in self.tasks.items()})

    def decide(self, results: list[Any], targets: Mapping[str, Any]) -> Mapping[str, Any]:
        """{"thresholds": by field name} of the multi-label heads; empty without one."""
        chosen = {
            name: head.decide([result.heads[name] for result in results], targets)
            for name, head in self.tasks.items()
        }
        thresholds = {name: own["thresholds"] for name, own in chosen.items() if own}
        return {"thresholds": thresholds} if thresholds else {}

    def _split(self, outputs: Tensor) -> dict[str, Tensor]:
        sizes = [head.num_outputs for head in self.tasks.values()]
        return dict(zip(self.tasks, torch.split(outputs, sizes, dim=1), strict=True))


def _together(parts: Mapping[str, list[Any]]) -> list[Heads]:
    rows = zip(*parts.values(), strict=True)
    return [Heads(heads=dict(zip(parts, row, strict=True))) for row in rows]


class MultiTaskMetric:
    """Every head's metrics as "field/metric", and `score`, the mean over heads.

    A head enters the score with accuracy (label), map (labels) or r2 cut to 0..1 (values); a head
    without a single target stays out. The interval of the score is the mean of theirs, which is
    wide enough however much the heads err together.
    """

    main = "score"
    higher_is_better = True

    def __init__(self, metrics: Mapping[str, Metric]) -> None:
        self.metrics = dict(metrics)
        self._examples = 0

    def update(self, scored: Scored, batch: Batch) -> None:
        self._examples += len(scored.results)
        for name, metric in self.metrics.items():
            own = [result.heads[name] for result in scored.results]
            metric.update(replace(scored, results=own), batch)

    def compute(self) -> dict[str, Measure]:
        found: dict[str, Measure] = {}
        shares: list[Measure] = []
        for name, metric in self.metrics.items():
            measured = metric.compute()
            found |= {f"{name}/{key}": measure for key, measure in measured.items()}
            share = measured["r2"] if "r2" in measured else measured[metric.main]
            shares.append(share)
        return {"score": self._score(shares), **found}

    def details(self) -> dict[str, Any]:
        """The details of each head by field name."""
        return {"heads": {name: metric.details() for name, metric in self.metrics.items()}}

    def _score(self, shares: list[Measure]) -> Measure:
        ends = torch.tensor(
            [[item.value, item.low, item.high] for item in shares], dtype=torch.float64
        )
        # an undefined score (nothing to measure) tells nothing of the network, so it is left out
        value, low, high = ends[~ends[:, 0].isnan()].clamp(0, 1).mean(dim=0).tolist()
        return Measure(value=value, low=low, high=high, n=self._examples)
