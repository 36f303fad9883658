"""What can only be decided with the network at hand: the rate by a sweep, pieces by memory."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Collection, Iterator
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from saccade.data.batches import Batches
from saccade.errors import SaccadeError
from saccade.protocols import Task
from saccade.recipe import Recipe
from saccade.tasks import table
from saccade.training.device import Hardware
from saccade.training.finder import suggest, sweep
from saccade.training.memory import bytes_per_example, free_memory, parts_that_fit
from saccade.training.processes import ALONE, Processes
from saccade.types import Batch

COPIES = 4
"""Of the weights that gradient, optimiser and average keep, at most."""


def settle(
    recipe: Recipe,
    model: nn.Module,
    task: Task,
    train: Batches,
    *,
    hardware: Hardware,
    make: Callable[[Recipe, nn.Module], Optimizer],
    frozen: Collection[str] = (),
    processes: Processes = ALONE,
) -> tuple[Recipe, list[str]]:
    """The recipe with its last open values, and what was decided, for the user.

    make: the optimiser of a network as a recipe has it;  frozen: parameters that never learn.
    """
    check_fits_task(recipe)
    _check_norms(recipe, model, task, train, hardware, frozen)
    told: list[str] = []
    if recipe.train.accumulate is None:
        # free memory is not the same everywhere, and what follows must be
        count = processes.told(_pieces(recipe, model, task, train, hardware, frozen))
        recipe = _changed(recipe, "train", accumulate=count)
        if count > 1:
            told.append(
                f"memory: each batch of {recipe.train.batch} passes in {count} pieces, one update "
                f"for all of them{_norm_warning(model)}"
            )
            _check_norms(recipe, model, task, train, hardware, frozen)
    if recipe.optimizer.lr0 == "auto":
        swept = sweep(
            model,
            task,
            _endless(train),
            lambda trial: make(recipe, trial),
            pieces=recipe.train.accumulate or 1,
            hardware=hardware,
            seed=recipe.train.seed,
        )
        # three digits, so that args.yaml holds exactly what was used
        rate = float(f"{suggest(swept.rates, swept.losses):.2e}")
        recipe = _changed(recipe, "optimizer", lr0=rate)
        told.append(f"learning rate {rate:g}: where the loss falls fastest in a sweep of rates")
    return recipe, told


def check_fits_task(recipe: Recipe) -> None:
    """Raises SaccadeError where mixtures or views are asked for that the task cannot take."""
    if recipe.train.views != "plain" and not table.accepts(recipe.task or "", "views"):
        raise SaccadeError(
            f"train.views: the task {recipe.task} answers from one view; tasks with several: "
            f"{', '.join(name for name in table.TASKS if table.accepts(name, 'views'))}.",
            name="bad-setting",
        )
    wanted = [name for name in ("mixup", "cutmix") if getattr(recipe.augment, name)]
    if wanted and recipe.task not in table.MIXES:
        raise SaccadeError(
            f"augment.{wanted[0]}: the task {recipe.task} cannot learn from mixed pictures; tasks "
            f"that can: {', '.join(table.MIXES)}.",
            name="bad-setting",
        )


def _pieces(
    recipe: Recipe,
    model: nn.Module,
    task: Task,
    train: Batches,
    hardware: Hardware,
    frozen: Collection[str],
) -> int:
    batch = next(train.epoch(0))
    weights = sum(each.numel() * each.element_size() for each in model.parameters())
    free = free_memory(hardware.device)
    return parts_that_fit(
        recipe.train.batch or len(batch),
        bytes_per_example(model, task, batch, hardware, frozen=frozen),
        COPIES * weights,
        free,
    )


def _check_norms(
    recipe: Recipe,
    model: nn.Module,
    task: Task,
    train: Batches,
    hardware: Hardware,
    frozen: Collection[str],
) -> None:
    """Batch norm over maps of one place cannot learn from one example at a time."""
    pieces = recipe.train.accumulate or 1
    if train.smallest // pieces > 1 or not _norm_warning(model):
        return
    one = next(train.epoch(0)).part(0, 1)
    trial = copy.deepcopy(model).train()
    for name, module in trial.named_modules():
        if module._parameters and all(f"{name}.{each}" in frozen for each in module._parameters):
            module.eval()  # its statistics stand still
    try:
        with hardware.autocast(), torch.no_grad(), torch.random.fork_rng(devices=[]):
            task.loss(trial, one)
    except ValueError as error:
        raise SaccadeError(
            "train.batch: batch norm cannot learn from a single example here, and some batches or "
            f"their pieces hold one (batch {recipe.train.batch}, pieces {pieces}). Take "
            "--set model.norm=group, or a batch that does not leave one over.",
            name="batch-of-one",
        ) from error


def _norm_warning(model: nn.Module) -> str:
    norms = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())
    return " (batch norm sees a piece at a time; model.norm=group sees none of it)" if norms else ""


def _endless(train: Batches) -> Iterator[Batch]:
    for epoch in itertools.count():
        yield from train.epoch(epoch)


def _changed(recipe: Recipe, section: str, **values: Any) -> Recipe:
    part = getattr(recipe, section).model_copy(update=values)
    return recipe.model_copy(update={section: part})
