"""From a run to answers: `load(run)` gives a Predictor, a Predictor takes pictures."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from saccade.data.batches import prepare
from saccade.data.read import picture
from saccade.data.resize import read_picture
from saccade.data.tree import hidden, is_picture_name
from saccade.errors import SaccadeError
from saccade.models import catalog
from saccade.protocols import Selects, Task
from saccade.tasks import table
from saccade.tasks.committee import Committee, answers_of
from saccade.tasks.own import as_backbone
from saccade.training.device import Hardware, choose
from saccade.training.run import open_run, read_weights
from saccade.types import ENSEMBLE, OWN, Batch, ModelCard, Preprocessing, Result


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What was found in one picture: a result, or the reason why it could not be read."""

    source: str
    result: Result | None = None
    error: str | None = None

    def as_dict(self) -> dict[str, Any]:
        found = {"error": self.error} if self.result is None else self.result.as_dict()
        return {"source": self.source, **found}


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """A trained network with everything needed to use it.

    Call it with paths, globs, folders or uint8 arrays (H, W) or (H, W, C) to get predictions.
    """

    model: nn.Module
    task: Task
    card: ModelCard
    hardware: Hardware

    def __call__(self, sources: Any, *, batch: int = 32) -> list[Prediction]:
        """One prediction per picture, in order; unreadable pictures carry their reason.

        Raises SaccadeError when nothing matches a path or glob.
        """
        answers: list[Prediction] = []
        items = list(expand(sources))
        for start in range(0, len(items), batch):
            answers += self._predict(items[start : start + batch])
        return answers

    def selecting(self, *, conf: float | None = None, iou: float | None = None) -> Predictor:
        """The same with another confidence from which boxes are shown, and another overlap of two.

        conf: for every class, instead of those chosen on dev. Raises SaccadeError where the task
        does not answer with any number of boxes.
        """
        if not isinstance(self.task, Selects):
            raise SaccadeError(
                f"conf and iou choose among boxes; the task {self.task.name} does not answer with "
                "any number of them",
                name="wrong-task",
            )
        return replace(self, task=self.task.selecting(conf=conf, iou=iou))

    def one_by_one(
        self, sources: Any, find: Callable[[np.ndarray], Result]
    ) -> Iterator[Prediction]:
        """What `find` makes of each picture, (H, W, C) uint8 as large as it is."""
        for name, item in expand(sources):
            try:
                pixels = _in_full(item, self.card.preprocessing)
            except SaccadeError as error:
                yield Prediction(source=name, error=error.message)
                continue
            yield Prediction(source=name, result=find(pixels))

    def _predict(self, items: Sequence[tuple[str, Any]]) -> list[Prediction]:
        pictures: list[tuple[np.ndarray, tuple[int, int]]] = []
        answers: dict[int, Prediction] = {}
        places: list[int] = []
        for place, (name, item) in enumerate(items):
            try:
                picture = _decode(item, self.card.preprocessing)
                whole = self._whole(picture[1])
                if whole is not None:  # a picture of its own size: alone, and not made smaller
                    (result,) = self._results([_decode(item, whole)], whole)
                    answers[place] = Prediction(source=name, result=result)
                    continue
                pictures.append(picture)
                places.append(place)
            except SaccadeError as error:
                answers[place] = Prediction(source=name, error=error.message)
        if pictures:
            results = self._results(pictures, self.card.preprocessing)
            for place, result in zip(places, results, strict=True):
                answers[place] = Prediction(source=items[place][0], result=result)
        return [answers[place] for place in range(len(items))]

    def _whole(self, size: tuple[int, int]) -> Preprocessing | None:
        """Preparation of a picture (height, width) too large for the usual input, at its scale.

        None where it fits, or where training saw no one scale (see `ModelCard.data`).
        """
        scale, usual = self.card.data.get("scale"), self.card.preprocessing
        if scale is None:
            return None
        height, width = (max(1, round(side * float(scale))) for side in size)
        if height <= usual.height and width <= usual.width:
            return None
        return replace(usual, height=height, width=width, fit="stretch", margin=1.0)

    @torch.inference_mode()
    def _results(
        self,
        pictures: Sequence[tuple[np.ndarray, tuple[int, int]]],
        preprocessing: Preprocessing,
    ) -> list[Result]:
        arrays, sizes = zip(*pictures, strict=True)
        inputs, geometry = prepare(arrays, preprocessing, sizes)
        inputs = inputs.contiguous(memory_format=self.hardware.memory_format)
        rows = torch.arange(len(arrays))
        batch = Batch(inputs=inputs, targets={}, indices=rows, geometry=geometry)
        self.model.eval()
        with self.hardware.autocast():
            return self.task.predict(self.model, batch.to(self.hardware.device))


def load(
    path: str | Path, *, device: str | None = None, module: nn.Module | None = None
) -> Predictor:
    """The network of a run folder or weights file, ready to use.

    module: the user's own network, where the run was trained with one.
    Raises SaccadeError where the run is incomplete or damaged.
    """
    place = Path(path)
    weights = place if place.suffix == ".safetensors" else open_run(place).best
    tensors, card = read_weights(weights)
    hardware = choose(device)
    model, task = build(card, module=module)
    load_tensors(model, tensors, weights)
    return Predictor(model=hardware.place(model).eval(), task=task, card=card, hardware=hardware)


def build(card: ModelCard, *, module: nn.Module | None = None) -> tuple[nn.Module, Task]:
    """The network and task a card names, with fresh weights."""
    task = table.from_card(card)
    if module is None and card.model == OWN:
        raise SaccadeError(
            "this run was trained with a network of your own: load(path, module=YourNetwork()).",
            name="own-network",
        )
    if card.model == ENSEMBLE:
        return _committee(card, task), task
    if module is None:
        return task.build(catalog.network(card.model, **card.arguments)), task
    return task.build(as_backbone(module)), task


def _committee(card: ModelCard, task: Task) -> Committee:
    members = card.arguments["members"]
    mean = torch.tensor([member["mean"] for member in members])
    std = torch.tensor([member["std"] for member in members])
    return Committee(
        [task.build(catalog.create(each["model"], **each["arguments"])) for each in members],
        answers_of(task),
        scales=std[0] / std,
        offsets=(mean[0] - mean) / std,
    )


def load_tensors(model: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Fill `model`. Raises SaccadeError listing what does not fit."""
    expected = model.state_dict()
    missing = sorted(set(expected) - set(tensors))
    unknown = sorted(set(tensors) - set(expected))
    shapes = [
        f"{name} {tuple(tensors[name].shape)} for {tuple(value.shape)}"
        for name, value in expected.items()
        if name in tensors and tensors[name].shape != value.shape
    ]
    if missing or unknown or shapes:
        parts = [("missing", missing), ("unknown", unknown), ("of another shape", shapes)]
        told = "; ".join(f"{what}: {', '.join(names[:5])}" for what, names in parts if names)
        raise SaccadeError(
            f"{path}: these weights are not of this network ({told}).",
            name="wrong-weights",
            files=[str(path)],
        )
    model.load_state_dict(tensors)


def expand(sources: Any) -> Iterator[tuple[str, Any]]:
    """Names and pictures: a path, glob, folder (its pictures, at any depth), array, or many."""
    if isinstance(sources, str | Path | np.ndarray) or not isinstance(sources, Sequence):
        sources = [sources]
    for number, source in enumerate(sources):
        if not isinstance(source, str | Path):
            yield f"array {number}", np.asarray(source)
            continue
        found = _files(Path(source))
        if not found:
            raise SaccadeError(
                f"{source}: no picture found. Name a picture, a folder with pictures or a pattern "
                'such as "photos/*.jpg".',
                name="no-pictures",
                files=[str(source)],
            )
        yield from ((str(file), file) for file in found)


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        inside = (file for file in path.rglob("*") if is_picture_name(file.name))
        shown = (file for file in inside if not any(map(hidden, file.relative_to(path).parts)))
        return sorted(file for file in shown if file.is_file())
    if path.exists():
        return [path]
    # Path.glob takes no absolute pattern
    found = glob.glob(str(path), recursive=True)  # noqa: PTH207
    return sorted(Path(name) for name in found if Path(name).is_file())


Read = TypeVar("Read")


def _decode(item: Any, preprocessing: Preprocessing) -> tuple[np.ndarray, tuple[int, int]]:
    """The picture as large as the network needs it, and its displayed size."""
    return _read(item, lambda given: read_picture(given, preprocessing))


def _in_full(item: Any, preprocessing: Preprocessing) -> np.ndarray:
    """(H, W, C) uint8, as large as it is."""
    channels, background = preprocessing.channels, preprocessing.background
    return _read(item, lambda given: picture(given, channels=channels, background=background))


def _read(item: Any, decode: Callable[[Any], Read]) -> Read:
    """What `decode` makes of an array or of a file's bytes; errors name the file."""
    if isinstance(item, np.ndarray):
        return decode(item)
    try:
        return decode(item.read_bytes())
    except OSError as error:
        raise SaccadeError(f"{item}: cannot be read ({error.strerror}).", files=[item]) from error
    except SaccadeError as error:
        raise SaccadeError(f"{item}: {error.message}", name=error.name, files=[item]) from error
