"""The learning-rate finder and the size of what fits in memory."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from torch import nn

from saccade.errors import SaccadeError
from saccade.tasks import table
from saccade.training.device import choose
from saccade.training.finder import suggest, sweep
from saccade.training.memory import bytes_per_example, free_memory, parts_that_fit
from saccade.training.optim import make_optimizer
from saccade.types import Batch, Field

TASK = table.create("classification", (Field(name="label", kind="label", classes=("a", "b")),))
HARDWARE = choose("cpu", "fp32")


def network() -> nn.Module:
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 2))
    return TASK.build(table.own(body))


def batch(seed: int = 0, count: int = 32) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(count, 1, 8, 8, generator=generator)
    labels = (inputs[:, 0, :4].mean((1, 2)) > inputs[:, 0, 4:].mean((1, 2))).long()
    return Batch(inputs=inputs, targets={"label": labels}, indices=torch.arange(count))


def test_the_suggested_rate_trains_and_nothing_else_is_changed() -> None:
    model = network()
    before = copy.deepcopy(model.state_dict())
    random = torch.get_rng_state()

    def make(trial: nn.Module) -> torch.optim.Optimizer:
        return make_optimizer("sgd", trial, lr=0.1, momentum=0.9, beta2=0.9, weight_decay=0.0)

    swept = sweep(model, TASK, map(batch, itertools.count()), make, hardware=HARDWARE)
    rate = suggest(swept.rates, swept.losses)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(random, torch.get_rng_state())
    assert swept.rates[0] == 1e-6 and 1e-3 < rate < 1

    def after(rate: float) -> float:
        trial = copy.deepcopy(model)
        optimizer = make(trial)
        for group in optimizer.param_groups:
            group["lr"] = rate
        for seed in range(25):
            loss = TASK.loss(trial, batch(seed))["loss"].mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return loss.item()

    assert after(rate) < 0.6 * after(rate / 100)


def test_the_steepest_fall_is_found_before_the_explosion() -> None:
    rates = [10 ** (-5 + 5 * i / 99) for i in range(100)]
    # flat at 2.3, a smooth step down around 1e-2, then up again
    losses = [2.3 - 1.5 / (1 + (1e-2 / rate) ** 2) + (rate / 0.3) ** 2 for rate in rates]
    assert suggest(rates, losses) == pytest.approx(1e-2, rel=0.2)


def test_a_loss_that_never_falls_is_an_error() -> None:
    with pytest.raises(SaccadeError, match="--lr0 auto"):
        suggest([1e-4, 1e-3, 1e-2, 1e-1], [1.0, 1.0, 1.1, 2.0])


def test_pieces_by_memory() -> None:
    assert parts_that_fit(256, per_example=10, weights=0, free=None) == 1
    assert parts_that_fit(256, per_example=10, weights=0, free=10_000) == 1
    assert parts_that_fit(256, per_example=10, weights=0, free=1_600) == 2  # 128 at a time
    assert parts_that_fit(256, per_example=10, weights=1_280, free=1_700) == 32  # 8 at a time
    assert parts_that_fit(256, per_example=10, weights=10_000, free=100) == 256
    assert parts_that_fit(7, per_example=10, weights=0, free=1) == 7


def test_memory_of_an_example_is_what_the_graph_keeps() -> None:
    found = bytes_per_example(network(), TASK, batch(), HARDWARE)
    # inputs 64, outputs of the convolution 288 (kept by activation and linear layer), logits
    assert 1.25 * 4 * (64 + 288) < found < 1.25 * 4 * (64 + 3 * 288)
    assert free_memory("cpu") is None or free_memory("cpu") > 2**20
