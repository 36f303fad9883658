"""Schedules against their formulas and torch's schedulers."""

from __future__ import annotations

import math

import pytest
import torch

from saccade.errors import SaccadeError
from saccade.training.schedule import SCHEDULES, plateau_factor, rate_at


def test_cosine_is_torchs() -> None:
    parameter = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([parameter], lr=0.4)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50)
    for step in range(50):
        expected = optimizer.param_groups[0]["lr"]
        assert rate_at("cosine", step, 50, lr0=0.4) == pytest.approx(expected, abs=1e-9)
        optimizer.step()
        theirs.step()


def test_closed_forms() -> None:
    assert rate_at("constant", 70, 100, lr0=0.1) == 0.1
    assert rate_at("linear", 25, 100, lr0=1.0) == 0.75
    assert [rate_at("step", s, 90, lr0=1.0) for s in (0, 29, 30, 60, 89)] == pytest.approx(
        [1, 1, 0.1, 0.01, 0.01]
    )
    assert rate_at("exponential", 50, 100, lr0=1.0) == pytest.approx(math.sqrt(0.001))
    assert rate_at("1/t", 100, 100, lr0=1.0) == pytest.approx(0.1)
    assert rate_at("onecycle", 30, 100, lr0=1.0) == pytest.approx(1.0)
    assert rate_at("onecycle", 100, 100, lr0=1.0) == pytest.approx(1e-4)


@pytest.mark.parametrize("name", sorted({*SCHEDULES} - {"onecycle"}))
def test_warmup_rises_to_the_first_rate_and_rates_stay_positive(name: str) -> None:
    rates = [rate_at(name, step, 200, lr0=0.3, warmup=20) for step in range(200)]
    assert all(0 < rate <= 0.3 + 1e-12 for rate in rates)
    assert rates[:20] == pytest.approx([0.3 * (step + 1) / 21 for step in range(20)])


@pytest.mark.parametrize("name", sorted({*SCHEDULES} - {"constant"}))
def test_a_schedule_ends_where_it_is_told(name: str) -> None:
    assert rate_at(name, 100, 100, lr0=0.4, last=0.05) == pytest.approx(0.4 * 0.05)
    assert rate_at(name, 100, 100, lr0=0.4) == pytest.approx(0.4 * SCHEDULES[name][0])


def test_constants_of_decay_are_those_of_torch() -> None:
    parameter = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([parameter], lr=0.4)
    theirs = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.02 ** (1 / 50))
    for step in range(50):
        expected = optimizer.param_groups[0]["lr"]
        assert rate_at("exponential", step, 50, lr0=0.4, last=0.02) == pytest.approx(expected)
        optimizer.step()
        theirs.step()


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(SaccadeError, match="cosine"):
        rate_at("cosin", 0, 1, lr0=1.0)


def test_plateau_falls_as_torchs_scheduler_does() -> None:
    rng = torch.Generator().manual_seed(3)
    scores = torch.rand(60, generator=rng).tolist()
    parameter = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, mode="max", factor=0.5, patience=3, threshold=0.0
    )
    for epoch in range(60):
        expected = optimizer.param_groups[0]["lr"]
        found = plateau_factor([(score,) for score in scores[:epoch]], patience=3, factor=0.5)
        assert found == pytest.approx(expected)
        optimizer.step()
        theirs.step(scores[epoch])
    assert found < 0.1


def test_plateau_takes_equal_scores_by_what_comes_next_and_nan_for_none() -> None:
    rising = [(0.9, -loss) for loss in (0.5, 0.4, 0.3, 0.2)]
    assert plateau_factor(rising, patience=1) == 1.0
    assert plateau_factor([(0.9,), (math.nan,), (math.nan,)], patience=1) == pytest.approx(0.1)


def test_one_cycle_takes_no_other_warmup() -> None:
    """It rises by itself; two rises would be a drop between them."""
    plain = [rate_at("onecycle", step, 100, lr0=1.0) for step in range(100)]
    assert [rate_at("onecycle", step, 100, lr0=1.0, warmup=20) for step in range(100)] == plain
