"""Random numbers that depend on (seed, epoch, example) alone.

Every number is the output of the splitmix64 generator (Steele, Lea, Flood: Fast splittable
pseudorandom number generators, OOPSLA 2014) at a counter, in exact integer arithmetic. So the order
of examples, the size of a batch and the number of workers change nothing, and an epoch can be
taken up in its middle.
"""

from __future__ import annotations

import torch
from torch import Tensor

_STEP = 0x9E3779B97F4A7C15
_FIRST = 0xBF58476D1CE4E5B9
_SECOND = 0x94D049BB133111EB
_BITS = 24  # a float32 holds every multiple of 2^-24 below 1 exactly


def uniforms(seed: int, epoch: int, indices: Tensor, num: int) -> Tensor:
    """Numbers in [0, 1) for each example of an epoch.

    Args:
        seed: of the run.
        epoch: any integer.
        indices: (N,) int64, which examples; on any device.
        num: how many numbers for each.

    Returns:
        (N, num) float32 on the device of `indices`. Column k is the same whatever `num` is.
    """
    state = _keys(seed, epoch, indices)
    steps = torch.arange(1, num + 1, device=indices.device) * _signed(_STEP)
    drawn = _mix(state[:, None] + steps)
    return _shift(drawn, 64 - _BITS).float() * 2.0**-_BITS


def permutation(seed: int, epoch: int, size: int) -> Tensor:
    """(size,) int64: 0 ... size - 1 in the random order of (seed, epoch)."""
    keys = _mix(_keys(seed, epoch, torch.arange(size)) + _signed(_STEP))
    return torch.argsort(keys, stable=True)


def _keys(seed: int, epoch: int, indices: Tensor) -> Tensor:
    """(N,) int64: where the sequence of each example starts."""
    start = _mix(torch.tensor([_signed(seed + _STEP)], device=indices.device))
    start = _mix(start + _signed(epoch * _STEP))
    return _mix(start + indices.long() * _signed(_SECOND))


def _mix(state: Tensor) -> Tensor:
    """Splitmix64's output function; int64 products wrap as unsigned ones do."""
    state = (state ^ _shift(state, 30)) * _signed(_FIRST)
    state = (state ^ _shift(state, 27)) * _signed(_SECOND)
    return state ^ _shift(state, 31)


def _shift(values: Tensor, bits: int) -> Tensor:
    """Shift to the right without the sign."""
    return (values >> bits) & ((1 << (64 - bits)) - 1)


def _signed(value: int) -> int:
    """The int64 with the same low 64 bits."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >= 1 << 63 else value
