"""Several trained networks that answer as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from saccade.errors import SaccadeError
from saccade.protocols import Backbone, Task
from saccade.types import FieldKind

TINY = 1e-7
"""Closer to 0 and 1 no averaged probability comes: logits stay finite."""


class Answer(NamedTuple):
    """What `size` outputs in a row mean: the kind of the field they predict."""

    kind: FieldKind
    size: int


class Committee(nn.Module):
    """Averages what its members predict: probabilities of classes, numbers as they are.

    members    networks as a task builds them
    answers    of the task
    scales     (M, C) and `offsets` (M, C): inputs normalised for the first member, times scale plus
               offset, are normalised as each member saw them in training

    It passes for a `Backbone`, so that any task can use it; its one map holds the averaged outputs
    (K) and then the embeddings of all members. It is not trained.
    """

    strides: tuple[int, ...] = (1,)

    def __init__(
        self,
        members: Sequence[nn.Module],
        answers: Sequence[Answer],
        scales: Tensor,
        offsets: Tensor,
    ) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.answers = tuple(answers)
        self.minimum_size = max(cast(Backbone, member).minimum_size for member in members)
        self.num_outputs = sum(answer.size for answer in answers)
        self.channels: tuple[int, ...] = (self.num_outputs,)
        self.register_buffer("scales", scales, persistent=False)
        self.register_buffer("offsets", offsets, persistent=False)

    def maps(self, inputs: Tensor) -> list[Tensor]:
        """(N, C, *space) -> [(N, K + D)]."""
        space = (1,) * (inputs.ndim - 2)
        outputs, embeddings = [], []
        for place, module in enumerate(self.members):
            member = cast(Backbone, module)
            scale = cast(Tensor, self.scales)[place].view(-1, *space)
            offset = cast(Tensor, self.offsets)[place].view(-1, *space)
            last = member.maps(inputs * scale + offset)[-1]
            outputs.append(member.classify(last).float())
            embeddings.append(member.embed(last).flatten(1).float())
        return [torch.cat([average(torch.stack(outputs), self.answers), *embeddings], dim=1)]

    def embed(self, last: Tensor) -> Tensor:
        return last[:, self.num_outputs :]

    def classify(self, last: Tensor) -> Tensor:
        return last[:, : self.num_outputs]

    def forward(self, inputs: Tensor) -> Tensor:
        return self.classify(self.maps(inputs)[-1])

    def auxiliary(self, maps: list[Tensor]) -> list[Tensor]:
        return []

    def new_head(self, num_classes: int) -> None:
        raise SaccadeError("an ensemble is not trained; train its members.", name="ensemble")


def average(outputs: Tensor, answers: Sequence[Answer]) -> Tensor:
    """(M, N, K) outputs of M networks -> (N, K) outputs that mean their averaged predictions."""
    parts = torch.split(outputs, [answer.size for answer in answers], dim=2)
    return torch.cat(
        [_average(part, answer.kind) for part, answer in zip(parts, answers, strict=True)], dim=1
    )


def _average(outputs: Tensor, kind: FieldKind) -> Tensor:
    if kind == "values":
        return outputs.mean(0)
    if kind == "label" and outputs.shape[2] > 1:
        return outputs.softmax(2).mean(0).clamp(min=TINY).log()
    return outputs.sigmoid().mean(0).logit(TINY)


def answers_of(task: Task) -> list[Answer]:
    """What the outputs of a task's network mean, in order. Raises SaccadeError where unknown."""
    heads: Any = getattr(task, "tasks", {"": task})
    found = [Answer(head.fields[0].kind, head.num_outputs) for head in heads.values() if _one(head)]
    if len(found) != len(heads):
        raise SaccadeError(
            f"ensembles of the task {task.name} are not known; those of classification, "
            "multilabel, regression and multitask are.",
            name="no-ensemble",
        )
    return found


def _one(head: Any) -> bool:
    known = ("label", "labels", "values")
    return hasattr(head, "num_outputs") and head.fields[0].kind in known
