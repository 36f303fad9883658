"""A head for places: every position of the maps says where a thing lies, and votes decide.

A position's answer is its own place plus an offset it has learned; a softmax over all positions
weighs the answers (integral regression: Sun et al. 2018, arXiv 1711.08229, with offsets). What is
learned at one place is known at every other, so few pictures are enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from saccade.errors import SaccadeError
from saccade.protocols import Backbone
from saccade.tasks.own import as_backbone

COARSEST = 16
"""Stride of the map that votes, at most; coarser ones are laid on it."""

WIDTH = 128
GROUPS = 8


class Found(NamedTuple):
    """All float32.

    answers    (N, things, 2 + numbers): x, y as shares of the input, then what else was asked
    features   (N, WIDTH)
    log_votes  (N, things, h, w): logarithms of each position's share in the answer
    """

    answers: Tensor
    features: Tensor
    log_votes: Tensor


class VotingHead(nn.Module):
    """Maps of a backbone -> what was found, for every picture.

    channels, strides  of the backbone's maps
    things   places to be found, each with votes of its own
    numbers  of each thing besides its place, averaged by the same votes

    The first two numbers are x, y as shares of the input's width and height.
    """

    def __init__(
        self, *, channels: Sequence[int], strides: Sequence[int], things: int, numbers: int
    ) -> None:
        super().__init__()
        self.things, self.numbers = things, numbers
        fine = [place for place, stride in enumerate(strides) if stride <= COARSEST]
        self.first = fine[-1] if fine else 0
        self.lateral = nn.ModuleList(nn.Conv2d(own, WIDTH, 1) for own in channels[self.first :])
        self.mix = nn.Sequential(
            nn.GroupNorm(GROUPS, WIDTH),
            nn.ReLU(),
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1),
            nn.GroupNorm(GROUPS, WIDTH),
            nn.ReLU(),
        )
        self.answers = nn.Conv2d(WIDTH, things * (3 + numbers), 1)
        nn.init.normal_(self.answers.weight, std=0.01)
        nn.init.zeros_(cast(Tensor, self.answers.bias))

    def forward(self, maps: Sequence[Tensor]) -> Found:
        features = self.mix(self._laid_together(maps[self.first :]))  # (N, WIDTH, h, w)
        count, _, height, width = features.shape
        answers = self.answers(features).float()
        answers = answers.view(count, self.things, 3 + self.numbers, height * width)
        log_votes = answers[:, :, 0].log_softmax(dim=2)  # (N, things, h w)
        places = answers[:, :, 1:3] + _centres(height, width, answers.device)
        said = torch.cat([places, answers[:, :, 3:]], dim=2)  # (N, things, 2 + numbers, h w)
        return Found(
            (said * log_votes.exp()[:, :, None]).sum(dim=3),
            features.float().mean(dim=(2, 3)),
            log_votes.view(count, self.things, height, width),
        )

    def _laid_together(self, maps: Sequence[Tensor]) -> Tensor:
        laid = [lateral(each) for lateral, each in zip(self.lateral, maps, strict=True)]
        total: Tensor = laid[0]
        for coarse in laid[1:]:
            total = total + F.interpolate(coarse, size=total.shape[2:], mode="nearest")
        return total


def _centres(height: int, width: int, device: torch.device) -> Tensor:
    """(2, h w): x and y of every position's centre, 0..1."""
    y, x = torch.meshgrid(
        (torch.arange(height, device=device) + 0.5) / height,
        (torch.arange(width, device=device) + 0.5) / width,
        indexing="ij",
    )
    return torch.stack([x.flatten(), y.flatten()])


def build(backbone: Backbone, *, things: int, numbers: int) -> nn.Module:
    """The backbone with a voting head as its part `places`; its classifier is taken out.

    Raises SaccadeError "no-maps" for a network whose maps have no space.
    """
    network = as_backbone(backbone)
    if 0 in network.channels:
        raise SaccadeError(
            "your own network gives no maps, and places cannot be learned without; use one of the "
            "catalogue, or give yours maps(), channels and strides",
            name="no-maps",
        )
    module = cast(nn.Module, network)
    _drop_unreached(module)
    module.places = VotingHead(
        channels=network.channels, strides=network.strides, things=things, numbers=numbers
    )
    return module


def _drop_unreached(network: nn.Module) -> None:
    """Put nothing in the place of layers that no map depends on: what classified before."""
    backbone = cast(Backbone, network)
    side = max(backbone.minimum_size, 2 * backbone.strides[-1])
    parameters = [each for each in network.parameters() if each.requires_grad]
    channels = next(each.shape[1] for each in network.parameters() if each.ndim == 4)
    training = network.training
    network.eval()  # batch norm must not take the zeros in
    with torch.enable_grad():
        maps = backbone.maps(torch.zeros(1, channels, side, side, device=parameters[0].device))
        total = torch.stack([each.sum() for each in maps]).sum()
        gradients = torch.autograd.grad(total, parameters, allow_unused=True)
    network.train(training)
    idle = {each for each, own in zip(parameters, gradients, strict=True) if own is None}
    for name, module in list(network.named_modules()):
        own = list(module.parameters(recurse=False))
        if name and own and idle.issuperset(own):
            parent, _, last = name.rpartition(".")
            setattr(network.get_submodule(parent), last, nn.Identity())


def run(model: nn.Module, inputs: Tensor) -> Found:
    maps = cast(Backbone, model).maps(inputs)
    found: Found = cast(VotingHead, model.places)(maps)
    return found


def missed_votes(log_votes: Tensor, places: Tensor) -> Tensor:
    """Cross-entropy between votes and the positions around the true places, (N, things).

    log_votes (N, things, h, w); places (N, things, 2) x, y as shares. The truth is spread over the
    four nearest positions as bilinear interpolation would; what lies outside counts as at the edge.
    Every position learns from it at once, where a mean of places alone teaches slowly (compare
    Nibali et al. 2018, arXiv 1801.07372, section 3.3).
    """
    height, width = log_votes.shape[2:]
    x, y = (
        (places[..., axis, None] * size - 0.5).clamp(0, size - 1)
        for axis, size in enumerate((width, height))
    )
    near_x = (1 - (x - torch.arange(width, device=x.device)).abs()).clamp(min=0)
    near_y = (1 - (y - torch.arange(height, device=y.device)).abs()).clamp(min=0)
    return -torch.einsum("ntyx,nty,ntx->nt", log_votes, near_y, near_x)
