"""Every rule, step by step, beside a plain NumPy statement of it (and torch's own where it is)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch.optim import SGD, Optimizer

from saccade.training.rules.delta_bar_delta import DeltaBarDelta
from saccade.training.rules.momentum import AveragedMomentum
from saccade.training.rules.muon import Muon, orthogonalise
from saccade.training.rules.table import OPTIMISERS

Array = npt.NDArray[np.float64]
LR, BETA, BETA2, STEPS = 0.05, 0.9, 0.98, 12


def gradients(shape: tuple[int, ...] = (3, 4)) -> Iterator[Array]:
    rng = np.random.default_rng(0)
    for _ in range(STEPS):
        yield rng.normal(size=shape) + 0.3


def walk(
    make: Callable[[list[torch.nn.Parameter]], Optimizer], shape: tuple[int, ...] = (3, 4)
) -> list[Array]:
    """Where an optimiser goes from a fixed start along fixed gradients."""
    start = np.random.default_rng(1).normal(size=shape)
    weight = torch.nn.Parameter(torch.tensor(start))
    optimizer = make([weight])
    places = []
    for gradient in gradients(shape):
        weight.grad = torch.tensor(gradient)
        optimizer.step()
        places.append(weight.detach().numpy().copy())
    return places


def by_name(name: str) -> Callable[[list[torch.nn.Parameter]], Optimizer]:
    return lambda weights: OPTIMISERS[name]([{"params": weights}], LR, BETA, BETA2)


# --- plain statements: (weight, gradient, t from 1, memory) -> weight ----------------------------


def plain_descent(w: Array, g: Array, t: int, memory: dict[str, Array]) -> Array:
    return w - LR * g


def plain_momentum(w: Array, g: Array, t: int, memory: dict[str, Array]) -> Array:
    memory["v"] = BETA * memory.get("v", 0 * w) + (1 - BETA) * g
    return w - LR * memory["v"] / (1 - BETA**t)


def plain_heavy_ball(w: Array, g: Array, t: int, memory: dict[str, Array]) -> Array:
    memory["v"] = BETA * memory.get("v", 0 * w) + g
    return w - LR * memory["v"]


def plain_nesterov(w: Array, g: Array, t: int, memory: dict[str, Array]) -> Array:
    memory["v"] = BETA * memory.get("v", 0 * w) + g
    return w - LR * (g + BETA * memory["v"])


def plain_rmsprop(w: Array, g: Array, t: int, memory: dict[str, Array]) -> Array:
    memory["s"] = BETA2 * memory.get("s", 0 * w) + (1 - BETA2) * g**2
    memory["v"] = BETA * memory.get("v", 0 * w) + g / (np.sqrt(memory["s"]) + 1e-8)
    return w - LR * memory["v"]


def plain_adam(w: Array, g: Array, t: int, memory: dict[str, Array]) -> Array:
    memory["v"] = BETA * memory.get("v", 0 * w) + (1 - BETA) * g
    memory["s"] = BETA2 * memory.get("s", 0 * w) + (1 - BETA2) * g**2
    v, s = memory["v"] / (1 - BETA**t), memory["s"] / (1 - BETA2**t)
    return w - LR * v / (np.sqrt(s) + 1e-8)


def plain_adamw(w: Array, g: Array, t: int, memory: dict[str, Array]) -> Array:
    # torch's AdamW decays by 0.01 unless the group says otherwise
    return plain_adam(w * (1 - LR * 0.01), g, t, memory)


def plain_adagrad(w: Array, g: Array, t: int, memory: dict[str, Array]) -> Array:
    memory["s"] = memory.get("s", 0 * w) + g**2
    return w - LR * g / (np.sqrt(memory["s"]) + 1e-10)


def plain_delta_bar_delta(w: Array, g: Array, t: int, memory: dict[str, Array]) -> Array:
    average, factor = memory.get("d", 0 * w), memory.get("f", 0 * w + 1)
    for place in np.ndindex(w.shape):  # one weight after the other, as the paper says it
        if average[place] * g[place] > 0:
            factor[place] += 0.05
        elif average[place] * g[place] < 0:
            factor[place] *= 1 - 0.2
    memory["d"], memory["f"] = (1 - 0.7) * g + 0.7 * average, factor
    return w - LR * factor * g


PLAIN = {
    "sgd": plain_nesterov,
    "nesterov": plain_nesterov,
    "heavy_ball": plain_heavy_ball,
    "descent": plain_descent,
    "momentum": plain_momentum,
    "rmsprop": plain_rmsprop,
    "adam": plain_adam,
    "adamw": plain_adamw,
    "adagrad": plain_adagrad,
    "delta_bar_delta": plain_delta_bar_delta,
}


@pytest.mark.parametrize("name", list(PLAIN))
def test_every_step_is_that_of_the_plain_rule(name: str) -> None:
    w, memory = np.random.default_rng(1).normal(size=(3, 4)), dict[str, Array]()
    for t, (gradient, place) in enumerate(zip(gradients(), walk(by_name(name)), strict=True), 1):
        w = PLAIN[name](w, gradient, t, memory)
        np.testing.assert_allclose(place, w, rtol=1e-9, atol=1e-12)


def test_the_table_is_covered() -> None:
    assert set(PLAIN) | {"muon"} == set(OPTIMISERS)


def test_every_step_of_averaged_momentum_is_as_long_as_the_gradient_says() -> None:
    """What the correction is for: torch's form takes 1 / (1 - beta) updates to reach its pace."""
    weight = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    rule = AveragedMomentum([weight], lr=LR, beta=BETA)
    for step in range(1, 50):
        weight.grad = torch.ones(1).double()
        rule.step()
        assert weight.item() == pytest.approx(-step * LR, rel=1e-9)
    ours = walk(lambda weights: AveragedMomentum(weights, lr=LR, beta=0.0))
    np.testing.assert_allclose(ours, walk(lambda weights: SGD(weights, lr=LR)), rtol=1e-12)


def test_delta_bar_delta_factors_stay_below_the_bound() -> None:
    weight = torch.nn.Parameter(torch.zeros(2))
    rule = DeltaBarDelta([weight], lr=0.1, kappa=1.0, growth=5.0)
    for _ in range(20):
        weight.grad = torch.tensor([1.0, 0.0])
        rule.step()
    assert rule.state[weight]["factor"].tolist() == [5.0, 1.0]


# --- Muon ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(8, 27), (27, 8), (16, 16)])
def test_newton_schulz_makes_singular_values_about_one_and_keeps_directions(
    shape: tuple[int, int],
) -> None:
    torch.manual_seed(0)
    matrix = torch.randn(shape)
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    found = orthogonalise(matrix, steps=6)
    values = torch.linalg.svdvals(found)
    assert values.max() < 1.3 and values.min() > 0.5
    # in the singular vectors of the input the result is diagonal
    core = u.T @ found @ v.T
    torch.testing.assert_close(core, torch.diag(core.diagonal()), atol=1e-4, rtol=0)
    torch.testing.assert_close(
        orthogonalise(matrix, steps=6, precise=False), found, atol=0.15, rtol=0
    )


def _plain_newton_schulz(g: Array, steps: int) -> Array:
    u, s, v = np.linalg.svd(g, full_matrices=False)
    s = s / (np.sqrt((s**2).sum()) + 1e-7)
    for _ in range(steps):  # the iteration acts on each singular value alone
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    return (u * s) @ v


@pytest.mark.parametrize("normalise", [True, False])
def test_muon_moves_filters_by_the_plain_rule(normalise: bool) -> None:
    shape = (6, 2, 3, 3)
    found = walk(lambda w: Muon(w, lr=LR, normalise=normalise, weight_decay=0.1), shape)
    w, m = np.random.default_rng(1).normal(size=shape), np.zeros(shape)
    for gradient, place in zip(gradients(shape), found, strict=True):
        m = 0.6 * m + gradient
        ahead = gradient + 0.6 * m
        w = w * np.sqrt(6) / np.sqrt((w**2).sum()) if normalise else w * (1 - LR * 0.1)
        w = w - LR * _plain_newton_schulz(ahead.reshape(6, -1), 3).reshape(shape)
        np.testing.assert_allclose(place, w, atol=2e-5)  # float32 inside the iteration


def test_muon_moves_other_weights_as_nesterov_does() -> None:
    ours = walk(lambda weights: Muon(weights, lr=LR, other=0.5, other_beta=BETA))
    theirs = walk(lambda weights: SGD(weights, lr=LR * 0.5, momentum=BETA, nesterov=True))
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)
