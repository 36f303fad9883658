"""Losses against torch's own and against the formula written out."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.ops import losses


@pytest.fixture
def logits() -> torch.Tensor:
    return torch.randn(12, 5, generator=torch.Generator().manual_seed(0)) * 3


@pytest.fixture
def labels() -> torch.Tensor:
    return torch.tensor([0, 1, 2, 3, 4, 0, 1, 2, 3, 4, -1, -1])


def written_out(row: list[float], label: int, weights: list[float], smoothing: float) -> float:
    """The smoothed, weighted cross-entropy of one example, term by term."""
    total = math.log(sum(math.exp(value) for value in row))
    target = [smoothing / len(row) + (1 - smoothing) * (k == label) for k in range(len(row))]
    return sum(w * t * (total - z) for w, t, z in zip(weights, target, row, strict=True))


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_cross_entropy_is_the_formula(logits, labels, smoothing) -> None:
    weights = [0.5, 1.0, 2.0, 3.0, 0.25]
    found = losses.cross_entropy(
        logits.double(), labels, weights=torch.tensor(weights).double(), smoothing=smoothing
    )
    for row, label, loss in zip(logits.double().tolist(), labels.tolist(), found, strict=True):
        expected = written_out(row, label, weights, smoothing) if label >= 0 else 0.0
        assert float(loss) == pytest.approx(expected, abs=1e-9)


def test_one_sigmoid_unit_is_binary_cross_entropy() -> None:
    units = torch.linspace(-30, 30, 41, dtype=torch.float64)[:, None]
    for label in (0, 1):
        labels = torch.full((41,), label)
        found = losses.cross_entropy(losses.two_logits(units), labels)
        expected = F.binary_cross_entropy_with_logits(
            units[:, 0], labels.double(), reduction="none"
        )
        assert torch.allclose(found, expected, rtol=1e-9, atol=1e-12)
    assert torch.allclose(
        losses.two_logits(units).softmax(1)[:, 1], units[:, 0].sigmoid(), rtol=1e-9
    )


def test_focal_is_the_formula_and_gamma_0_the_cross_entropy(logits, labels) -> None:
    weights = torch.tensor([0.5, 1.0, 2.0, 3.0, 0.25])
    p = logits.softmax(1)[torch.arange(12), labels.clamp(min=0)]
    expected = torch.where(labels >= 0, -weights[labels.clamp(min=0)] * (1 - p) ** 2 * p.log(), 0.0)
    assert torch.allclose(losses.focal(logits, labels, gamma=2, weights=weights), expected)
    plain = losses.cross_entropy(logits, labels)
    assert torch.allclose(losses.focal(logits, labels, gamma=0), plain)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_focal_has_a_finite_slope_where_the_answer_is_certain(gamma) -> None:
    logits = torch.tensor([[200.0, -200.0], [-200.0, 200.0]], requires_grad=True)
    losses.focal(logits, torch.tensor([0, 0]), gamma=gamma).sum().backward()
    assert logits.grad is not None and logits.grad.isfinite().all()


def test_binary_cross_entropy_is_torchs_where_nothing_is_missing(logits) -> None:
    targets = (torch.rand(12, 5, generator=torch.Generator().manual_seed(1)) > 0.5).float()
    weights = torch.tensor([0.5, 1.0, 2.0, 3.0, 0.25])
    found = losses.binary_cross_entropy(logits, targets, positive_weights=weights)
    expected = F.binary_cross_entropy_with_logits(
        logits, targets, pos_weight=weights, reduction="none"
    )
    assert torch.allclose(found, expected.sum(1))


def test_binary_focal_is_torchvisions(logits) -> None:
    from torchvision.ops import sigmoid_focal_loss

    targets = (torch.rand(12, 5, generator=torch.Generator().manual_seed(1)) > 0.5).float()
    expected = sigmoid_focal_loss(logits, targets, alpha=-1, gamma=2).sum(1)
    assert torch.allclose(losses.binary_cross_entropy(logits, targets, gamma=2), expected)


def test_smoothed_binary_targets_are_least_at_their_own_probability() -> None:
    logits = torch.logit(torch.tensor([[0.95]], dtype=torch.float64)).requires_grad_()
    losses.binary_cross_entropy(logits, torch.ones(1, 1).double(), smoothing=0.1).sum().backward()
    assert abs(float(logits.grad)) < 1e-8


def test_numbers_are_torchs_where_nothing_is_missing(logits) -> None:
    targets = torch.randn(12, 5, generator=torch.Generator().manual_seed(2))
    for found, expected in (
        (losses.squared_error(logits, targets), F.mse_loss(logits, targets, reduction="none")),
        (losses.huber(logits, targets), F.huber_loss(logits, targets, reduction="none")),
        (
            losses.huber(logits, targets, delta=0.3),
            F.huber_loss(logits, targets, delta=0.3, reduction="none"),
        ),
        (losses.absolute_error(logits, targets), F.l1_loss(logits, targets, reduction="none")),
    ):
        assert torch.allclose(found, expected.mean(1))


MASKED = {
    "binary": losses.binary_cross_entropy,
    "focal": lambda outputs, targets: losses.binary_cross_entropy(outputs, targets, gamma=2.0),
    "squared": losses.squared_error,
    "huber": losses.huber,
    "absolute": losses.absolute_error,
}


@pytest.mark.parametrize("name", MASKED)
@settings(max_examples=25, deadline=None)
@given(st.data())
def test_what_is_missing_has_neither_loss_nor_slope(name, data) -> None:
    rows, columns = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 4))
    cells = st.lists(st.sampled_from([0.0, 1.0, math.nan]), min_size=columns, max_size=columns)
    targets = torch.tensor(data.draw(st.lists(cells, min_size=rows, max_size=rows)))
    outputs = torch.linspace(-2.3, 3.1, rows * columns).reshape(rows, columns).requires_grad_()
    found = MASKED[name](outputs, targets)
    found.sum().backward()
    missing = targets.isnan()
    assert found.shape == (rows,) and bool(found.isfinite().all())
    assert bool((found[missing.all(1)] == 0).all())
    assert bool((outputs.grad[missing] == 0).all()) and bool((outputs.grad[~missing] != 0).all())
    for row in range(rows):  # the same as the known ones alone
        kept = ~missing[row]
        if kept.any():
            alone = MASKED[name](outputs[row, kept][None], targets[row, kept][None])
            assert torch.allclose(found[row], alone[0])


def test_a_missing_label_has_neither_loss_nor_slope(logits, labels) -> None:
    for function in (losses.cross_entropy, lambda z, y: losses.focal(z, y, gamma=2)):
        leaf = logits.clone().requires_grad_()
        found = function(leaf, labels)
        found.sum().backward()
        assert bool((found[labels < 0] == 0).all())
        assert bool((leaf.grad[labels < 0] == 0).all())
        assert bool((leaf.grad[labels >= 0] != 0).any(1).all())


def test_constants_made_while_evaluating_can_be_trained_with() -> None:
    values = (0.125, 7.5)
    with torch.inference_mode():
        first = losses.constant(values, torch.device("cpu"))
    weights = torch.ones(2, requires_grad=True)
    (weights * first).sum().backward()
    assert weights.grad.tolist() == [0.125, 7.5]
    assert losses.constant(values, torch.device("cpu")) is first
