"""Optimisers move as torch's own, decay stays off norms and biases, memory survives saving."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from saccade.errors import SaccadeError
from saccade.training.optim import (
    OPTIMISERS,
    before_batch_norms,
    load_optimizer_tensors,
    make_optimizer,
    optimizer_tensors,
    parameter_names,
    set_rate,
)

SETTINGS = {"lr": 0.1, "momentum": 0.9, "beta2": 0.99, "weight_decay": 0.01}


def _model() -> nn.Module:
    torch.manual_seed(0)
    # no bias before the norm: its gradient is rounding noise, which Adam would blow up
    return nn.Sequential(
        nn.Conv2d(2, 3, 3, bias=False), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 2)
    )


def _step(model: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
    torch.manual_seed(seed)
    optimizer.zero_grad()
    model(torch.randn(5, 2, 4, 4)).square().mean().backward()
    optimizer.step()


def test_decay_acts_on_weights_alone() -> None:
    model = _model()
    optimizer = make_optimizer("sgd", model, **SETTINGS)
    decayed = {
        name: group["weight_decay"]
        for group in optimizer.param_groups
        for parameter in group["params"]
        for name, candidate in model.named_parameters()
        if candidate is parameter
    }
    assert decayed == {
        "0.weight": 0.01,
        "3.weight": 0.01,
        "1.weight": 0,
        "1.bias": 0,
        "3.bias": 0,
    }


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("sgd", lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, nesterov=True, foreach=False)),
        ("adam", lambda p: torch.optim.Adam(p, 0.1, betas=(0.9, 0.99), foreach=False)),
        ("adamw", lambda p: torch.optim.AdamW(p, 0.1, betas=(0.9, 0.99), weight_decay=0)),
        ("rmsprop", lambda p: torch.optim.RMSprop(p, 0.1, alpha=0.99, momentum=0.9)),
    ],
)
def test_each_moves_as_torch(name: str, reference: Any) -> None:
    ours, theirs = _model(), _model()
    mine = make_optimizer(name, ours, **{**SETTINGS, "weight_decay": 0.0})
    torchs = reference(theirs.parameters())
    for seed in range(4):
        _step(ours, mine, seed)
        _step(theirs, torchs, seed)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", list(OPTIMISERS))
def test_saved_memory_continues_bit_for_bit(name: str) -> None:
    model = _model()
    optimizer = make_optimizer(name, model, **SETTINGS)
    for seed in range(3):
        _step(model, optimizer, seed)
    twin = copy.deepcopy(model)
    fresh = make_optimizer(name, twin, **SETTINGS)
    saved = optimizer_tensors(optimizer, parameter_names(model, optimizer))
    saved = {key: value.clone() for key, value in saved.items()}
    load_optimizer_tensors(fresh, parameter_names(twin, fresh), saved)
    for seed in range(3, 6):
        _step(model, optimizer, seed)
        _step(twin, fresh, seed)
    for a, b in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(a, b)


def test_frozen_parameters_are_left_out() -> None:
    model = _model()
    for parameter in list(model.parameters())[:1]:
        parameter.requires_grad_(False)
    optimizer = make_optimizer("adamw", model, **SETTINGS)
    assert "0.weight" not in parameter_names(model, optimizer)


def test_rates_follow_the_group_scale() -> None:
    optimizer = make_optimizer("sgd", _model(), **SETTINGS)
    optimizer.param_groups[1]["scale"] = 2.0
    set_rate(optimizer, 0.5)
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 1.0]


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(SaccadeError, match="sgd"):
        make_optimizer("sdg", _model(), **SETTINGS)


def test_muon_sets_the_norm_of_filters_before_batch_norms_alone() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(4),
        nn.GELU(),
        nn.Conv2d(4, 4, 3),  # what follows is not homogeneous
        nn.GELU(),
        nn.BatchNorm2d(4),
        nn.Conv2d(4, 2, 1),
    )
    assert before_batch_norms(model) == {model[0].weight}
    optimizer = make_optimizer("muon", model, **SETTINGS)
    told = {id(w): group["normalise"] for group in optimizer.param_groups for w in group["params"]}
    assert [told[id(model[place].weight)] for place in (0, 4, 7)] == [True, False, False]
