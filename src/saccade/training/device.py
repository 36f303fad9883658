"""Which hardware, and what it is good at: decided before the first step, from its flags."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from saccade.errors import SaccadeError

Precision = Literal["bf16", "fp32"]


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """Where and how numbers are computed; written into the run, since bits depend on it.

    precision      of convolutions and matrix products under autocast; weights stay float32
    channels_last  memory order N, H, W, C, which convolution kernels prefer
    """

    device: str
    name: str
    precision: Precision
    channels_last: bool
    threads: int

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """Half precision where it was decided, else nothing."""
        if self.precision == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(torch.device(self.device).type, dtype=torch.bfloat16)

    def place(self, model: nn.Module) -> nn.Module:
        """The model on the device, in the memory order decided."""
        return model.to(device=self.device).to(memory_format=self.memory_format)

    @property
    def memory_format(self) -> torch.memory_format:
        return torch.channels_last if self.channels_last else torch.contiguous_format


@contextlib.contextmanager
def use_threads(count: int | None) -> Iterator[None]:
    """Compute with `count` threads while the block runs; None leaves the number as it is."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


_MMAP_MAX, _MMAP_THRESHOLD, _TRIM_THRESHOLD = -4, -3, -1
"""Parameters of glibc's mallopt (malloc.h)."""


@contextlib.contextmanager
def kept_memory() -> Iterator[None]:
    """Freed memory stays with the process while the block runs, where the C library is glibc.

    By default every large tensor is mapped anew and handed back when freed, so that each training
    step pays for clean pages again: a tenth to a third of its time on a CPU.
    """
    if not (sys.platform == "linux" and hasattr(ctypes.CDLL(None), "malloc_trim")):
        yield
        return
    library = ctypes.CDLL(None)
    library.mallopt(_MMAP_MAX, 0)
    library.mallopt(_TRIM_THRESHOLD, -1)
    try:
        yield
    finally:
        # glibc adapts the two thresholds no more once one was set: these are where it would be
        # by now, the largest it chooses itself
        library.mallopt(_MMAP_MAX, 65536)
        library.mallopt(_MMAP_THRESHOLD, 32 * 2**20)
        library.mallopt(_TRIM_THRESHOLD, 64 * 2**20)
        library.malloc_trim(0)


def choose(device: str | None = None, precision: Precision | None = None) -> Hardware:
    """The best device there is, or the one asked for ("cpu", "cuda", "0", "cuda:1", "mps").

    Raises SaccadeError where the device asked for does not exist.
    """
    place = _device(device)
    kind = place.split(":")[0]
    if kind == "cuda":
        name = torch.cuda.get_device_name(place)
        best: Precision = "bf16" if torch.cuda.is_bf16_supported(False) else "fp32"
    elif kind == "mps":
        name, best = "Apple GPU", "fp32"
    else:
        name, best = "CPU", "bf16" if _cpu_has_bf16() else "fp32"
    return Hardware(
        device=place,
        name=name,
        precision=precision or best,
        channels_last=kind != "mps",
        threads=torch.get_num_threads(),
    )


def _device(asked: str | None) -> str:
    if asked is None or asked == "auto":
        if torch.cuda.is_available():
            return "cuda:0"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    place = f"cuda:{asked}" if asked.isdigit() else asked
    there = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": torch.backends.mps.is_available()}
    kind, _, number = place.partition(":")
    if kind not in there or (number and not number.isdigit()):
        raise SaccadeError(
            f"--device {asked}: expected cpu, cuda, cuda:N, N or mps.", name="unknown-device"
        )
    if int(number or 0) >= int(there[kind]):
        raise SaccadeError(
            f"--device {asked}: this machine has {int(there[kind])} such devices. "
            "Leave --device out to use the best there is.",
            name="unknown-device",
        )
    return "cuda:0" if place == "cuda" else place


def _cpu_has_bf16() -> bool:
    """True where bfloat16 products run in hardware (AVX-512 BF16, AMX, ARM BF16).

    Elsewhere oneDNN emulates them, slower than float32.
    """
    # torch 2.11 and 2.12 lack the public call and have only the private ones below
    capabilities: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    if capabilities:
        return any(capabilities.get(flag) for flag in ("avx512_bf16", "amx_bf16", "bf16"))
    return any(
        bool(getattr(torch.cpu, name, bool)())
        for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    )
