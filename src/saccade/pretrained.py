"""Weights to start from: found by name, file or run, fitted to the network, nothing in silence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from saccade.errors import SaccadeError
from saccade.models import catalog, weights
from saccade.tensor_files import read_tensors
from saccade.training.run import open_run, read_weights
from saccade.types import ModelCard

ENOUGH = 0.5
"""Share of the body's numbers that a file must hold to be weights of the network."""

SURE = 0.95
"""Share of tensors that must agree for a network to be told from its tensors."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Start:
    """Where a training starts.

    network        name in the catalogue
    mean, std      per channel, of the pictures these weights were trained on; None = unknown
    card           of the run they come from, if they do
    source         for the model card: what they are, with SHA-256
    told           lines for the user
    """

    tensors: Mapping[str, Tensor]
    network: str
    normalisation: tuple[tuple[float, ...], tuple[float, ...]] | None
    card: ModelCard | None = None
    source: str = ""
    licence: str = ""
    told: tuple[str, ...] = field(default=())

    def normalisation_for(
        self, channels: int
    ) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        """Mean and std for pictures of that many channels: averages where the numbers differ."""
        if self.normalisation is None or len(self.normalisation[0]) == channels:
            return self.normalisation
        mean, std = (round(sum(values) / len(values), 5) for values in self.normalisation)
        return (mean,) * channels, (std,) * channels


def resolve(given: str, network: str | None, progress: Progress) -> Start:
    """The weights that `--weights` names: published ones, a file, or a run.

    network: name in the catalogue, None = told from the weights. Raises SaccadeError.
    """
    path = Path(given)
    published = None if path.exists() else weights.find(given, network)
    if published is not None:
        file = weights.fetch(published, lambda done, all: progress("fetching weights", done, all))
        return from_published(published, file)
    if path.is_dir() or path.with_name("card.json").is_file():
        return _from_run(path, network)
    found = read_tensors(path)
    name = network or infer(found.tensors, hint=path.stem)
    told = [f"weights: {path}", *found.notes]
    if network is None:
        told.append(f"network: {name}, told from the names and shapes of the weights")
    normalisation = catalog.normalisation(name)
    if normalisation is not None:
        told.append(_prepared(normalisation, "usual for this network's weights; data.mean sets it"))
    return Start(
        tensors=found.tensors,
        network=name,
        normalisation=normalisation,
        source=f"{path.name} (SHA-256 {found.sha256})",
        licence="that of the weights file",
        told=tuple(told),
    )


def from_published(published: weights.Published, file: Path) -> Start:
    """Published weights that lie in `file`."""
    found = read_tensors(file)
    return Start(
        tensors={weights.today(name): value for name, value in found.tensors.items()},
        network=published.network,
        normalisation=published.normalisation,
        source=f"{published.url} (SHA-256 {found.sha256})",
        licence=weights.LICENCE,
        told=(
            f"weights: {published.sentence()}",
            _prepared(published.normalisation, f"trained at {published.side} pixels"),
        ),
    )


def _from_run(path: Path, network: str | None) -> Start:
    file = open_run(path).best if path.is_dir() else path
    (_, card), found = read_weights(file), read_tensors(file)
    if network not in (None, card.model):
        raise SaccadeError(
            f"--weights {path}: these are weights of {card.model}, not of {network}. Leave --model "
            "out.",
            name="wrong-weights",
            files=[str(path)],
        )
    learnt = card.preprocessing
    return Start(
        tensors=found.tensors,
        network=card.model,
        normalisation=(learnt.mean, learnt.std),
        card=card,
        source=f"run {path} (SHA-256 {found.sha256})",
        licence=card.licence,
        told=(
            f"weights: run {path}, {card.model}, "
            + "; ".join(f"{len(each.classes)} classes of {each.name}" for each in card.fields),
            f"pictures are prepared as in that run: {learnt.height} x {learnt.width}, {learnt.fit}",
        ),
    )


def _prepared(normalisation: tuple[tuple[float, ...], tuple[float, ...]], why: str) -> str:
    mean, std = (", ".join(f"{value:.3f}" for value in values) for values in normalisation)
    return f"pictures are prepared with mean {mean} and std {std} ({why})"


def infer(tensors: Mapping[str, Tensor], hint: str = "") -> str:
    """The network of the catalogue that these tensors belong to.

    hint: a file name; networks it names are tried first. Raises SaccadeError where none agrees.
    """
    plain = hint.lower().replace("-", "_")
    likely = sorted((name for name in catalog.names() if name in plain), key=len, reverse=True)
    best, best_share = "", 0.0
    for name in (*likely, *(each for each in catalog.names() if each not in likely)):
        share = _agreement(name, tensors)
        if share > best_share:
            best, best_share = name, share
        if share >= SURE and name in likely:
            break
    if best_share < SURE:
        nearest = f" Nearest: {best} ({best_share:.0%} of its tensors)." if best else ""
        raise SaccadeError(
            f"the network cannot be told from the weights.{nearest} Name it with --model.",
            name="unknown-network",
        )
    return best


def _agreement(name: str, tensors: Mapping[str, Tensor]) -> float:
    """The smaller share, of the body's tensors and of the file's, that agree in name and shape."""
    with torch.device("meta"):
        network = catalog.create(name)
    assert isinstance(network, nn.Module)
    before = network.state_dict()
    network.new_head(2)
    after = network.state_dict()
    head = {key for key, value in before.items() if after[key].shape != value.shape}
    body = {key: value.shape for key, value in before.items() if _counts(key) and key not in head}
    there = {key: value for key, value in _renamed(tensors, body).items() if _counts(key)}
    same = sum(key in there and _alike(there[key].shape, shape) for key, shape in body.items())
    own = max(1, len(there.keys() - head))
    return min(same / len(body), same / own)


def _counts(key: str) -> bool:
    return not key.endswith("num_batches_tracked")  # absent from older files, and never used


def _alike(found: torch.Size, wanted: torch.Size) -> bool:
    """Equal, or a convolution with other input channels."""
    return found == wanted or (
        len(found) == len(wanted) > 2 and (found[0], *found[2:]) == (wanted[0], *wanted[2:])
    )


def _renamed(tensors: Mapping[str, Tensor], wanted: Iterable[str]) -> dict[str, Tensor]:
    """The tensors with today's names and without (or with) the prefix that fits best."""
    today = {weights.today(name): value for name, value in tensors.items()}
    names = set(wanted)

    def fitting(strip: str, add: str) -> dict[str, Tensor]:
        return {
            add + name.removeprefix(strip) if name.startswith(strip) else name: value
            for name, value in today.items()
        }

    parts = [name.split(".") for name in today]
    strips = {
        ".".join(each[:count]) + "." for each in parts for count in (1, 2) if len(each) > count
    }
    adds = {name.partition(".")[0] + "." for name in names}
    tries = [("", ""), *((each, "") for each in sorted(strips)), *(("", a) for a in sorted(adds))]
    return max(
        (fitting(strip, add) for strip, add in tries),
        key=lambda found: len(found.keys() & names),
    )


def fill(
    model: nn.Module, start: Start, *, head: set[str], path: str, keep_head: bool = False
) -> list[str]:
    """Copy the weights into `model`; lines that say what fitted and what did not.

    head: names of the task's new parameters, which keep their fresh values unless keep_head.
    Raises SaccadeError where the file holds weights of something else.
    """
    expected = model.state_dict()
    skipped = set() if keep_head else head
    found = _renamed(start.tensors, expected.keys() - skipped)
    taken: dict[str, Tensor] = {}
    told: list[str] = []
    wrong: list[str] = []
    for name, value in expected.items():
        given = found.get(name)
        if given is None or name in skipped:
            continue
        if given.is_floating_point() != value.is_floating_point():
            wrong.append(f"{name} (whole numbers)")
        elif given.shape == value.shape:
            taken[name] = given
        elif _alike(given.shape, value.shape) and not taken:
            taken[name] = adapt_channels(given, value.shape[1])
            told.append(
                f"weights: {name} had {given.shape[1]} input channels and now has "
                f"{value.shape[1]}; its responses to grey pictures are kept"
            )
        else:
            wrong.append(f"{name} {_shape(given)} for {_shape(value)}")
    body = [name for name in expected if name not in skipped and _counts(name)]
    missing = [name for name in body if name not in found]
    have = sum(expected[name].numel() for name in body if name in taken)
    if have < ENOUGH * sum(expected[name].numel() for name in body):
        raise _others(path, start.network, missing, wrong, sorted(found.keys() - expected.keys()))
    model.load_state_dict(taken, strict=False)
    count = sum(name in taken for name in body)
    replaced = [name for name in found if name in skipped]
    unknown = [name for name in found if name not in expected]
    return [
        f"weights: {count} of {len(body)} tensors of the body taken",
        *told,
        *_listed("a new head, their own is not used", replaced or sorted(skipped)),
        *_listed("missing in the file, these begin at random", missing),
        *_listed("of another shape, these begin at random", wrong),
        *_listed("in the file but not in the network, not used", unknown),
    ]


def adapt_channels(weight: Tensor, channels: int) -> Tensor:
    """A first convolution (O, I, *window) for another number of channels (O, channels, *window).

    Each new channel gets the sum over the old ones divided by their new number, so that a picture
    whose channels are equal gives the same responses as before.
    """
    total = weight.sum(1, keepdim=True)
    return (total / channels).repeat(1, channels, *(1 for _ in weight.shape[2:]))


def _listed(what: str, names: Sequence[str]) -> list[str]:
    """One line that names every tensor, those of one layer together."""
    if not names:
        return []
    layers = [
        f"{layer} ({', '.join(name.rpartition('.')[2] for name in group)})"
        for layer, group in groupby(names, key=lambda name: name.rpartition(".")[0])
    ]
    return [f"weights: {what}: {'; '.join(layers)}"]


def _shape(value: Tensor) -> str:
    return " x ".join(map(str, value.shape)) or "one number"


def _others(
    path: str, network: str, missing: list[str], wrong: list[str], unknown: list[str]
) -> SaccadeError:
    parts = (("missing", missing), ("of another shape", wrong), ("not of it", unknown))
    told = "; ".join(f"{what}: {', '.join(names[:4])}" for what, names in parts if names)
    return SaccadeError(
        f"{path}: these are not weights of {network} ({told}). Name the network they belong to "
        "with --model, or leave it out to have it told from them.",
        name="wrong-weights",
        files=[path],
    )


def same_classes(card: ModelCard | None, fields: Sequence[Any]) -> bool:
    """Whether a run's head answers exactly what is asked now."""
    return card is not None and tuple(card.fields) == tuple(fields)
