"""Time and memory of a training, measured on one real step before it starts."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from saccade.protocols import Task
from saccade.training.device import Hardware
from saccade.training.loop import sum_parts
from saccade.types import Batch


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """seconds for all steps (evaluation included as a share), bytes at the peak."""

    seconds: float
    memory: int

    def sentence(self, epochs: int) -> str:
        return (
            f"about {clock(self.seconds)} for {epochs} epochs "
            f"({clock(self.seconds / epochs)} each), {self.memory / 2**30:.1f} GiB of memory"
        )


def estimate(
    model: nn.Module,
    task: Task,
    batch: Batch,
    *,
    hardware: Hardware,
    steps: int,
    evaluated: int,
    other_bytes: int,
    state_copies: int = 2,
) -> Estimate:
    """Time one step on a copy of `model`, so that the training itself is untouched.

    steps         updates of the whole training
    evaluated     examples scored in all evaluations together; a forward pass each
    other_bytes   memory already taken by pictures
    state_copies  of the weights that gradient and optimiser keep (SGD 2, Adam 3)
    """
    trial = copy.deepcopy(model).train()
    saved: dict[int, int] = {}

    def weigh(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    seconds = 0.0
    for _ in range(2):  # the first one warms caches and compiles kernels
        saved.clear()
        started = time.perf_counter()
        with torch.autograd.graph.saved_tensors_hooks(weigh, lambda tensor: tensor):
            with hardware.autocast():
                parts = task.loss(trial, batch)
            loss = sum_parts(parts, len(batch)).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        _wait(hardware.device)
        seconds = time.perf_counter() - started
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    return Estimate(
        # a forward pass is about a third of forward and backward
        seconds=seconds * (steps + evaluated / len(batch) / 3),
        memory=sum(saved.values()) + weights * (1 + state_copies) + other_bytes,
    )


def clock(seconds: float) -> str:
    """45 s, 3.2 min, 1.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    elif device.startswith("mps"):
        torch.mps.synchronize()
