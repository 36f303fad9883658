"""A tiny network that keeps the Backbone promise, and batches of noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from saccade.protocols import Backbone
from saccade.types import Batch, Scored


class Stub(nn.Module):
    """One convolution, average pooling, a linear layer, and if asked an auxiliary head."""

    channels = (4,)
    strides = (2,)
    minimum_size = 2

    def __init__(self, *, auxiliary: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, stride=2, padding=1)
        self.fc = nn.Linear(4, 7)
        self.aux = nn.Linear(4, 7) if auxiliary else None
        self.passes = 0

    def maps(self, inputs: Tensor) -> list[Tensor]:
        self.passes += 1
        return [self.conv(inputs).tanh()]

    def embed(self, last: Tensor) -> Tensor:
        return last.flatten(2).mean(2)

    def classify(self, last: Tensor) -> Tensor:
        return self.fc(self.embed(last))

    def auxiliary(self, maps: list[Tensor]) -> list[Tensor]:
        return [] if self.aux is None else [self.aux(self.embed(maps[0]))]

    def new_head(self, num_classes: int) -> None:
        self.fc = nn.Linear(4, num_classes)
        self.aux = None if self.aux is None else nn.Linear(4, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.classify(self.maps(inputs)[-1])


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def stub() -> Callable[..., Stub]:
    assert isinstance(Stub(), Backbone)
    return Stub


@pytest.fixture
def make_batch() -> Callable[..., Batch]:
    """Targets by field name -> a batch of noise with those targets."""

    def make(**targets: Any) -> Batch:
        count = len(next(iter(targets.values())))
        inputs = torch.randn(count, 1, 6, 6)
        return Batch(inputs=inputs, targets=targets, indices=torch.arange(count))

    return make


@pytest.fixture
def measure() -> Callable[..., Any]:
    """Outputs and targets of a head, in two batches, -> its metric, updated."""

    def run(task: Any, outputs: Tensor, **targets: Any) -> Any:
        metric = task.metric()
        half = (len(outputs) + 1) // 2
        for rows in (slice(0, half), slice(half, None)):
            part = {name: value[rows] for name, value in targets.items()}
            scored: Scored = task.score(outputs[rows], part)
            count = len(scored.results)
            inputs = torch.zeros(count, 1, 2, 2)
            batch = Batch(inputs=inputs, targets=part, indices=torch.arange(count))
            metric.update(scored, batch)
        return metric

    return run
