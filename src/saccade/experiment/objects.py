"""The objects of a data set or of a run as a network's input shows them, without decoding."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from saccade.data.dataset import Dataset, learned
from saccade.data.ingest import choose
from saccade.data.read import MAX_PIXELS
from saccade.data.resize import Fit, Size, placing
from saccade.data.survey import Seen, each, survey
from saccade.errors import SaccadeError
from saccade.training.run import RunFolder
from saccade.types import ModelCard


class Objects(NamedTuple):
    """boxes: (M, 4) of each picture in pixels of the input; size: height, width of the input."""

    boxes: list[Tensor]
    size: Size


def of_data(dataset: Dataset, size: Size | None = None) -> Objects:
    """Of the training part of a data set, or of all where it has no parts.

    size: of the input; None = as training chooses it. Raises SaccadeError where the data has no
    field of boxes.
    """
    name = next((field.name for field in dataset.fields if field.kind == "boxes"), None)
    if name is None:
        raise SaccadeError(
            f"{dataset.name}: no boxes here; its annotations are "
            f"{', '.join(f'{field.name} ({field.kind})' for field in dataset.fields) or 'none'}",
            name="no-boxes",
        )
    some = replace(dataset, examples=tuple(learned(dataset.examples)))
    found = list(each(survey(some, MAX_PIXELS), len(some), os.cpu_count() or 1))
    height, width = size or (None, None)
    seen = [item for item in found if isinstance(item, Seen)]
    chosen = choose(some, seen, height=height, width=width, channels=None, fit=None)
    rows = (
        (example.target.get(name), (item.height, item.width))
        for example, item in zip(some.examples, found, strict=True)
        if isinstance(item, Seen)
    )
    canvas = (chosen["height"], chosen["width"])
    return Objects(_on_input(rows, canvas, chosen["fit"]), canvas)


def of_run(run: RunFolder, card: ModelCard) -> Objects:
    """Of the training part of a run of detection, from its own records."""
    images = run.read_table(run.images)
    columns = (images[name].to_pylist() for name in ("key", "height", "width"))
    sizes = {key: (height, width) for key, height, width in zip(*columns, strict=True)}
    name, canvas = card.fields[0].name, (card.preprocessing.height, card.preprocessing.width)
    rows = (
        (example["target"].get(name), sizes[example["key"]])
        for example in run.read_json(run.data)["examples"]
        if example["part"] == "train" and example["key"] in sizes
    )
    return Objects(_on_input(rows, canvas, card.preprocessing.fit), canvas)


def _on_input(
    rows: Iterable[tuple[Iterable[Mapping[str, Any]] | None, Size]], canvas: Size, fit: Fit
) -> list[Tensor]:
    """rows: the objects of each picture and its height and width."""
    placed = []
    for objects, size in rows:
        boxes = torch.tensor([item["box"] for item in objects or ()], dtype=torch.float64)
        matrix = torch.from_numpy(placing(size, canvas, fit).matrix)
        points = boxes.view(-1, 2, 2) * matrix[[0, 1], [0, 1]] + matrix[:2, 2]
        placed.append(points.view(-1, 4).float())
    return placed
