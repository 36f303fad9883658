"""What is decided of the hardware, and how memory is held."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from saccade.errors import SaccadeError
from saccade.training.device import choose, use_threads

PROGRAM = """
import os, torch
from saccade.training.device import kept_memory

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 10**6

def held():
    torch.ones(50_000_000)  # 200 MB, freed at once
    return resident()

held()
before = held()
with kept_memory():
    inside = held()
print(before, inside, resident())
"""
"""In a process of its own: how much memory other tests left free must not matter."""


@pytest.mark.skipif(sys.platform != "linux", reason="the parameters are those of glibc")
def test_kept_memory_is_held_and_given_back() -> None:
    told = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    before, inside, after = map(int, told.stdout.split())
    assert inside > before + 150
    assert after < before + 50


def test_threads_are_put_back() -> None:
    before = torch.get_num_threads()
    with use_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("asked", ["tpu", "cuda:x", "cpu:1"])
def test_a_device_that_is_not_there_is_named(asked: str) -> None:
    with pytest.raises(SaccadeError, match=f"--device {asked}"):
        choose(asked)
