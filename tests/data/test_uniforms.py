"""Counter-based random numbers: the published generator, and nothing but (seed, epoch, example)."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.data.uniforms import permutation, uniforms

MASK = (1 << 64) - 1


def splitmix(state: int) -> int:
    """The published generator's output function, in Python's whole numbers."""
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & MASK
    return state ^ (state >> 31)


@given(st.integers(-(2**40), 2**40), st.integers(-1, 1000), st.integers(0, 2**50))
@settings(max_examples=50, deadline=None)
def test_uniforms_are_splitmix64(seed: int, epoch: int, index: int) -> None:
    gold = 0x9E3779B97F4A7C15
    key = splitmix((seed + gold) & MASK)
    key = splitmix((key + epoch * gold) & MASK)
    key = splitmix((key + index * 0x94D049BB133111EB) & MASK)
    expected = [(splitmix((key + k * gold) & MASK) >> 40) / 2**24 for k in (1, 2, 3)]
    assert uniforms(seed, epoch, torch.tensor([index]), 3)[0].tolist() == expected


def test_splitmix_reference_values() -> None:
    # first outputs for seed 1234567, as the author's C code prints them
    state, outputs = 1234567, []
    for _ in range(3):
        state = (state + 0x9E3779B97F4A7C15) & MASK
        outputs.append(splitmix(state))
    assert outputs == [6457827717110365317, 3203168211198807973, 9817491932198370423]


@given(st.integers(0, 2**31), st.integers(0, 300), st.permutations(range(40)), st.integers(1, 40))
@settings(max_examples=30, deadline=None)
def test_uniforms_do_not_depend_on_company(
    seed: int, epoch: int, order: list[int], count: int
) -> None:
    whole = uniforms(seed, epoch, torch.arange(40), 7)
    part = torch.tensor(order[:count])
    assert torch.equal(uniforms(seed, epoch, part, 5), whole[part, :5])


def test_uniforms_are_uniform() -> None:
    values = uniforms(3, 5, torch.arange(50_000), 4).double()
    assert values.min() >= 0 and values.max() < 1
    counts = torch.stack([torch.histc(column, 20, 0, 1) for column in values.T])
    chi_square = ((counts - 2500) ** 2 / 2500).sum(1)  # 19 degrees of freedom
    assert chi_square.max() < 50
    together = torch.corrcoef(values.T) - torch.eye(4)
    assert together.abs().max() < 0.02
    later = uniforms(3, 6, torch.arange(50_000), 4).double()
    assert abs(float(torch.corrcoef(torch.stack([values[:, 0], later[:, 0]]))[0, 1])) < 0.02


def test_permutation() -> None:
    order = permutation(1, 2, 1000)
    assert torch.equal(order.sort().values, torch.arange(1000))
    assert torch.equal(order, permutation(1, 2, 1000))
    assert (order != permutation(1, 3, 1000)).float().mean() > 0.9
    assert abs(float(order[:500].double().mean()) - 500) < 50
