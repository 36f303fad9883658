"""What is decided of the hardware, and how memory is held."""

from __future__ import annotations

import resource
import sys

import pytest
import torch

from saccade.errors import SaccadeError
from saccade.training.device import choose, kept_memory, use_threads


def clean_pages(rounds: int) -> int:
    """Pages the system had to clear for tensors made and freed again and again."""
    torch.ones(8_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        torch.ones(8_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(sys.platform != "linux", reason="the parameters are those of glibc")
def test_kept_memory_is_used_again_and_given_back() -> None:
    outside = clean_pages(10)
    with kept_memory():
        inside = clean_pages(10)
    assert inside < outside / 4
    assert clean_pages(10) > outside / 2


def test_threads_are_put_back() -> None:
    before = torch.get_num_threads()
    with use_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("asked", ["tpu", "cuda:x", "cpu:1"])
def test_a_device_that_is_not_there_is_named(asked: str) -> None:
    with pytest.raises(SaccadeError, match=f"--device {asked}"):
        choose(asked)
