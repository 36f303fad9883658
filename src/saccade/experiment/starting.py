"""How a training begins when it does not begin at random: weights, and the plan of what learns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from safetensors.torch import save
from torch import Tensor, nn

from saccade import pretrained
from saccade.errors import SaccadeError
from saccade.experiment.defaults import Brought
from saccade.experiment.prepare import Prepared, make_batches
from saccade.files import write_atomic
from saccade.fitting import fill
from saccade.models import catalog, weights
from saccade.models.autoencoder import Autoencoder
from saccade.pretrained import Start
from saccade.protocols import Backbone
from saccade.recipe import Recipe
from saccade.tensor_files import read_tensors
from saccade.training.device import Hardware
from saccade.training.pretrain import restore
from saccade.training.run import RunFolder
from saccade.training.transfer import Plan, everything, make_plan, stages
from saccade.types import OWN

FEW = 5000
"""Training pictures below which weights from elsewhere nearly always help."""

PRETRAIN_BATCH = 128

Progress = Callable[[str, int, int], None]


def named(recipe: Recipe, run: RunFolder, progress: Progress) -> Start | None:
    """The weights that the recipe names; None where it names none, or a saved state has them."""
    given = recipe.model.weights
    if given in (None, "none") or any(run.last.glob("[0-9]*")):
        return None
    return pretrained.resolve(str(given), network_of(recipe), progress)


def network_of(recipe: Recipe) -> str | None:
    """The network that weights are of: the backbone, where the model stands on one."""
    name = recipe.model.name
    if name in catalog.DETECTORS:
        return recipe.model.backbone
    if name is None or name == OWN or "backbone" not in catalog.options(name):
        return name
    return recipe.model.backbone or catalog.BACKBONE


def offered(
    recipe: Recipe, *, examples: int, photos: bool, say: Callable[[str], None]
) -> Start | None:
    """Published weights that lie in the cache, for little data; one line tells where they do not.

    Nothing is offered to whoever says --weights none, or has a network without published weights.
    """
    name = network_of(recipe) or ("resnet18" if photos else "")
    if recipe.model.weights is not None or not photos or examples >= FEW:
        return None
    if not weights.has_published(name):
        return None
    published = weights.find("imagenet", name)
    assert published is not None
    file = weights.cached(published)
    if file is None:
        say(
            f"{examples} pictures are few for a start at random: --weights imagenet starts from "
            f"published weights of {name} (a download of {published.megabytes:g} MB, asked for by "
            "that key)."
        )
        return None
    say(f"{examples} pictures are few, so cached ImageNet weights are used (--weights none: not).")
    return pretrained.from_published(published, file)


def with_start(recipe: Recipe, start: Start) -> Recipe:
    """The recipe with what the weights bring: network, its arguments, and a run's preparation."""
    values = recipe.as_dict()
    slot = "backbone" if recipe.model.name in catalog.DETECTORS else "name"
    brought: dict[str, dict[str, Any]] = {"model": {slot: start.network}, "data": {}}
    if start.card is not None:
        picture = start.card.preprocessing
        arguments = start.card.arguments
        keys = ("norm", "act", "stem", "dropout")
        brought["model"] |= {key: arguments[key] for key in keys if key in arguments}
        brought["data"] = {
            "imgsz": (picture.height, picture.width),
            "channels": picture.channels,
            "fit": picture.fit,
        }
        if recipe.data.margin == 1 and values["data"]["fit"] in (None, "crop"):
            values["data"]["margin"] = picture.margin
    elif "stem" in catalog.options(start.network):
        brought["model"]["stem"] = "standard"
    for section, settings in brought.items():
        for key, value in settings.items():
            if values[section][key] is None:
                values[section][key] = value
    if values["model"]["weights"] is None:
        values["model"]["weights"] = "imagenet"
    return Recipe.model_validate(values)


def brought(start: Start, prepared: Prepared, recipe: Recipe) -> Brought:
    """What of `start` the decisions stand on."""
    found = start.normalisation_for(prepared.ingested.channels)
    mean, std = found or (None, None)
    fields = prepared.dataset.fields
    return Brought(mean=mean, std=std, whole=pretrained.same_classes(start.card, fields))


def place(
    model: nn.Module, body: set[nn.Parameter], start: Start, fields: Any, path: str
) -> list[str]:
    """Fill `model` from `start`; what to tell. body: parameters from before the task's head."""
    head = {name for name, each in model.named_parameters() if each not in body}
    keep = pretrained.same_classes(start.card, fields)
    told = fill(
        model, start.tensors, skipped=set() if keep else head, network=start.network, path=path
    )
    if not keep:
        _begin_small(model, head)
    return [*start.told, *told, *(["the run's head is kept: same classes"] if keep else [])]


def _begin_small(model: nn.Module, head: set[str]) -> None:
    """A new head on learnt features begins near zero, as fresh features would be small.

    Large first answers would send large gradients into weights that are good already.
    """
    weights_of_head = [name for name in head if model.get_parameter(name).ndim >= 2]
    if len(weights_of_head) == 1:
        with torch.no_grad():
            model.get_parameter(weights_of_head[0]).normal_(0, 0.01)


def without_labels(
    backbone: Backbone,
    recipe: Recipe,
    prepared: Prepared,
    run: RunFolder,
    *,
    hardware: Hardware,
    progress: Progress,
) -> list[str]:
    """Pre-train `backbone` on the pictures of the training part, if the recipe says so.

    What comes out is kept in the run, so that a resumed training starts from the same numbers.
    """
    if recipe.model.pretrain == "none" or any(run.last.glob("[0-9]*")):
        return []
    if recipe.model.weights not in (None, "none"):
        raise SaccadeError(
            "model.pretrain and --weights exclude each other: both say how the network starts.",
            name="bad-setting",
        )
    assert isinstance(backbone, nn.Module)
    rows = prepared.rows("train")
    file = run.root / "weights" / "pretrained.safetensors"
    told: list[str] = []
    if not file.is_file():
        epochs = recipe.model.pretrain_epochs or round(max(5, min(50, 100_000 / len(rows))))
        size = min(PRETRAIN_BATCH, len(rows))
        batches = make_batches(prepared, rows, recipe, hardware, train=True, size=size)
        autoencoder = Autoencoder(backbone, in_channels=recipe.data.channels or 3)
        errors = restore(
            hardware.place(autoencoder),
            batches,
            epochs=epochs,
            hardware=hardware,
            seed=recipe.train.seed,
            progress=lambda done, total: progress("learning without labels", done, total),
        )
        if run.writes:
            write_atomic(file, save({key: each.cpu() for key, each in _contiguous(backbone)}))
        told = [
            f"pre-training: an autoencoder saw {len(rows)} pictures without labels for {epochs} "
            f"epochs; its square error fell from {errors[0]:.3f} to {errors[-1]:.3f}"
        ]
    else:
        backbone.load_state_dict(read_tensors(file).tensors)
    # the same numbers are drawn next, whether the encoder was trained now or read from the run
    torch.manual_seed(recipe.train.seed)
    return told


def _contiguous(module: nn.Module) -> list[tuple[str, Tensor]]:
    return [(name, each.contiguous()) for name, each in module.state_dict().items()]


def plan(recipe: Recipe, model: nn.Module, backbone: Backbone, body: set[nn.Parameter]) -> Plan:
    """What learns when, from a completed recipe."""
    settings = recipe.model
    at_once = settings.stage_decay == 1 and not settings.unfreeze_every
    if settings.freeze == "none" and not settings.head_epochs and at_once:
        return everything(model)
    if not isinstance(backbone, Backbone):
        raise SaccadeError(
            f"--freeze {settings.freeze}: {settings.name} has no stages to freeze; leave --freeze, "
            "model.head_epochs, model.stage_decay and model.unfreeze_every out, or take --model "
            "unet with a --backbone.",
            name="bad-setting",
        )
    height, width = recipe.data.imgsz  # type: ignore[misc]
    return make_plan(
        model,
        stages(cast(nn.Module, backbone), (recipe.data.channels or 3, height, width)),
        head=[name for name, each in model.named_parameters() if each not in body],
        freeze=str(settings.freeze),
        head_epochs=settings.head_epochs or 0,
        unfreeze_every=settings.unfreeze_every,
        decay=settings.stage_decay or 1.0,
    )


def plan_sentences(recipe: Recipe, plan: Plan, *, examples: int) -> list[str]:
    """The plan and its reason, for the user; nothing where all learns from the first step."""
    settings = recipe.model
    if settings.freeze == "none" and not settings.head_epochs and settings.stage_decay == 1:
        return []
    told = plan.sentences(recipe.train.epochs or 0)
    reason = f"{examples} training examples"
    if plan.frozen:
        reason += ": the fewer, the more of the network is kept"
    return [
        f"plan: {'; '.join(told)}",
        f"because: {reason} (--freeze, model.head_epochs, model.stage_decay)",
    ]
