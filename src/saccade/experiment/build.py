"""The network of a training, with the card that rebuilds it and the plan of what learns."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

from torch import nn

from saccade.experiment import starting
from saccade.experiment.prepare import Prepared, make_batches
from saccade.models import catalog
from saccade.pretrained import Start
from saccade.protocols import FromExamples, Task, Whitens
from saccade.recipe import Recipe
from saccade.tap import drop_after
from saccade.tasks.own import as_backbone
from saccade.training.device import Hardware
from saccade.training.run import RunFolder, environment
from saccade.training.transfer import Plan
from saccade.types import OWN, ModelCard, Preprocessing

WHITENED = 2000
"""Pictures whose patches set a whitening first layer."""

BUILT_WITH = {
    *("norm", "act", "init", "dropout", "stem", "stochastic_depth"),
    *("backbone", "upsampling", "width", "anchors", "scales", "rule"),
}
"""Settings of the model that its builder takes."""


class Built(NamedTuple):
    """The network with the task's head, its card, and how it will learn. told: for the user."""

    model: nn.Module
    card: ModelCard
    plan: Plan
    told: tuple[str, ...]


def build(
    recipe: Recipe,
    prepared: Prepared,
    task: Task,
    run: RunFolder,
    *,
    module: nn.Module | None,
    start: Start | None,
    hardware: Hardware,
    progress: starting.Progress,
) -> Built:
    """The network of a completed recipe, or the user's own `module`, ready to learn.

    It begins from `start` where there is one, else from what it takes from the training pictures.
    """
    rows = prepared.rows("train")
    seen = prepared.used(recipe)[:WHITENED]

    def plain(size: int | None = None) -> Any:
        return make_batches(prepared, seen, recipe, hardware, train=False, size=size).epoch(0)

    arguments = {} if module is not None else _arguments(recipe)
    backbone: Any
    if module is not None:
        backbone = as_backbone(module)
    else:
        backbone = catalog.network(recipe.model.name or "", **arguments)
        if isinstance(backbone, Whitens) and start is None:
            backbone.whiten(next(plain(WHITENED)).inputs.cpu())
    # what stands on a backbone is as new as a head
    below: Any = getattr(backbone, "backbone", backbone)
    told = starting.without_labels(
        below, recipe, prepared, run, hardware=hardware, progress=progress
    )
    body = set(below.parameters())
    model = task.build(backbone)
    if isinstance(task, FromExamples):
        told += task.begin(model, plain())
    if start is not None:
        told += starting.place(model, body, start, task.fields, recipe.model.weights or "")
    plan = starting.plan(recipe, model, below, body)
    told += starting.plan_sentences(recipe, plan, examples=len(rows))
    plan.begin(model, 0)
    drop_after(model, recipe.model.dropout_behind)
    name = OWN if module is not None else recipe.model.name or ""
    card = _card(recipe, prepared, task, model=name, arguments=arguments)
    return Built(model, _with_origin(card, run, start), plan, tuple(told))


def _arguments(recipe: Recipe) -> dict[str, Any]:
    """What the catalogue builds the network with."""
    wanted = {
        "in_channels": recipe.data.channels or 3,
        **recipe.model.model_dump(include=BUILT_WITH),
    }
    return {key: value for key, value in wanted.items() if value is not None}


def _card(
    recipe: Recipe, prepared: Prepared, task: Task, *, model: str, arguments: dict[str, Any]
) -> ModelCard:
    height, width = recipe.data.imgsz or (0, 0)
    return ModelCard(
        task=task.name,
        fields=task.fields,
        model=model,
        arguments=arguments,
        preprocessing=Preprocessing(
            height=height,
            width=width,
            channels=recipe.data.channels or 3,
            fit=recipe.data.fit or "crop",
            margin=recipe.data.margin,
            mean=recipe.data.mean or (),
            std=recipe.data.std or (),
            background=recipe.data.background,
            max_pixels=recipe.data.max_pixels,
        ),
        task_arguments=task.arguments(),
        data={
            "name": prepared.dataset.name,
            "examples": len(prepared.rows("train")),
            "digest": prepared.manifest["digest"],
            **_scale(prepared),
        },
        versions={key: environment()[key] for key in ("saccade", "torch", "python")},
    )


def _scale(prepared: Prepared) -> dict[str, float]:
    """How much smaller pictures with masks were made, where that was the same for all; and how
    large pictures with boxes usually are.

    Then a larger picture can be seen at the same scale, tile by tile, and not as a smaller one.
    """
    kinds = {field.kind for field in prepared.dataset.fields}
    if "boxes" in kinds:
        return {"side": int(prepared.ingested.geometry.size.amax(1).median())}
    if "mask" not in kinds:
        return {}
    scales = prepared.ingested.geometry.matrix[:, [0, 1], [0, 1]]
    alike = float(scales.max()) - float(scales.min()) < 0.01 * float(scales.max())
    return {"scale": round(float(scales.median()), 6)} if alike else {}


def _with_origin(card: ModelCard, run: RunFolder, start: Start | None) -> ModelCard:
    """The card with source and licence of the weights a run started from, also when it goes on."""
    if start is not None:
        return replace(card, source=start.source, licence=start.licence)
    begun = run.data.is_file()
    origin = run.read_args().get("run", {}).get("weights", {}) if begun else {}
    return replace(card, source=origin.get("source", ""), licence=origin.get("licence", ""))
