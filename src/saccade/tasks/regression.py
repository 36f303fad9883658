"""Regression: one or several numbers for each picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from saccade.ops import intervals, losses, scores
from saccade.protocols import Backbone, Sampling
from saccade.tasks import heads, measures
from saccade.types import Batch, Field, Measure, Result, Scored, Values


@dataclass(frozen=True, kw_only=True)
class RegressionTask:
    """T numbers, from the one field of kind "values" among `fields`.

    mean, std  (T numbers each, user's units) of the training targets, set by `fit`: the network
               learns (target - mean) / std, so that its outputs and every target's loss are of size
               one; results are in the user's units. None = 0 and 1
    loss_name  "mse" (squared error) or "huber" (squared near the target, absolute from one std on)

    Losses are those of standardised targets, means over an example's known targets. The error of an
    example is its absolute error in the user's units, a mean over known targets.
    """

    fields: tuple[Field, ...]
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    loss_name: Literal["mse", "huber"] = "mse"
    sampling: Sampling = "once"
    name: str = field(default="regression", init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fields", heads.choose_one(self.fields, "values", self.name))
        heads.check_option(
            len(self.targets) >= 1,
            f"field {self.field_name}: regression needs a target, found none",
        )
        heads.check_choice("loss_name", self.loss_name, ("mse", "huber"))
        for option in ("mean", "std"):
            values = getattr(self, option)
            if values is not None:
                checked = heads.numbers(values, len(self.targets), option)
                object.__setattr__(self, option, checked)
        heads.check_option(
            all(value > 0 for value in self.std or ()), "std: every number must be above 0"
        )

    @property
    def field_name(self) -> str:
        return self.fields[0].name

    @property
    def targets(self) -> tuple[str, ...]:
        return self.fields[0].classes

    @property
    def num_outputs(self) -> int:
        return len(self.targets)

    def fit(self, targets: Mapping[str, Any]) -> RegressionTask:
        """The task with mean and std of the training targets, unless they were given."""
        if self.mean is not None and self.std is not None:
            return self
        mean, std = target_statistics(targets[self.field_name])
        return replace(self, mean=self.mean or mean, std=self.std or std)

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

    def metric(self) -> RegressionMetric:
        return RegressionMetric(self.field_name, self.targets)

    def decide(self, results: list[Any], targets: Mapping[str, Any]) -> Mapping[str, Any]:
        """Nothing: the value is the answer."""
        return {}

    def training_loss(self, outputs: Tensor, targets: Mapping[str, Any]) -> Tensor:
        mean, std = self._scale(outputs.device)
        standardised = (targets[self.field_name].float() - mean) / std
        if self.loss_name == "huber":
            return losses.huber(outputs, standardised)
        return losses.squared_error(outputs, standardised)

    def score(self, outputs: Tensor, targets: Mapping[str, Any]) -> Scored:
        mean, std = self._scale(torch.device("cpu"))
        known = targets[self.field_name].float().cpu()
        missing = known.isnan().all(dim=1)
        values = outputs * std + mean
        return Scored(
            results=self._records(values),
            losses=heads.nan_where(missing, self.training_loss(outputs, {self.field_name: known})),
            errors=heads.nan_where(missing, losses.absolute_error(values, known)),
        )

    def decode(self, outputs: Tensor) -> list[Values]:
        mean, std = self._scale(torch.device("cpu"))
        return self._records(outputs * std + mean)

    def _records(self, values: Tensor) -> list[Values]:
        names = self.targets
        return [Values(names=names, values=row) for row in values.unbind()]

    def _scale(self, device: torch.device) -> tuple[Tensor, Tensor]:
        count = len(self.targets)
        mean = losses.constant(self.mean or (0.0,) * count, device)
        return mean, losses.constant(self.std or (1.0,) * count, device)


def target_statistics(values: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each column of (N, T), NaN left out.

    A column that never varies (or is empty) gets std 1.
    """
    table = values.double().cpu()
    known = ~table.isnan()
    count = known.sum(dim=0).clamp(min=1)
    mean = torch.where(known, table, 0.0).sum(dim=0) / count
    variance = torch.where(known, table - mean, 0.0).square().sum(dim=0) / count
    std = variance.sqrt()
    std = torch.where(std > 1e-12 * (1 + mean.abs()), std, 1.0)
    return tuple(mean.tolist()), tuple(std.tolist())


class RegressionMetric:
    """mae, rmse (user's units) and r2, each computed per target and averaged over the targets.

    The main metric is mae for one target; with several, whose units may differ, it is r2.
    """

    def __init__(self, field: str, targets: tuple[str, ...]) -> None:
        self.main = "mae" if len(targets) == 1 else "r2"
        self.higher_is_better = self.main == "r2"
        self.field = field
        self.targets = targets
        self._values: list[Tensor] = []
        self._targets: list[Tensor] = []

    def update(self, scored: Scored, batch: Batch) -> None:
        if not scored.results:
            return
        values = torch.stack([result.values for result in scored.results])
        targets = batch.targets[self.field].float().cpu()
        known = ~targets.isnan().all(dim=1)
        self._values.append(values[known])
        self._targets.append(targets[known])

    def compute(self) -> dict[str, Measure]:
        table = self._table()
        sums = intervals.unit_sums(table, intervals.units(len(table)))
        return {
            name: measures.bootstrapped(sums, statistic, len(table))
            for name, statistic in STATISTICS.items()
        }

    def details(self) -> dict[str, Any]:
        """Targets, per_target: mae, rmse and r2 of each with intervals."""
        table, count = self._table(), len(self.targets)
        rows: dict[str, Any] = {}
        for index, name in enumerate(self.targets):
            own = table[:, index::count]  # the five columns of this target
            sums = intervals.unit_sums(own, intervals.units(len(own)))
            rows[name] = {
                score: measures.plain(measures.bootstrapped(sums, statistic, int(own[:, 0].sum())))
                for score, statistic in STATISTICS.items()
            }
        return {"targets": list(self.targets), "per_target": rows}

    def _table(self) -> scores.Array:
        if not self._values:
            return np.zeros((0, 5 * len(self.targets)))
        values, targets = torch.cat(self._values).double(), torch.cat(self._targets).double()
        return scores.residual_sums(values.numpy(), targets.numpy())


def _averaged(statistic: Callable[[scores.Array], scores.Array]) -> measures.Statistic:
    return lambda sums: scores.nan_mean(statistic(sums))


STATISTICS: dict[str, measures.Statistic] = {
    "mae": _averaged(scores.mae),
    "rmse": _averaged(scores.rmse),
    "r2": _averaged(scores.r2),
}
