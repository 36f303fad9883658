"""Where a training stands: everything that changes while it runs, saved and taken up again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from saccade.training.checkpoint import load_checkpoint, save_checkpoint
from saccade.training.optim import load_optimizer_tensors, optimizer_tensors, parameter_names


@dataclass
class Progress:
    """What a resumed training needs besides weights and the optimiser's memory.

    epoch       epochs done;  step: updates done in the one under way
    rows        lines of results.csv
    best        best dev score, larger is better, and the dev loss that came with it
    best_epoch  when, from 1
    losses      (examples,) each training example's loss before its update, this epoch;
                NaN = not yet
    dynamics    the same for each epoch done
    health      a table of `training.health` for the start and for each epoch done
    updates     its column `update_ratio` of the epoch whose last update is done; else empty
    """

    losses: Tensor
    epoch: int = 0
    step: int = 0
    rows: list[dict[str, float]] = field(default_factory=list)
    best: tuple[float, float] = (-math.inf, math.inf)
    best_epoch: int = 0
    dynamics: list[Tensor] = field(default_factory=list)
    health: list[Tensor] = field(default_factory=list)
    updates: list[float] = field(default_factory=list)

    def end_epoch(self, row: Mapping[str, float]) -> None:
        """Count the epoch, keep its line and losses, and begin the next."""
        self.epoch, self.step, self.updates = self.epoch + 1, 0, []
        self.rows.append({"epoch": self.epoch, **row})
        self.dynamics.append(self.losses)
        self.losses = torch.full_like(self.losses, math.nan)

    def is_best(self, score: float, loss: float) -> bool:
        """True, and remembered, where no epoch scored better; equal scores go by the dev loss.

        An undefined score (NaN) is worse than any other.
        """
        score = score if math.isfinite(score) else -math.inf
        if score < self.best[0] or (score == self.best[0] and not loss < self.best[1]):
            return False
        self.best, self.best_epoch = (score, loss), self.epoch
        return True


def save_progress(
    folder: Path,
    progress: Progress,
    model: nn.Module,
    optimizer: Optimizer,
    conditions: Mapping[str, Any],
    average: nn.Module | None = None,
) -> None:
    """One more generation under `folder`. conditions: what equal bits depend on."""
    dynamics = {f"epoch_{number}": each for number, each in enumerate(progress.dynamics, 1)}
    save_checkpoint(
        folder,
        {
            "model": model.state_dict(),
            "optimizer": optimizer_tensors(optimizer, parameter_names(model, optimizer)),
            "progress": {"losses": progress.losses, **dynamics},
            "average": {} if average is None else average.state_dict(),
            "health": {str(number): each for number, each in enumerate(progress.health, 1)},
        },
        {
            "epoch": progress.epoch,
            "step": progress.step,
            "rows": progress.rows,
            "best": progress.best,
            "best_epoch": progress.best_epoch,
            "updates": progress.updates,
            "conditions": dict(conditions),
        },
    )


def load_progress(
    folder: Path,
    model: nn.Module,
    optimizer: Optimizer,
    conditions: Mapping[str, Any],
    average: nn.Module | None = None,
) -> tuple[Progress, list[str]] | None:
    """Fill model, optimiser and average from the newest intact generation.

    None where there is none. The second value tells the user what was passed over or differs from
    the machine that saved it.
    """
    checkpoint = load_checkpoint(folder)
    if checkpoint is None:
        return None
    state = checkpoint.state
    told = list(checkpoint.warnings)
    for name, now in conditions.items():
        then = state["conditions"].get(name)
        if then != now:
            told.append(f"{name} was {then} and is {now}: training goes on, but not bit for bit.")
    model.load_state_dict(checkpoint.tensors["model"])
    load_optimizer_tensors(
        optimizer, parameter_names(model, optimizer), dict(checkpoint.tensors.get("optimizer", {}))
    )
    if average is not None:
        average.load_state_dict(checkpoint.tensors["average"])
    saved = checkpoint.tensors["progress"]
    health = checkpoint.tensors.get("health", {})
    return Progress(
        losses=saved["losses"],
        epoch=state["epoch"],
        step=state["step"],
        rows=state["rows"],
        best=(state["best"][0], state["best"][1]),
        best_epoch=state["best_epoch"],
        dynamics=[saved[f"epoch_{number}"] for number in range(1, state["epoch"] + 1)],
        health=[health[str(number)] for number in range(1, len(health) + 1)],
        updates=state.get("updates", []),
    ), told
