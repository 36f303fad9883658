"""The loop: plain functions that know nothing of pictures, boxes or classes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from saccade.errors import SaccadeError
from saccade.protocols import Metric, Task
from saccade.training.device import Hardware
from saccade.training.optim import set_rate
from saccade.training.processes import ALONE, Processes, pieces_of_part
from saccade.training.shrink import shrink_weights
from saccade.types import Batch, Measure, Scored


class BatchSource(Protocol):
    """What the loop asks of data: batches of an epoch, from a given step on, and their number."""

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]: ...

    def __len__(self) -> int: ...


def train_epoch(
    model: nn.Module,
    task: Task,
    batches: Iterator[Batch],
    optimizer: Optimizer,
    *,
    hardware: Hardware,
    first_step: int,
    rate: Callable[[int], float],
    seed: int,
    clip: float,
    losses: Tensor,
    after_step: Callable[[int], None],
    pieces: int = 1,
    l1: float = 0.0,
    frozen: Iterable[nn.Module] = (),
    processes: Processes = ALONE,
) -> None:
    """One pass over `batches`, which begin at update `first_step` of the whole training.

    rate        update -> learning rate
    clip        largest gradient norm, 0 = no limit
    losses      (examples,) float32 on the CPU: filled with each example's loss before its update
    after_step  called with the number of updates done; may raise to stop
    pieces      a batch passes through the network in so many pieces, to save memory; the update is
                that of the whole batch (but batch norm sees a piece at a time)
    l1          strength of the step that makes small weights exactly zero; see `shrink_weights`
    frozen      modules that stay in eval mode, so that their batch statistics stand still
    processes   others that train the same network; `batches` are this one's parts

    Raises NonFiniteLoss before the update that would spoil the weights.
    """
    model.train()
    for module in frozen:
        module.eval()
    for step, batch in enumerate(batches, first_step):
        # dropout and the like depend on the step alone, so a resumed run repeats them
        torch.manual_seed(processes.seed((seed << 32) + step))
        set_rate(optimizer, rate(step))
        optimizer.zero_grad(set_to_none=True)
        seen = []
        for piece, share in cut(batch, pieces_of_part(pieces, processes.count)):
            with hardware.autocast():
                parts = task.loss(model, piece)
            each = sum_parts(parts, len(piece))  # (n,)
            loss = weighted_mean(each, piece.weights) * share
            if not math.isfinite(loss.item()) and processes.count == 1:
                raise NonFiniteLoss(step, piece, each)
            loss.backward()  # type: ignore[no-untyped-call]
            seen.append(each.detach().float().cpu())
        own = torch.cat(seen)
        indices, known = processes.merge(model, batch.indices, own, weight_of(batch))
        if not bool(torch.isfinite(known).all()):
            raise NonFiniteLoss(step, batch, own)
        losses[indices] = known
        if clip > 0:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        if l1 > 0:
            shrink_weights(optimizer, l1)
        after_step(step + 1)


def cut(batch: Batch, pieces: int) -> Iterator[tuple[Batch, float]]:
    """The batch in even pieces, each with its share of the batch's weight; shares add up to 1."""
    if pieces <= 1:
        yield batch, 1.0
        return
    size = len(batch)
    whole = weight_of(batch)
    for number in range(pieces):
        piece = batch.part(size * number // pieces, size * (number + 1) // pieces)
        if len(piece):
            yield piece, weight_of(piece) / whole


def weight_of(batch: Batch) -> float:
    """Of its examples together."""
    return float(len(batch) if batch.weights is None else batch.weights.sum())


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    task: Task,
    batches: Iterator[Batch],
    *,
    hardware: Hardware,
    each: Callable[[Scored, Batch], None] | None = None,
    processes: Processes = ALONE,
) -> tuple[dict[str, Measure], Metric, float]:
    """Measures, the metric that made them, and the mean loss, in eval mode without augmentation.

    `each` sees every scored batch, to keep predictions. With several processes `batches` are those
    this one has in turn, and all of them know the measures of all.
    """
    model.eval()
    metric = task.metric()
    total, count = 0.0, 0

    def scored_batches() -> Iterator[tuple[Scored, Batch]]:
        for batch in batches:
            with hardware.autocast():
                scored = task.evaluate(model, batch)
            # pictures stay where they are
            yield scored, batch if processes.count == 1 else without_pictures(batch)

    for scored, batch in processes.in_turn(scored_batches()):
        metric.update(scored, batch)
        known = scored.losses[torch.isfinite(scored.losses)]
        total, count = total + float(known.double().sum()), count + len(known)
        if each is not None:
            each(scored, batch)
    return metric.compute(), metric, total / max(count, 1)


def without_pictures(batch: Batch) -> Batch:
    """The batch with inputs of one pixel, for whoever needs the rest of it."""
    corner = (slice(None), slice(0, 1)) + (slice(0, 1),) * (batch.inputs.ndim - 2)
    return replace(batch, inputs=batch.inputs[corner].clone()).to("cpu")


def sum_parts(parts: Mapping[str, Tensor], size: int) -> Tensor:
    """Named loss parts, (N,) or scalar, to one loss per example (N,)."""
    return torch.stack([part.float().expand(size) for part in parts.values()]).sum(0)


def weighted_mean(losses: Tensor, weights: Tensor | None) -> Tensor:
    """The batch's loss; weights as in `Batch.weights`."""
    return losses.mean() if weights is None else (losses * weights).sum() / weights.sum()


class NonFiniteLoss(SaccadeError):
    """The loss is NaN or infinite. step: the update; batch: its examples; rows: those at fault."""

    def __init__(self, step: int, batch: Batch, losses: Tensor) -> None:
        super().__init__(f"the loss is not finite at step {step}", name="non-finite-loss")
        self.step = step
        self.batch = batch
        self.rows = [row for row, loss in enumerate(losses.tolist()) if not math.isfinite(loss)]
