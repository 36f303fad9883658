"""What is decided of the hardware, and how memory is held."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from saccade.errors import SaccadeError
from saccade.training.device import choose, use_threads

PROGRAM = """
import resource, torch
from saccade.training.device import kept_memory

def clean_pages():
    torch.ones(8_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(8_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before = clean_pages()
with kept_memory():
    inside = clean_pages()
print(before, inside, clean_pages())
"""
"""In a process of its own: how much memory other tests left free must not matter."""


@pytest.mark.skipif(sys.platform != "linux", reason="the parameters are those of glibc")
def test_kept_memory_is_used_again_and_given_back() -> None:
    told = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    before, inside, after = map(int, told.stdout.split())
    assert inside < before / 4
    assert after > before / 2


def test_threads_are_put_back() -> None:
    before = torch.get_num_threads()
    with use_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("asked", ["tpu", "cuda:x", "cpu:1"])
def test_a_device_that_is_not_there_is_named(asked: str) -> None:
    with pytest.raises(SaccadeError, match=f"--device {asked}"):
        choose(asked)
