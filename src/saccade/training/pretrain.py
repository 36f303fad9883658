"""Learning from pictures without labels: a network that restores its inputs, for a later task."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from saccade.errors import SaccadeError
from saccade.training.device import Hardware
from saccade.training.loop import BatchSource
from saccade.training.optim import make_optimizer, set_rate
from saccade.training.schedule import rate_at

RATE = 1e-3


def restore(
    autoencoder: nn.Module,
    batches: BatchSource,
    *,
    epochs: int,
    hardware: Hardware,
    seed: int,
    progress: Callable[[int, int], None],
) -> list[float]:
    """Train `autoencoder` to give back its inputs (N, C, *space); mean square error per epoch.

    The same numbers for the same seed, data and hardware. progress: steps done and in all.
    Raises SaccadeError where the error is not finite.
    """
    steps = epochs * len(batches)
    optimizer = make_optimizer(
        "adamw", autoencoder, lr=RATE, momentum=0.9, beta2=0.99, weight_decay=0.01
    )
    autoencoder.train()
    errors = []
    for epoch in range(epochs):
        total = 0.0
        for step, batch in enumerate(batches.epoch(epoch), epoch * len(batches)):
            torch.manual_seed((seed << 32) + step)
            set_rate(optimizer, rate_at("cosine", step, steps, lr0=RATE, warmup=steps // 20))
            with hardware.autocast():
                restored = autoencoder(batch.inputs)
            loss = F.mse_loss(restored.float(), batch.inputs.float())
            if not math.isfinite(loss.item()):
                raise SaccadeError(
                    f"pre-training: the error is not finite in epoch {epoch + 1}; leave "
                    "model.pretrain out, or choose another network.",
                    name="non-finite-loss",
                )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += loss.item()
            progress(step + 1, steps)
        errors.append(total / len(batches))
    return errors
