"""How much of a batch fits in memory at once, from one pass over a few examples."""

from __future__ import annotations

import copy
import os
from collections.abc import Collection

import torch
from torch import Tensor, nn

from saccade.protocols import Task
from saccade.training.device import Hardware
from saccade.training.loop import sum_parts
from saccade.types import Batch

SHARE = 0.8
"""Of free memory that a training may take: fragments and workspaces need the rest."""
PROBED = 4
"""Examples that the pass is made with."""


def free_memory(device: str) -> int | None:
    """Free bytes of the device, None where the system does not say."""
    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(device)[0])
    if device.startswith("mps"):
        return int(torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory())
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return None


def bytes_per_example(
    model: nn.Module,
    task: Task,
    batch: Batch,
    hardware: Hardware,
    *,
    frozen: Collection[str] = (),
) -> float:
    """What forward and backward keep for each example, measured on a copy with a few of them.

    frozen: parameters that never learn; all others count, also those that wait for a later epoch.
    """
    few = batch.part(0, min(PROBED, len(batch)))
    trial = copy.deepcopy(model).train()
    for name, parameter in trial.named_parameters():
        parameter.requires_grad_(name not in frozen)
    own = {weight.untyped_storage().data_ptr() for weight in trial.parameters()}
    saved: dict[int, int] = {}

    def weigh(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(weigh, lambda tensor: tensor):
        with hardware.autocast():
            parts = task.loss(trial, few)
        sum_parts(parts, len(few)).mean()
    # the gradient of an activation lives beside the activation for a moment
    return 1.25 * sum(saved.values()) / len(few)


def parts_that_fit(batch: int, per_example: float, weights: int, free: int | None) -> int:
    """Into how many equal parts a batch must be cut so that one fits in `free` bytes.

    weights: bytes of gradients and the optimiser's memory, which are there all the time.
    """
    if free is None:
        return 1
    room = max(SHARE * free - weights, per_example)
    return min(batch, -(-batch // max(1, int(room // max(per_example, 1.0)))))
