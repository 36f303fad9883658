"""Landmarks: where are the named points of a picture, and which of them can be seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from saccade.ops import intervals
from saccade.protocols import Backbone, Sampling
from saccade.tasks import heads, measures, pairing, voting
from saccade.types import Batch, Field, Landmarks, Measure, Result, Scored

FAILED = 0.08
"""Normalised error from which a picture counts as failed (300-W, Sagonas et al. 2013)."""

BETA = 0.02
"""Share of the input up to which errors are squared, beyond it they count as they are."""

VOTES = 1.0
"""Weight of the votes beside the places."""

VISIBILITY = 0.1
"""Weight of the visibility beside the places."""


@dataclass(frozen=True, kw_only=True)
class LandmarksTask:
    """P named points, from the one field of kind "points" among `fields`.

    pairs         points that change names in a mirrored picture, "left_eye:right_eye,..."; None =
                  told from the names (left and right, or the 68 points of faces); "none" = no pair
    normalise_by  two points whose distance errors are divided by, "a,b"; None = the outer corners
                  of the eyes where the names tell them, else the diagonal of the points' box, which
                  "box" asks for

    The loss has three parts: "points", smooth absolute errors as shares of the input (quadratic up
    to BETA), a mean over visible points, in units of BETA; "votes", how far the votes of the head
    lie from them; "visible", the logistic loss. The error of an example is its normalised mean
    error over visible points.
    """

    fields: tuple[Field, ...]
    pairs: str | None = None
    normalise_by: str | None = None
    sampling: Sampling = "once"
    name: str = field(default="landmarks", init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fields", heads.choose_one(self.fields, "points", self.name))
        pairing.swapped(self.points, self.pairs)  # what is wrong is told now, not in training
        pairing.yardstick(self.points, self.normalise_by)

    @property
    def field_name(self) -> str:
        return self.fields[0].name

    @property
    def points(self) -> tuple[str, ...]:
        return self.fields[0].classes

    @property
    def mirrors(self) -> bool:
        """Whether it is known how a mirror changes the names, so that pictures may be mirrored."""
        return pairing.has_pairs(self.points, self.pairs)

    def fit(self, targets: Mapping[str, Any]) -> LandmarksTask:
        """The task itself: it takes nothing from the data."""
        return self

    def arguments(self) -> dict[str, Any]:
        return heads.option_values(self)

    def build(self, backbone: Backbone) -> nn.Module:
        return voting.build(backbone, things=len(self.points), numbers=1)

    def loss(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        return self._all_parts(voting.run(model, batch.inputs), self.renamed(batch))

    def _all_parts(self, found: voting.Found, batch: Batch) -> dict[str, Tensor]:
        visible = batch.targets[self.field_name + ".visible"]
        shares = batch.targets[self.field_name] / _sides(batch.inputs)
        missed = torch.where(visible, voting.missed_votes(found.log_votes, shares), 0.0)
        votes = missed.sum(dim=1) / visible.sum(dim=1).clamp(min=1)
        return {**self.parts(found.answers, batch), "votes": VOTES * votes}

    def renamed(self, batch: Batch) -> Batch:
        """The batch whose mirrored pictures have the names of paired points exchanged."""
        order = pairing.swapped(self.points, self.pairs)
        if batch.geometry is None or order == tuple(range(len(order))):
            return batch
        mirrored = torch.linalg.det(batch.geometry.matrix[:, :2, :2]) < 0
        targets = dict(batch.targets)
        for name in (self.field_name, self.field_name + ".visible"):
            value = targets[name]
            chosen = mirrored.to(value.device).view(-1, *(1,) * (value.ndim - 1))
            targets[name] = torch.where(chosen, value[:, list(order)], value)
        return replace(batch, targets=targets)

    def parts(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The loss of what was answered, (N,) each; 0 for a picture without a visible point."""
        visible = batch.targets[self.field_name + ".visible"]
        shares = batch.targets[self.field_name] / _sides(batch.inputs)
        wrong = F.smooth_l1_loss(outputs[:, :, :2], shares, beta=BETA, reduction="none") / BETA
        counts = visible.sum(dim=1)
        places = torch.where(visible, wrong.sum(dim=2), 0.0).sum(dim=1) / counts.clamp(min=1)
        seen = F.binary_cross_entropy_with_logits(
            outputs[:, :, 2], visible.float(), reduction="none"
        ).mean(dim=1)
        return {
            "points": places,
            "visible": VISIBILITY * torch.where(counts > 0, seen, 0.0),
        }

    def evaluate(self, model: nn.Module, batch: Batch) -> Scored:
        found = voting.Found(*(heads.on_cpu(each) for each in voting.run(model, batch.inputs)))
        batch = self.renamed(batch.to("cpu"))
        results = self.decode(found.answers, batch)
        missing = ~batch.targets[self.field_name + ".visible"].any(dim=1)
        parts = self._all_parts(found, batch)
        return Scored(
            results=results,
            losses=heads.nan_where(missing, torch.stack(list(parts.values())).sum(dim=0)),
            errors=self.normalised_errors(results, batch),
            embeddings=found.features,
        )

    def predict(self, model: nn.Module, batch: Batch) -> list[Result]:
        found = voting.run(model, batch.inputs)
        return list(self.decode(heads.on_cpu(found.answers), batch.to("cpu")))

    def decode(self, outputs: Tensor, batch: Batch) -> list[Landmarks]:
        """Points in pixels of the pictures; they may lie outside."""
        placed = outputs[:, :, :2] * _sides(batch.inputs)
        chances = outputs[:, :, 2].sigmoid()
        return [
            Landmarks(
                names=self.points,
                points=_to_picture(placed[row], batch, row),
                scores=chances[row],
            )
            for row in range(len(outputs))
        ]

    def normalised_errors(self, results: list[Landmarks], batch: Batch) -> Tensor:
        """(N,) mean distance over visible points by the yardstick; NaN without one."""
        visible = batch.targets[self.field_name + ".visible"]
        truth = batch.targets[self.field_name]
        placed = torch.stack([_to_picture(points, batch, row) for row, points in enumerate(truth)])
        found = torch.stack([result.points for result in results])
        ends = pairing.yardstick(self.points, self.normalise_by)
        return pairing.normalised(found, placed, visible, ends)

    def metric(self) -> LandmarksMetric:
        return LandmarksMetric(self.points, pairing.yardstick(self.points, self.normalise_by))

    def decide(self, results: list[Any], targets: Mapping[str, Any]) -> Mapping[str, Any]:
        """Nothing: a point is said to be visible from a chance of one half on."""
        return {}


def _sides(inputs: Tensor) -> Tensor:
    """(2,) width and height of the network input."""
    height, width = inputs.shape[-2:]
    return torch.tensor([width, height], dtype=torch.float32, device=inputs.device)


def _to_picture(points: Tensor, batch: Batch, row: int) -> Tensor:
    return points if batch.geometry is None else batch.geometry.to_picture(row, points)


class LandmarksMetric:
    """nme, the normalised mean error, and failure_rate, the share of pictures above FAILED."""

    main = "nme"
    higher_is_better = False

    def __init__(self, points: tuple[str, ...], ends: tuple[int, int] | None) -> None:
        self._points, self._ends = points, ends
        self._errors: list[Tensor] = []

    def update(self, scored: Scored, batch: Batch) -> None:
        self._errors.append(scored.errors[scored.errors.isfinite()])

    def compute(self) -> dict[str, Measure]:
        errors = self._all()
        return {
            "nme": _mean(errors),
            "failure_rate": _mean((errors > FAILED).astype(np.float64)),
        }

    def details(self) -> dict[str, Any]:
        """points, divided_by (two names, or None: the box), quantiles of the error."""
        errors = self._all()
        shares = (0.1, 0.25, 0.5, 0.75, 0.9)
        cut = np.quantile(errors, shares).tolist() if len(errors) else []
        return {
            "points": list(self._points),
            "divided_by": None if self._ends is None else [self._points[end] for end in self._ends],
            "quantiles": dict(zip(map(str, shares), map(measures.number, cut), strict=False)),
        }

    def _all(self) -> np.ndarray:
        return np.concatenate([np.zeros(0), *(each.double().numpy() for each in self._errors)])


def _mean(values: np.ndarray) -> Measure:
    value, low, high, count = intervals.mean_interval(values)
    return Measure(value=value, low=low, high=high, n=count)
