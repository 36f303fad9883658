"""Weights to start from: published ones by name, a file, or a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from saccade.errors import SaccadeError
from saccade.fitting import infer
from saccade.models import catalog, weights
from saccade.tensor_files import read_tensors
from saccade.training.run import open_run, read_weights
from saccade.types import ModelCard

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
    of_run = path.suffix == ".safetensors" and path.with_name("card.json").is_file()
    if path.is_dir() or of_run:
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
    own = str(card.arguments.get("backbone", card.model))
    if network not in (None, own):
        raise SaccadeError(
            f"--weights {path}: these are weights of {own}, not of {network}. Leave --model out.",
            name="wrong-weights",
            files=[str(path)],
        )
    learnt = card.preprocessing
    return Start(
        tensors=found.tensors,
        network=own,
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


def same_classes(card: ModelCard | None, fields: Sequence[Any]) -> bool:
    """Whether a run's head answers exactly what is asked now."""
    return card is not None and tuple(card.fields) == tuple(fields)
