"""Which weights learn when, and how fast: freezing, unfreezing by stages, rates that differ.

A plan is a function of the epoch alone, so that a resumed training needs nothing saved for it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from saccade.errors import SaccadeError
from saccade.protocols import Backbone


@dataclass(frozen=True, kw_only=True)
class Plan:
    """When each parameter learns.

    stages          parameter name -> 0 for the first stage ... `depth` for the new head
    frozen          names that never learn
    head_epochs     first epochs, in which the head alone learns
    unfreeze_every  epochs after which one more stage learns, last ones first; 0 = all at once
    decay           factor of the rate from each stage to the one before it
    """

    stages: Mapping[str, int]
    depth: int
    frozen: frozenset[str] = frozenset()
    head_epochs: int = 0
    unfreeze_every: int = 0
    decay: float = 1.0

    def learns(self, name: str, epoch: int) -> bool:
        """Whether the parameter learns in that epoch, from 0."""
        stage = self.stages[name]
        if name in self.frozen:
            return False
        if stage == self.depth:
            return True
        if epoch < self.head_epochs:
            return False
        if not self.unfreeze_every:
            return True
        return stage >= self.depth - 1 - (epoch - self.head_epochs) // self.unfreeze_every

    def scale(self, name: str) -> float:
        """Factor of the parameter's learning rate: 1 for the head, less for earlier stages."""
        return self.decay ** (self.depth - self.stages[name])

    def begin(self, model: nn.Module, epoch: int) -> list[nn.Module]:
        """Open and close parameters for an epoch; the modules that must stay in eval mode.

        Those are the ones of which nothing learns, so that their batch statistics stand still too.
        """
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(self.learns(name, epoch))
        return [module for module in model.modules() if _stands_still(module)]

    def sentences(self, epochs: int) -> list[str]:
        """What learns when, for the user."""
        count, names = self.depth, len(self.frozen)
        whole = sum(self.stages[name] < count and name not in self.frozen for name in self.stages)
        told = []
        if names:
            told.append(f"{names} of {len(self.stages)} tensors never learn (frozen)")
        if self.head_epochs and whole:
            told.append(f"epochs 1 to {min(self.head_epochs, epochs)}: the new head alone")
        if self.unfreeze_every and whole:
            told.append(f"then one stage more every {self.unfreeze_every} epochs, last ones first")
        elif self.head_epochs and whole:
            told.append(f"epochs {self.head_epochs + 1} to {epochs}: all that is not frozen")
        if self.decay != 1 and whole:
            least = min(self.scale(name) for name in self.stages if name not in self.frozen)
            told.append(f"rates from 1 (head) down to {least:.2g} (first stage that learns)")
        return told


def everything(model: nn.Module) -> Plan:
    """The plan of a training from scratch: all that can learn, always, at one rate."""
    names = {name: 0 for name, _ in model.named_parameters()}
    closed = frozenset(name for name, each in model.named_parameters() if not each.requires_grad)
    return Plan(stages=names, depth=0, frozen=closed)


def make_plan(
    model: nn.Module,
    stage_of: Mapping[nn.Parameter, int],
    *,
    head: Iterable[str],
    freeze: str,
    head_epochs: int,
    unfreeze_every: int,
    decay: float,
) -> Plan:
    """The plan for `model`, whose body's parameters have the stages `stage_of`.

    head    names of the parameters that are new
    freeze  "none", "all" (but the head), a number of first stages, or beginnings of layer names

    Raises SaccadeError for a stage or layer that is not there, or where nothing is left to learn.
    """
    named = dict(model.named_parameters())
    last = max(stage_of.values(), default=-1) + 1
    new = set(head)
    found = {
        name: last + 1 if name in new else stage_of.get(each, last) for name, each in named.items()
    }
    ranks = {stage: rank for rank, stage in enumerate(sorted(set(found.values()) - {last + 1}))}
    stages = {name: ranks.get(stage, len(ranks)) for name, stage in found.items()}
    frozen = {name for name, each in named.items() if not each.requires_grad}
    frozen |= _frozen(freeze, stages, len(ranks))
    if len(frozen) == len(named):
        raise SaccadeError(f"--freeze {freeze}: nothing is left to learn.", name="all-frozen")
    return Plan(
        stages=stages,
        depth=len(ranks),
        frozen=frozenset(frozen),
        head_epochs=head_epochs,
        unfreeze_every=unfreeze_every,
        decay=decay,
    )


def stages(backbone: nn.Module, shape: Sequence[int]) -> dict[nn.Parameter, int]:
    """Each parameter of the body -> the first of `Backbone.maps` that depends on it.

    shape: (C, *space) of a picture. Costs no arithmetic: only the graph is built.
    """
    twin = copy.deepcopy(backbone).to("meta").eval()
    parameters = list(twin.parameters())
    for parameter in parameters:
        parameter.requires_grad_(True)
    assert isinstance(twin, Backbone)
    found: dict[int, int] = {}
    for stage, each in enumerate(twin.maps(torch.zeros(1, *shape, device="meta"))):
        gradients = torch.autograd.grad(
            each.sum(), parameters, allow_unused=True, retain_graph=True
        )
        for place, gradient in enumerate(gradients):
            if gradient is not None:
                found.setdefault(place, stage)
    originals = list(backbone.parameters())
    return {originals[place]: stage for place, stage in found.items()}


def _frozen(freeze: str, stages: Mapping[str, int], depth: int) -> set[str]:
    if freeze == "none":
        return set()
    if freeze == "all" or freeze.isdigit():
        count = depth if freeze == "all" else int(freeze)
        if count > depth:
            raise SaccadeError(
                f"--freeze {freeze}: this network has {depth} stages before its head.",
                name="unknown-stage",
            )
        return {name for name, stage in stages.items() if stage < count}
    frozen: set[str] = set()
    for layer in freeze.split(","):
        prefix = layer.strip()
        inside = {name for name in stages if name == prefix or name.startswith(f"{prefix}.")}
        if not inside:
            first = dict.fromkeys(name.partition(".")[0] for name in stages)
            raise SaccadeError(
                f"--freeze {prefix}: no layer of that name; expected all, none, a number of first "
                f"stages (1 to {depth}), or a layer such as {', '.join(first)}.",
                name="unknown-layer",
            )
        frozen |= inside
    return frozen


def _stands_still(module: nn.Module) -> bool:
    parameters = list(module.parameters())
    return bool(parameters) and not any(each.requires_grad for each in parameters)
