"""Scores written down example by example: what the report and the diagnosis read."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from saccade.data.dataset import Dataset
from saccade.data.ingest import Ingested
from saccade.data.manifest import plain
from saccade.experiment.mask_records import MaskRecords, mask_field
from saccade.protocols import Metric
from saccade.training.run import RunFolder
from saccade.types import Batch, Detections, Heads, Measure, Scored

THUMBNAIL, DETAILED, WITH_MASK = 96, 320, 384
"""Pixels of the longer side; with boxes or masks on it more must be seen."""
MOST_THUMBNAILS = 5000
PLACED = ("box", "points")
"""Kinds of fields whose answers are drawn on the pictures."""


@dataclass
class Recorder:
    """Collects scored batches; `columns` gives the table of predictions/<split>.parquet."""

    indices: list[Tensor] = field(default_factory=list)
    losses: list[Tensor] = field(default_factory=list)
    errors: list[Tensor] = field(default_factory=list)
    embeddings: list[Tensor] = field(default_factory=list)
    results: list[Any] = field(default_factory=list)
    masks: MaskRecords = field(default_factory=MaskRecords)
    views: list[list[float]] = field(default_factory=list)

    def __call__(self, scored: Scored, batch: Batch) -> None:
        self.indices.append(batch.indices.cpu())
        self.losses.append(scored.losses)
        self.errors.append(scored.errors)
        name = mask_field(scored, batch)
        if name is None:
            self.results += scored.results
        else:  # packed at once: masks of all pictures would fill memory
            self.masks.add(scored, batch, name)
        self.views += _views(batch)
        if scored.embeddings is not None:
            self.embeddings.append(scored.embeddings.half())

    def columns(self, dataset: Dataset) -> dict[str, Any]:
        """One row per example: id, target, result, loss, error, view (of places), embedding."""
        indices = torch.cat(self.indices).numpy()
        examples = [dataset.examples[index] for index in indices]
        names = [item.name for item in dataset.fields]
        table: dict[str, Any] = {
            "index": indices,
            "key": [printable(example.key) for example in examples],
            "target": [_target(example.target, names) for example in examples],
            "loss": torch.cat(self.losses).numpy(),
            "error": torch.cat(self.errors).numpy(),
        }
        if self.results:
            table |= _result_columns(self.results)
        if self.masks.predicted:
            targets = [example.target.get(names[0]) for example in examples]
            table |= self.masks.columns(targets, dataset)
        if any(item.kind in PLACED for item in dataset.fields) and self.views:
            table["view"] = self.views
        if self.embeddings:
            table["embedding"] = list(torch.cat(self.embeddings).numpy())
        return table


def _views(batch: Batch) -> list[list[float]]:
    """Of each picture scale and shift (x, y, x, y) from its pixels to shares of the input."""
    if batch.geometry is None or batch.inputs.ndim != 4:
        return []
    height, width = batch.inputs.shape[-2:]
    matrix = batch.geometry.matrix
    columns = [matrix[:, 0, 0], matrix[:, 1, 1], matrix[:, 0, 2], matrix[:, 1, 2]]
    sides = torch.tensor([width, height, width, height])
    views: list[list[float]] = (torch.stack(columns, dim=1) / sides).tolist()
    return views


def write_scores(
    run: RunFolder,
    split: str,
    recorder: Recorder,
    metric: Metric,
    dataset: Dataset,
    ingested: Ingested,
) -> None:
    """predictions/<split>.parquet, its thumbnails, and the details of the metric."""
    columns = recorder.columns(dataset)
    run.write_table(run.predictions(split), columns)
    run.write_table(run.thumbnails(split), _thumbnails(columns, ingested))
    details = run.read_json(run.details) if run.details.is_file() else {}
    run.write_json(run.details, {**details, split: metric.details()})


def measures_as_dict(measures: Mapping[str, Measure]) -> dict[str, dict[str, float | None]]:
    """For JSON: name -> {value, low, high, n}; what is undefined (NaN) is None."""
    return {
        name: {"value": defined(m.value), "low": defined(m.low), "high": defined(m.high), "n": m.n}
        for name, m in measures.items()
    }


def defined(value: float) -> float | None:
    """JSON knows no NaN."""
    return value if math.isfinite(value) else None


def _target(target: Mapping[str, Any], names: Sequence[str]) -> str:
    """A class name as it is; anything else as JSON."""
    value = plain(target.get(names[0]) if len(names) == 1 else dict(target))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def printable(text: str) -> str:
    """File names that are not UTF-8 hold lone surrogates, which Parquet cannot."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _result_columns(results: Sequence[Any]) -> dict[str, list[Any]]:
    if isinstance(results[0], Detections):
        written = [result.as_dict() for result in results]
        return {name: [each[name] for each in written] for name in ("labels", "scores", "boxes")}
    if isinstance(results[0], Heads):
        return {"result": [json.dumps(result.as_dict()) for result in results]}
    columns: dict[str, list[Any]] = {}
    for item in fields(results[0]):
        values = [getattr(result, item.name) for result in results]
        if isinstance(values[0], Tensor):
            columns[item.name] = [value.tolist() for value in values]
        elif isinstance(values[0], float | str):
            columns[item.name] = values
    for name in ("label", "labels", "score"):
        if name not in columns and hasattr(results[0], name):
            columns[name] = [getattr(result, name) for result in results]
    return columns


def _thumbnails(columns: Mapping[str, Any], ingested: Ingested) -> dict[str, Any]:
    """Small JPEGs: of every example, or of the worst and a regular sample where there are many.

    Of what the network sees, the middle of the canvas; with boxes, of all of the canvas.
    """
    losses = np.nan_to_num(columns["loss"], nan=-np.inf)
    side = WITH_MASK if "true_mask" in columns else THUMBNAIL
    chosen = np.arange(len(losses))
    if len(losses) > MOST_THUMBNAILS:
        worst = np.argsort(-losses)[: MOST_THUMBNAILS // 2]
        sample = np.linspace(0, len(losses) - 1, MOST_THUMBNAILS // 2).astype(int)
        chosen = np.unique(np.concatenate([worst, sample]))
    indices = np.asarray(columns["index"])[chosen]
    whole = "boxes" in columns
    side = DETAILED if whole else side
    return {
        "index": indices,
        "key": [columns["key"][place] for place in chosen],
        "jpeg": [_jpeg(_middle(ingested, index, whole), side) for index in indices.tolist()],
    }


def _middle(ingested: Ingested, index: int, whole: bool) -> Tensor:
    pixels = ingested.pixels[index]
    if whole:
        return pixels
    top, left = (pixels.shape[1] - ingested.height) // 2, (pixels.shape[2] - ingested.width) // 2
    return pixels[:, top : top + ingested.height, left : left + ingested.width]


def _jpeg(pixels: Tensor, side: int) -> bytes:
    array = pixels.permute(1, 2, 0).numpy()
    picture = Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)
    scale = side / max(picture.size)
    if scale < 1:
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        picture = picture.resize(size, Image.Resampling.BILINEAR)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=85)
    return file.getvalue()
