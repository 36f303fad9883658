"""The parts of one training, put together: data, recipe, network, task, optimiser, batches."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from saccade.data.batches import Batches
from saccade.data.dataset import Dataset
from saccade.errors import SaccadeError
from saccade.experiment import starting
from saccade.experiment.build import build
from saccade.experiment.defaults import Facts, complete, with_detector
from saccade.experiment.prepare import Prepared, Reporter, labels_of, make_batches, prepare_data
from saccade.experiment.settle import settle
from saccade.models import catalog
from saccade.pretrained import Start
from saccade.protocols import Task
from saccade.recipe import Recipe
from saccade.tasks import table
from saccade.training.average import start_average
from saccade.training.device import Hardware, choose
from saccade.training.health import probe_size
from saccade.training.optim import make_optimizer
from saccade.training.processes import ALONE, Processes, synchronised
from saccade.training.processes import sentences as processes_sentences
from saccade.training.run import RunFolder, environment
from saccade.training.transfer import Plan
from saccade.types import OWN, Batch, ModelCard

CLOSING = 5000
"""Training examples scored without augmentation in the end, at most."""
CLEAN_SHARE, FEWEST_CLEAN = 8, 100
"""One of so many, and at least so many, are scored after every epoch: 4 % of an epoch's time."""


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One training, ready to go.

    clean  a fixed part of the training rows, not augmented, scored after every epoch
    closing  a larger one, scored in the end
    plan   what learns when;  told: how it starts, for the user
    average  of the weights, which is judged and kept in the model's place; None = the model itself
    probe  a few training examples on which layers are measured; None = they are not
    bridge  the train-dev part; None = there is none
    """

    recipe: Recipe
    run: RunFolder
    hardware: Hardware
    prepared: Prepared
    model: nn.Module
    task: Task
    card: ModelCard
    optimizer: Optimizer
    plan: Plan
    told: tuple[str, ...]
    train: Batches
    clean: Batches
    closing: Batches
    dev: Batches
    reporter: Reporter
    average: nn.Module | None = None
    probe: Batch | None = None
    bridge: Batches | None = None
    processes: Processes = ALONE

    @property
    def judged(self) -> nn.Module:
        """The network that is scored and kept."""
        return self.model if self.average is None else self.average

    @property
    def epochs(self) -> int:
        return self.recipe.train.epochs or 0

    @property
    def conditions(self) -> dict[str, Any]:
        """What equal bits depend on."""
        versions = environment()
        return {name: versions[name] for name in ("python", "torch", "machine")} | {
            "device": self.hardware.name,
            "precision": self.hardware.precision,
            "threads": self.hardware.threads,
            "processes": self.processes.count,
        }

    def say(self, line: str) -> None:
        """To the log and to the user."""
        self.run.say(line)
        self.reporter.say(line)

    def warn(self, line: str) -> None:
        """To the log and to the user, who reads it whatever else is left out."""
        self.run.say(line)
        (self.reporter.warn or self.reporter.say)(line)


def assemble(
    dataset: Dataset,
    recipe: Recipe,
    run: RunFolder,
    *,
    reporter: Reporter,
    module: nn.Module | None = None,
    processes: Processes = ALONE,
) -> Experiment:
    """Read the data, decide what the recipe leaves open, build everything.

    A run that has begun keeps its split. module: the user's own network. processes: others that
    assemble the same.
    """
    hardware = _hardware(recipe, processes)
    decided = _decide(dataset, recipe, run, hardware, reporter, own=module is not None)
    recipe, prepared, rows = decided.recipe, decided.prepared, decided.rows
    hardware = replace(hardware, threads=recipe.train.threads or hardware.threads)
    torch.manual_seed(recipe.train.seed)
    # with what it takes from the training targets (means, counts)
    task = _task(recipe, prepared.dataset, decided.task).fit(prepared.targets_of(rows))
    train = make_batches(prepared, rows, recipe, hardware, train=True)
    built = build(
        recipe,
        prepared,
        task,
        run,
        module=module,
        start=decided.start,
        hardware=hardware,
        progress=reporter.progress,
    )
    model = hardware.place(synchronised(built.model, hardware.device, processes))
    recipe, settled = settle(
        recipe,
        model,
        task,
        train,
        hardware=hardware,
        make=partial(_optimizer, plan=built.plan),
        frozen=built.plan.frozen,
        processes=processes,
    )
    recipe = Recipe.model_validate(processes.told(recipe.as_dict()))
    told = processes_sentences(model, recipe.train.batch or 1, train.smallest, processes)
    dev = prepared.rows("dev")
    if not len(dev):
        raise SaccadeError(
            f"{prepared.dataset.name}: no picture is in the dev part, on which the best epoch is "
            "chosen and the result judged. Give it a share (--set data.dev=0.2) or name it in the "
            "data.",
            name="no-dev",
        )
    clean = _some(rows, recipe, min(len(dev), max(FEWEST_CLEAN, len(rows) // CLEAN_SHARE)))

    def plain(chosen: Tensor) -> Batches:
        batches = make_batches(prepared, chosen, recipe, hardware, train=False)
        return batches.turn_of(processes.rank, processes.count)

    return Experiment(
        recipe=recipe,
        run=run,
        hardware=hardware,
        prepared=prepared,
        model=model,
        task=task,
        card=built.card,
        optimizer=_optimizer(recipe, model, plan=built.plan),
        plan=built.plan,
        told=(*built.told, *settled, *told),
        train=train.part_of(processes.rank, processes.count),
        clean=plain(clean),
        closing=plain(_some(rows, recipe, CLOSING)),
        dev=plain(dev),
        reporter=reporter,
        average=start_average(model) if recipe.optimizer.ema else None,
        bridge=plain(prepared.rows("train-dev")) if (prepared.part == "train-dev").any() else None,
        probe=_probe(prepared, _some(rows, recipe, probe_size(len(rows))), recipe, hardware),
        processes=processes,
    )


class Decided(NamedTuple):
    """What is known before a network is built. rows: of the training; recipe: nothing left open."""

    task: str
    recipe: Recipe
    prepared: Prepared
    rows: Tensor
    start: Start | None


def _decide(
    dataset: Dataset,
    recipe: Recipe,
    run: RunFolder,
    hardware: Hardware,
    reporter: Reporter,
    *,
    own: bool,
) -> Decided:
    """Read the data and complete the recipe by them. own: the network is the user's."""
    begun = run.data.is_file()
    name = recipe.task or dataset.tasks[0]
    recipe = with_detector(recipe, name)
    start = None if own else starting.named(recipe, run, reporter.progress)
    if start is not None:
        recipe = starting.with_start(recipe, start)
    prepared = prepare_data(
        dataset,
        recipe,
        reporter=reporter,
        minimum_side=_minimum_side(recipe),
        manifest=run.read_json(run.data) if begun else None,
        labels=labels_of(run, recipe),
    )
    rows = prepared.used(recipe)
    facts = replace(
        _facts(prepared, rows, hardware, name),
        mirrors=table.mirrors(_task(recipe, prepared.dataset, name)),
    )
    if not (begun or own) and recipe.model.weights is None:
        start = starting.offered(recipe, examples=len(rows), photos=facts.photos, say=reporter.say)
        recipe = recipe if start is None else starting.with_start(recipe, start)
    if start is not None:
        facts = replace(facts, start=starting.brought(start, prepared, recipe))
    return Decided(name, complete(recipe, facts), prepared, rows, start)


def _hardware(recipe: Recipe, processes: Processes) -> Hardware:
    hardware = choose(processes.device(recipe.train.device), recipe.train.precision)
    threads = max(1, hardware.threads // processes.local[1])
    hardware = replace(hardware, threads=threads)
    if recipe.train.channels_last is None:
        return hardware
    return replace(hardware, channels_last=recipe.train.channels_last)


def _minimum_side(recipe: Recipe) -> int:
    """The smallest input the chosen network takes; ours for small pictures take any."""
    if recipe.model.name in (None, OWN):
        return 1
    with torch.device("meta"):
        side: int = catalog.network(
            recipe.model.name or "", backbone=recipe.model.backbone
        ).minimum_size
        return side


def _facts(prepared: Prepared, rows: Tensor, hardware: Hardware, task: str) -> Facts:
    ingested = prepared.ingested
    mean, std = prepared.statistics(rows)
    return Facts(
        task=task,
        examples=len(rows),
        height=ingested.height,
        width=ingested.width,
        channels=ingested.channels,
        fit=ingested.fit,
        mean=mean,
        std=std,
        hardware=hardware,
        mask_classes=sum(
            len(field.classes) for field in prepared.dataset.fields if field.kind == "mask"
        ),
    )


def _task(recipe: Recipe, dataset: Dataset, name: str) -> Task:
    """The task as the recipe has it. Raises SaccadeError for a setting that it does not know."""
    wanted = {
        "label_smoothing": recipe.loss.label_smoothing,
        "binary": recipe.loss.binary,
        "loss_name": recipe.loss.name,
        "box_weight": recipe.loss.box_weight,
        "pairs": recipe.loss.pairs,
        "normalise_by": recipe.loss.normalise_by,
        "gaps": recipe.loss.gaps,
        "gap_width": recipe.loss.gap_width,
    }
    if [field.kind for field in dataset.fields].count("label") != 1:
        # classes of whole pictures are weighted example by example
        wanted["class_weights"] = recipe.data.class_weights.replace("none", "")
    options = {key: value for key, value in wanted.items() if value}
    for key in set(options) - set(table.options(name)):
        own = {"loss_name": "loss.name", "class_weights": "data.class_weights"}
        setting = own.get(key, f"loss.{key}")
        raise SaccadeError(
            f"{setting}: the task {name} has no such setting; leave it out.", name="bad-setting"
        )
    return table.create(name, dataset.fields, **options)


def _probe(prepared: Prepared, rows: Tensor, recipe: Recipe, hardware: Hardware) -> Batch | None:
    if not recipe.train.health:
        return None
    plain = make_batches(
        prepared, rows, recipe, hardware, train=False, size=len(rows), cropped=True
    )
    return next(plain.epoch(0))


def _optimizer(recipe: Recipe, model: nn.Module, *, plan: Plan) -> Optimizer:
    settings = recipe.optimizer
    flat = set()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name not in plan.frozen)
        if parameter.ndim < 2:
            flat.add(name)
    return make_optimizer(
        settings.name or "",
        model,
        lr=settings.first_rate,
        momentum=settings.momentum or 0.0,
        beta2=settings.beta2,
        weight_decay=settings.weight_decay or 0.0,
        scale=lambda name: plan.scale(name) * (settings.bias_rate if name in flat else 1.0),
    )


def _some(rows: Tensor, recipe: Recipe, count: int) -> Tensor:
    """A fixed part of the training rows, drawn by the seed: a larger one holds every smaller."""
    generator = torch.Generator().manual_seed(recipe.train.seed)
    return rows[torch.randperm(len(rows), generator=generator)[:count]].sort().values
