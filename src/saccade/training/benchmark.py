"""Which arithmetic this machine really trains fastest with, measured instead of believed."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from saccade.training.device import Hardware
from saccade.training.optim import make_optimizer


@dataclass(frozen=True, kw_only=True)
class Timing:
    """One way to train, and what a training step (forward, backward, update) takes with it.

    seconds      median over the rounds;  fastest: their minimum
    multiply_adds  of the forward pass of one picture;  batch: pictures per step
    """

    hardware: Hardware
    seconds: float
    fastest: float
    batch: int
    multiply_adds: int

    @property
    def images_per_second(self) -> float:
        return self.batch / self.seconds

    @property
    def gflops(self) -> float:
        """10^9 operations a second: two per multiply-add, backward twice the forward pass."""
        return 6 * self.multiply_adds * self.batch / self.seconds / 1e9


def ways(chosen: Hardware) -> list[Hardware]:
    """Plain float32 first, then channels-last, then half precision where it can be asked for."""
    plain = replace(chosen, precision="fp32", channels_last=False)
    last = replace(plain, channels_last=True)
    half = "bf16" if chosen.precision == "fp32" else chosen.precision
    return [plain, last, replace(last, precision=half)]


def compare(
    model: nn.Module,
    input_shape: tuple[int, int, int],
    *,
    batch: int,
    multiply_adds: int,
    hardware: list[Hardware],
    rounds: int,
    progress: Callable[[int, int], None],
) -> list[Timing]:
    """Time a step of `model` ((N, C, H, W) -> (N, K) logits) in every way, in turns.

    Turns keep the comparison fair where the machine slows down or others use it.
    """
    steps = [_step(model, input_shape, batch, way) for way in hardware]
    seconds: list[list[float]] = [[] for _ in hardware]
    # the first two rounds choose kernels and fill caches; they are not counted
    for number in range(rounds + 2):
        for place, step in enumerate(steps):
            started = time.perf_counter()
            step()
            _wait(hardware[place].device)
            if number >= 2:
                seconds[place].append(time.perf_counter() - started)
        progress(number + 1, rounds + 2)
    return [
        Timing(
            hardware=way,
            seconds=statistics.median(taken),
            fastest=min(taken),
            batch=batch,
            multiply_adds=multiply_adds,
        )
        for way, taken in zip(hardware, seconds, strict=True)
    ]


def _step(
    model: nn.Module, input_shape: tuple[int, int, int], batch: int, way: Hardware
) -> Callable[[], None]:
    own = way.place(copy.deepcopy(model).train())
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(batch, *input_shape, generator=generator).to(way.device)
    images = images.contiguous(memory_format=way.memory_format)
    labels = torch.zeros(batch, dtype=torch.int64, device=way.device)
    optimizer = make_optimizer("sgd", own, lr=1e-3, momentum=0.9, beta2=0.99, weight_decay=5e-4)

    def step() -> None:
        with way.autocast():
            logits: Tensor = own(images)
        loss = nn.functional.cross_entropy(logits.float(), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    elif device.startswith("mps"):
        torch.mps.synchronize()
