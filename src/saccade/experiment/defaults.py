"""What is decided for the user, from the data and the machine, and why. No files, no tensors."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, cast

import torch
from torch import nn

from saccade.data.augment import default_augment
from saccade.models import catalog
from saccade.ops.cost import describe, total
from saccade.recipe import Recipe
from saccade.training.device import Hardware
from saccade.training.rates import PER_256, usual_rate
from saccade.training.rules.table import OPTIMISERS

FEW, MANY = 50, 5000
"""Training examples below which nothing of given weights learns but the new head; and from which
their early stages learn nearly as fast as the late ones."""

TUNED = 0.3
"""Of the usual rate: given weights are nearly right."""

WORK = 300_000_000
"""Multiply-adds of one batch's forward pass that are worth a thread."""

SMALL = 64
"""Pictures up to this side count as small: their own network, stem and size."""


DETECTOR = {"detection": "yolo"}
"""Tasks that stand on a detector, and which."""

SEEN = {"detection": 15_000, "landmarks": 20_000}
"""Examples that tasks of places learn from, counted as often as they are seen."""

BY_TASK: dict[str, dict[str, dict[str, Any]]] = {
    "detection": {
        "optimizer": {
            "name": "adamw",
            "lr0": 2e-3,
            "weight_decay": 0.05,
            "schedule": "cosine",
            "warmup": 0.05,
            "ema": 0.998,
        },
        "train": {"patience": 0, "batch": 8},
    }
}
"""What suits a task better than what suits all."""

PROPOSING = {"faster_rcnn": 4e-4, "faster_rcnn_classic": 4e-4}
"""Rate of AdamW where a proposal network learns: one pass found as much as eight at 2e-3."""

VOTING: dict[str, dict[str, Any]] = {
    "optimizer": {
        "name": "adamw",
        "lr0": 2e-3,
        "weight_decay": 0.05,
        "schedule": "cosine",
        "warmup": 0.05,
        "ema": 0.98,
    }
}
"""A voting head begins with equal votes, whose small gradients move SGD too slowly."""

AT_RANDOM = {"localization": VOTING, "landmarks": VOTING}
"""What suits a task where no weights are given and the optimiser is ours to choose."""


@dataclass(frozen=True, kw_only=True)
class Brought:
    """What weights bring. mean, std: that they expect; None = unknown. whole: with their head."""

    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    whole: bool = False


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the decisions stand on. examples: of the training part; height, width of the input;
    mirrors: names of places are known to hold, or how they change, in a mirrored picture;
    mask_classes: of masks, 0 where whole pictures are learnt.
    """

    task: str
    examples: int
    height: int
    width: int
    channels: int
    fit: Literal["crop", "pad", "stretch"]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    hardware: Hardware
    start: Brought | None = None
    mirrors: bool = False
    mask_classes: int = 0

    @property
    def photos(self) -> bool:
        """Whether pictures are larger than the small ones, which have networks of their own."""
        return max(self.height, self.width) > SMALL


def with_detector(recipe: Recipe, task: str) -> Recipe:
    """The recipe with the detector that the task stands on and its backbone, if none is named."""
    name = recipe.model.name or DETECTOR.get(task)
    if name not in catalog.DETECTORS:
        return recipe
    backbone = recipe.model.backbone
    if backbone is None and recipe.model.weights in (None, "none"):
        backbone = catalog.DETECTORS[name].backbone
    chosen = recipe.model.model_copy(update={"name": name, "backbone": backbone})
    return recipe.model_copy(update={"model": chosen})


def complete(recipe: Recipe, facts: Facts) -> Recipe:
    """The recipe with every None decided; what the user set stays."""
    if facts.mask_classes:
        return _filled(recipe, facts, _for_masks(recipe, facts))
    small = max(facts.height, facts.width) <= SMALL
    name = recipe.model.name or _network(small, facts.hardware)
    own = _own(recipe, facts).get("train", {}).get("batch")
    batch = recipe.train.batch or own or _batch(facts.examples, small)
    tuned = facts.start is not None
    epochs = recipe.train.epochs or _epochs(facts, small, recipe.train.effort)
    optimizer = recipe.optimizer.name or ("adamw" if tuned else "sgd")
    decided: dict[str, dict[str, Any]] = {
        "model": {
            "name": name,
            "stem": "small" if small and "stem" in catalog.options(name) else None,
            "weights": "none",
            # sizes in cells can be anything, which only the cell of the centre can reach
            "rule": "centre" if recipe.model.anchors == 0 else None,
            **_transfer(facts, epochs),
        },
        "optimizer": {
            "name": optimizer,
            "lr0": round(_rate(optimizer, name, batch) * (TUNED if tuned else 1), 6),
            "momentum": 0.9,
            "weight_decay": 0.05 if optimizer == "adamw" else 5e-4,
            "schedule": "cosine" if tuned else "linear",
            "warmup": 0.05 if tuned else 0.2,
            "ema": 0.98 if tuned else 0.0,
        },
        "loss": {"label_smoothing": 0.1 if facts.task == "classification" else 0.0},
        "train": {
            "epochs": epochs,
            "batch": min(batch, facts.examples),
            "patience": max(10, epochs // 3),
            "threads": _threads(name, min(batch, facts.examples), facts),
        },
    }
    return _filled(recipe, facts, decided)


def _own(recipe: Recipe, facts: Facts) -> dict[str, dict[str, Any]]:
    """What suits the task and the network better; nothing for an optimiser that the user chose."""
    own = BY_TASK.get(facts.task, {})
    if facts.start is None:
        own = own or AT_RANDOM.get(facts.task, {})
    optimizer = own.get("optimizer", {})
    if recipe.optimizer.name not in (None, optimizer.get("name")):
        return {section: choices for section, choices in own.items() if section != "optimizer"}
    if recipe.model.name in PROPOSING:
        return own | {"optimizer": optimizer | {"lr0": PROPOSING[recipe.model.name]}}
    return own


def _filled(recipe: Recipe, facts: Facts, decided: dict[str, dict[str, Any]]) -> Recipe:
    """The recipe with what was decided, and what data and machine alone decide."""
    augment = default_augment(
        facts.task,
        height=facts.height,
        width=facts.width,
        channels=facts.channels,
        mask_classes=facts.mask_classes,
    )
    decided["data"] = decided.get("data", {}) | {
        "seed": recipe.train.seed,
        "imgsz": (facts.height, facts.width),
        "channels": facts.channels,
        "fit": facts.fit,
        "mean": facts.start.mean if facts.start and facts.start.mean else facts.mean,
        "std": facts.start.std if facts.start and facts.start.std else facts.std,
        "workers": facts.hardware.threads,
    }
    decided["augment"] = asdict(augment) | ({"mirror": 0.5} if facts.mirrors else {})
    decided["train"] |= {
        "device": facts.hardware.device,
        "precision": facts.hardware.precision,
        "channels_last": facts.hardware.channels_last,
    }
    values = recipe.as_dict()
    own = _own(recipe, facts)
    for section, choices in decided.items():
        for key, value in (choices | own.get(section, {})).items():
            if values[section].get(key) is None:
                values[section][key] = value
    values["task"] = facts.task
    return Recipe.model_validate(values)


CROP = 256
"""Side of what training sees at once of pictures with masks: enough surroundings, little memory."""

CROPS = 128
"""Crops of an epoch, at least: a few labelled pictures hold many different ones."""


def _for_masks(recipe: Recipe, facts: Facts) -> dict[str, dict[str, Any]]:
    """Every pixel is an example: few pictures teach much, seen in many crops."""
    tuned = facts.start is not None
    name = recipe.model.name or ("unet_small" if facts.mask_classes == 2 else "unet")
    crop = recipe.data.crop or (min(facts.height, CROP), min(facts.width, CROP))
    views = recipe.data.views or max(1, round(CROPS / facts.examples))
    passes = max(5, min(25, 4000 / (facts.examples * views)))
    epochs = recipe.train.epochs or max(1, round(recipe.train.effort * round(passes)))
    optimizer = recipe.optimizer.name or "adamw"
    batch = min(recipe.train.batch or 4, facts.examples * views)
    return {
        "data": {"crop": crop, "views": views},
        "model": {
            "name": name,
            "weights": "none",
            **(_transfer(facts, epochs) if _has_stages(name) else UNSTAGED),
            # masks are of so many pixels that a few pictures can teach more than a head
            "freeze": "none",
            "norm": _norm_of_few(name, recipe.model.backbone) if facts.start is None else None,
        },
        "optimizer": {
            "name": optimizer,
            "lr0": round(_rate(optimizer, name, batch) * (TUNED if tuned else 2), 6),
            "momentum": 0.9,
            "weight_decay": 0.01 if optimizer == "adamw" else 5e-4,
            "schedule": "cosine",
            "warmup": 0.05,
            "ema": 0.98,
        },
        "loss": {"label_smoothing": 0.0},
        "train": {
            "epochs": epochs,
            "batch": batch,
            "patience": max(10, epochs // 3),
            "threads": facts.hardware.threads,
        },
    }


def _norm_of_few(name: str, backbone: str | None) -> str | None:
    """Group norm in place of batch norm: batches of a few large pictures tell their statistics
    badly, and unlike pictures spoil each other's (Wu and He 2018, arXiv 1803.08494, section 4.2).
    """
    if "norm" not in catalog.options(name):
        return None
    with torch.device("meta"):
        network = catalog.network(name, **({"backbone": backbone} if backbone else {}))
    return "group" if any(isinstance(each, nn.BatchNorm2d) for each in network.modules()) else None


UNSTAGED = {"freeze": "none", "head_epochs": 0, "stage_decay": 1.0}


def _has_stages(name: str) -> bool:
    """Whether the network is a backbone, or stands on one."""
    return name not in catalog.PIXEL_MODELS or "backbone" in catalog.options(name)


def _transfer(facts: Facts, epochs: int) -> dict[str, Any]:
    """What of given weights learns: the less data, the more of them is kept.

    A new head learns alone first, so that its random answers do not spoil what is good already;
    then everything, stage by stage more slowly. With very few examples the head alone learns.
    """
    if facts.start is None:
        return UNSTAGED
    return {
        "freeze": "all" if facts.examples < FEW else "none",
        "head_epochs": 0 if facts.start.whole else max(1, epochs // 5),
        "stage_decay": 0.5 if facts.examples < MANY else 0.8,
    }


def _network(small: bool, hardware: Hardware) -> str:
    """The narrow form on a CPU: three times faster, about half a point less accurate."""
    if not small:
        return "resnet18"
    return "airbench_small" if hardware.device == "cpu" else "airbench"


def _threads(name: str, batch: int, facts: Facts) -> int:
    """As many as have enough to do: a small step is over before a second thread has begun."""
    if name not in catalog.MODELS:
        return facts.hardware.threads
    with torch.device("meta"):
        network = catalog.create(name, in_channels=facts.channels)
    shape = (facts.channels, facts.height, facts.width)
    work = batch * total(describe(cast(nn.Module, network), shape)).multiply_adds
    return max(1, min(facts.hardware.threads, round(work / WORK)))


def _batch(examples: int, small: bool) -> int:
    """At least some fifty updates an epoch, in powers of two; photos fill memory sooner."""
    wanted = max(16, min(256 if small else 64, examples // 32))
    return int(2 ** (wanted.bit_length() - 1))


def _epochs(facts: Facts, small: bool, effort: float) -> int:
    """Enough updates for the amount of data: many passes over little, few over much."""
    if facts.task in SEEN:
        passes = max(10, min(100, SEEN[facts.task] / facts.examples))
    elif facts.start is not None:
        passes = max(5, min(20, 20_000 / facts.examples))
    elif small:
        passes = max(8, min(60, 450_000 / facts.examples))
    else:
        passes = max(8, min(40, 40_000 / facts.examples))
    return max(1, round(effort * round(passes)))


def _rate(optimizer: str, model: str, batch: int) -> float:
    """The usual one; the whitened network of small pictures takes three times SGD's."""
    if optimizer not in OPTIMISERS:
        return 0.1  # whoever makes the optimiser names it
    bold = 3 if model.startswith("airbench") and optimizer in PER_256 else 1
    return round(bold * usual_rate(optimizer, batch), 6)
