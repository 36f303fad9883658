"""The parts of one training, put together: data, recipe, network, task, optimiser, batches."""

from __future__ import annotations

from collections.abc import Callable
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
from saccade.experiment.defaults import Facts, complete, with_detector
from saccade.experiment.prepare import Prepared, Reporter, labels_of, make_batches, prepare_data
from saccade.experiment.settle import settle
from saccade.models import catalog
from saccade.predict import OWN
from saccade.pretrained import Start
from saccade.protocols import Backbone, FromExamples, Task, Whitens
from saccade.recipe import Recipe
from saccade.tap import drop_after
from saccade.tasks import table
from saccade.tasks.own import as_backbone
from saccade.training.average import start_average
from saccade.training.device import Hardware, choose
from saccade.training.health import probe_size
from saccade.training.optim import make_optimizer
from saccade.training.processes import ALONE, Processes, synchronised
from saccade.training.processes import sentences as processes_sentences
from saccade.training.run import RunFolder, environment
from saccade.training.transfer import Plan
from saccade.types import Batch, ModelCard, Preprocessing

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
    begun = run.data.is_file()
    recipe = with_detector(recipe, recipe.task or dataset.tasks[0])
    start = None if module else starting.named(recipe, run, reporter.progress)
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
    name = recipe.task or dataset.tasks[0]
    facts = replace(
        _facts(prepared, rows, hardware, name),
        mirrors=table.mirrors(_task(recipe, prepared.dataset, name)),
    )
    if not begun and module is None and recipe.model.weights is None:
        start = starting.offered(recipe, examples=len(rows), photos=facts.photos, say=reporter.say)
        recipe = recipe if start is None else starting.with_start(recipe, start)
    if start is not None:
        facts = replace(facts, start=starting.brought(start, prepared, recipe))
    recipe = complete(recipe, facts)
    hardware = replace(hardware, threads=recipe.train.threads or hardware.threads)
    torch.manual_seed(recipe.train.seed)
    # with what it takes from the training targets (means, counts)
    task = _task(recipe, prepared.dataset, name).fit(prepared.targets_of(rows))
    train = make_batches(prepared, rows, recipe, hardware, train=True)
    some = partial(make_batches, prepared, rows[:WHITENED], recipe, hardware, train=False)
    unlabelled = partial(
        starting.without_labels,
        recipe=recipe,
        prepared=prepared,
        run=run,
        hardware=hardware,
        progress=reporter.progress,
    )
    built = _network(recipe, prepared, task, some, unlabelled, module=module, start=start)
    model = hardware.place(synchronised(built.model, hardware.device, processes))
    recipe, decided = settle(
        recipe, model, task, train, hardware=hardware, make=partial(_optimizer, plan=built.plan)
    )
    # free memory is not the same everywhere, and what was decided must be
    recipe = Recipe.model_validate(processes.told(recipe.as_dict()))
    told = processes_sentences(model, recipe.train.batch or 1, train.smallest, processes)
    dev = prepared.rows("dev")
    clean = _some(rows, recipe, min(len(dev), max(FEWEST_CLEAN, len(rows) // CLEAN_SHARE)))

    def plain(chosen: Tensor) -> Batches:
        batches = make_batches(prepared, chosen, recipe, hardware, train=False)
        return batches.turn_of(processes.rank, processes.count)

    experiment = Experiment(
        recipe=recipe,
        run=run,
        hardware=hardware,
        prepared=prepared,
        model=model,
        task=task,
        card=_with_origin(built.card, run, begun, start),
        optimizer=_optimizer(recipe, model, plan=built.plan),
        plan=built.plan,
        told=(*built.told, *decided, *told),
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
    return experiment


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
    if any(field.kind == "mask" for field in dataset.fields):
        # of pixels; classes of whole pictures are weighted example by example
        wanted["class_weights"] = recipe.data.class_weights.replace("none", "")
    options = {key: value for key, value in wanted.items() if value}
    for key in set(options) - set(table.options(name)):
        setting = "loss.name" if key == "loss_name" else f"loss.{key}"
        raise SaccadeError(
            f"{setting}: the task {name} has no such setting; leave it out.", name="bad-setting"
        )
    return table.create(name, dataset.fields, **options)


class Built(NamedTuple):
    """The network with the task's head, the card that rebuilds it, and how it will learn."""

    model: nn.Module
    card: ModelCard
    plan: Plan
    told: tuple[str, ...]


def _network(
    recipe: Recipe,
    prepared: Prepared,
    task: Task,
    some: Callable[..., Batches],
    unlabelled: Callable[[Backbone], list[str]],
    *,
    module: nn.Module | None,
    start: Start | None,
) -> Built:
    height, width = recipe.data.imgsz or (0, 0)
    channels = recipe.data.channels or 3
    name = recipe.model.name or ""
    arguments: dict[str, Any] = {}
    if module is None:
        wanted = {
            "in_channels": channels,
            **recipe.model.model_dump(include=BUILT_WITH),
        }
        arguments = {key: value for key, value in wanted.items() if value is not None}
        backbone: Any = catalog.network(name, **arguments)
        if isinstance(backbone, Whitens) and start is None:
            backbone.whiten(next(some(size=WHITENED).epoch(0)).inputs.cpu())
    else:
        name, backbone = OWN, as_backbone(module)
    card = ModelCard(
        task=task.name,
        fields=task.fields,
        model=name,
        arguments=arguments,
        preprocessing=Preprocessing(
            height=height,
            width=width,
            channels=channels,
            fit=recipe.data.fit or "crop",
            margin=recipe.data.margin,
            mean=recipe.data.mean or (),
            std=recipe.data.std or (),
            background=recipe.data.background,
        ),
        task_arguments=task.arguments(),
        data={
            "name": prepared.dataset.name,
            "examples": int((prepared.part == "train").sum()),
            "digest": prepared.manifest["digest"],
            **_scale(prepared),
        },
        versions={key: environment()[key] for key in ("saccade", "torch", "python")},
    )
    # what stands on a backbone is as new as a head
    below: Any = getattr(backbone, "backbone", backbone)
    told = unlabelled(below)
    body = set(below.parameters())
    model = task.build(backbone)
    if isinstance(task, FromExamples):
        told += task.begin(model, some().epoch(0))
    if start is not None:
        told += starting.place(model, body, start, task.fields, recipe.model.weights or "")
    plan = starting.plan(recipe, model, below, body)
    told += starting.plan_sentences(recipe, plan, examples=int((prepared.part == "train").sum()))
    plan.begin(model, 0)
    drop_after(model, recipe.model.dropout_behind)
    return Built(model, card, plan, tuple(told))


def _scale(prepared: Prepared) -> dict[str, float]:
    """How much smaller pictures with masks were made, where that was the same for all.

    Then a larger picture can be seen at the same scale, tile by tile, and not as a smaller one.
    """
    if not any(field.kind == "mask" for field in prepared.dataset.fields):
        return {}
    scales = prepared.ingested.geometry.matrix[:, [0, 1], [0, 1]]
    alike = float(scales.max()) - float(scales.min()) < 0.01 * float(scales.max())
    return {"scale": round(float(scales.median()), 6)} if alike else {}


def _with_origin(card: ModelCard, run: RunFolder, begun: bool, start: Start | None) -> ModelCard:
    """The card with source and licence of the weights a run started from, also when it goes on."""
    if start is not None:
        return replace(card, source=start.source, licence=start.licence)
    origin = run.read_args().get("run", {}).get("weights", {}) if begun else {}
    return replace(card, source=origin.get("source", ""), licence=origin.get("licence", ""))


WHITENED = 2000
"""Pictures whose patches set a whitening first layer."""


BUILT_WITH = {
    *("norm", "act", "init", "dropout", "stem", "stochastic_depth"),
    *("backbone", "upsampling", "width", "anchors", "scales", "rule"),
}
"""Settings of the model that its builder takes."""


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
