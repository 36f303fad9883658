"""From a data set to numbers that can be trained on: decoded, split, encoded, counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from saccade.data.augment import Augment
from saccade.data.batches import Batches, encode_targets, statistics
from saccade.data.bridge import carve
from saccade.data.corrections import correct, read_corrections
from saccade.data.dataset import Dataset
from saccade.data.duplicates import near_duplicates, worth_searching
from saccade.data.ingest import Ingested, ingest
from saccade.data.manifest import make_manifest, parts_of, verify_manifest
from saccade.data.masks import with_names
from saccade.data.splits import split
from saccade.errors import SaccadeError
from saccade.recipe import Recipe
from saccade.training.device import Hardware
from saccade.training.run import RunFolder
from saccade.types import Notice


def _silent(line: str) -> None:
    pass


def _no_bar(stage: str, done: int, total: int) -> None:
    pass


def _unread(rows: Sequence[Mapping[str, float]]) -> None:
    pass


@dataclass(frozen=True)
class Reporter:
    """Where words and progress go.

    warn(line)    what is wrong with the data; None = it is said like the rest
    progress(stage, done, total)  a bar on a terminal
    scored(rows)  the lines of results.csv after each epoch; what it raises ends the training, whose
                  state is saved
    """

    say: Callable[[str], None] = field(default=_silent)
    warn: Callable[[str], None] | None = None
    progress: Callable[[str, int, int], None] = field(default=_no_bar)
    scored: Callable[[Sequence[Mapping[str, float]]], None] = field(default=_unread)


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Everything about the data of one run; row i means the same example everywhere.

    dataset   readable examples only
    part      (N,) "train", "train-dev", "dev" or "test"
    targets   by field name, aligned with the rows
    manifest  what data.json holds
    """

    dataset: Dataset
    ingested: Ingested
    part: np.ndarray
    targets: Mapping[str, Any]
    manifest: Mapping[str, Any]
    notices: tuple[Notice, ...]
    method: str

    def rows(self, part: str) -> Tensor:
        return torch.from_numpy(np.flatnonzero(self.part == part))

    def used(self, recipe: Recipe) -> Tensor:
        """Training rows that are used: `data.fraction` of them, drawn by the seed."""
        rows = self.rows("train")
        count = max(1, round(recipe.data.fraction * len(rows)))
        if count == len(rows):
            return rows
        generator = torch.Generator().manual_seed(recipe.train.seed)
        return rows[torch.randperm(len(rows), generator=generator)[:count]].sort().values

    def targets_of(self, rows: Tensor) -> dict[str, Any]:
        """Targets of these rows alone, in the form of `Batch.targets`."""
        return {
            name: value[rows] if isinstance(value, Tensor) else [value[row] for row in rows]
            for name, value in self.targets.items()
        }

    def statistics(self, rows: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
        mean, std = statistics(self.ingested.pixels, rows, self.ingested.inside)
        return tuple(_rounded(mean)), tuple(_rounded(std))


def prepare_data(
    dataset: Dataset,
    recipe: Recipe,
    *,
    reporter: Reporter,
    minimum_side: int = 1,
    manifest: Mapping[str, Any] | None = None,
    split_now: bool = True,
    labels: Path | None = None,
) -> Prepared:
    """Decode, check, split and encode.

    manifest: of a run that these data belong to; then its split is kept, and changed files are an
    error. split_now: False keeps the parts the data name themselves, "" where they name none.
    labels: a file of corrections; dropped examples belong to no part ("").
    Raises SaccadeError when more pictures are unreadable than the recipe allows.
    """
    if recipe.data.names:
        dataset = with_names(dataset, recipe.data.names)
    ingested = _ingest(dataset, recipe, reporter, minimum_side)
    _check_dropped(dataset, ingested, recipe)
    dataset = dataset.select(ingested.rows)
    notices: tuple[Notice, ...] = ()
    given = dataset
    dataset, kept = correct(given, read_corrections(labels) if labels else ())
    if not split_now:
        part = np.array([example.split or "" for example in dataset.examples])
        manifest, method = {}, "as the data name them"
    elif manifest is None:
        copies = _copies(ingested)
        # by the labels as they were, so that a correction moves no picture to another part
        splits = split(
            given,
            images=ingested.images,
            seed=recipe.train.seed if recipe.data.seed is None else recipe.data.seed,
            dev=recipe.data.dev,
            test=recipe.data.test,
            together=copies,
        )
        splits = carve(
            given,
            splits,
            images=ingested.images,
            seed=recipe.train.seed if recipe.data.seed is None else recipe.data.seed,
            share=recipe.data.train_dev,
            together=copies,
        )
        splits = replace(splits, part=np.where(kept, splits.part, ""))
        part, method, notices = splits.part, splits.method, splits.notices
        manifest = make_manifest(dataset, ingested, splits)
    else:
        verify_manifest(manifest, dataset, ingested)
        part, method = parts_of(manifest, dataset), "as before"
    return Prepared(
        dataset=dataset,
        ingested=ingested,
        part=part,
        targets=encode_targets(
            dataset,
            np.arange(len(dataset)),
            geometry=ingested.geometry,
            canvas=(ingested.pixels.shape[2], ingested.pixels.shape[3]),
        ),
        manifest=manifest,
        notices=(*dataset.notices, *ingested.broken, *notices),
        method=method,
    )


def labels_of(run: RunFolder, recipe: Recipe) -> Path | None:
    """The corrected labels of a run: its own copy, or, before it has begun, the user's file."""
    if recipe.data.labels is None:
        return None
    return run.labels if run.labels.is_file() else Path(recipe.data.labels).expanduser()


def make_batches(
    prepared: Prepared,
    rows: Tensor,
    recipe: Recipe,
    hardware: Hardware,
    *,
    train: bool,
    size: int | None = None,
    cropped: bool | None = None,
) -> Batches:
    """Batches of `rows`: augmented and shuffled for training, plain and in order otherwise.

    cropped: whether inputs are as small as `data.crop` says; None = for training alone.
    size: examples in a batch; None = the recipe's, and more where nothing has to be remembered.
    """
    data, settings = recipe.data, recipe.train
    height, width = data.imgsz or (1, 1)
    if data.crop is not None and (train if cropped is None else cropped):
        height, width = min(height, data.crop[0]), min(width, data.crop[1])
    augment = Augment(**recipe.augment.model_dump()) if train else None
    if size is None:
        size = settings.batch or 1
        size = size if train else max(size, 512 // max(1, height // 32))
    return Batches(
        prepared.ingested.pixels,
        prepared.ingested.geometry,
        prepared.targets,
        rows,
        height=height,
        width=width,
        mean=data.mean or (),
        std=data.std or (),
        augment=augment,
        batch=size,
        seed=settings.seed,
        device=hardware.device,
        weights=class_weights(prepared, rows, data.class_weights) if train else None,
        sampling=data.sampling if train else "once",
        shuffle=train,
        memory_format=hardware.memory_format,
        views=(data.views or 1) if train else 1,
        sight=data.sight,
    )


def class_weights(prepared: Prepared, rows: Tensor, how: str) -> Tensor | None:
    """One weight per row of the data, so that every class weighs the same in the loss; mean 1."""
    fields = [item for item in prepared.dataset.fields if item.kind == "label"]
    if how == "none" or len(fields) != 1:
        return None
    labels: Tensor = prepared.targets[fields[0].name]
    known = labels[rows]
    known = known[known >= 0]
    counts = torch.bincount(known, minlength=len(fields[0].classes))
    share = len(known) / (counts.clamp(min=1) * int((counts > 0).sum()))
    return share[labels.clamp(min=0)].float()


def _ingest(dataset: Dataset, recipe: Recipe, reporter: Reporter, minimum: int) -> Ingested:
    data = recipe.data
    height, width = data.imgsz or (None, None)
    ingested = ingest(
        dataset,
        height=height,
        width=width,
        channels=data.channels,
        fit=data.fit,
        margin=data.margin,
        workers=data.workers,
        max_pixels=data.max_pixels,
        background=data.background,
        progress=lambda done, total: reporter.progress("reading pictures", done, total),
    )
    if not height and min(ingested.height, ingested.width) < minimum:
        larger = recipe.data.model_copy(update={"imgsz": (minimum, minimum)})
        reporter.say(f"Pictures are enlarged to {minimum} pixels, the least this network can take.")
        return _ingest(dataset, recipe.model_copy(update={"data": larger}), reporter, minimum)
    return ingested


def _copies(ingested: Ingested) -> np.ndarray:
    """Pairs of near-duplicates, which a fair split keeps on one side."""
    images = ingested.images
    return near_duplicates(ingested.pixels, images["phash"], worth_searching(images))


def _check_dropped(dataset: Dataset, ingested: Ingested, recipe: Recipe) -> None:
    dropped = len(dataset) - len(ingested.rows)
    files = [file for notice in ingested.broken for file in notice.files]
    if len(ingested.rows) == 0:
        raise SaccadeError(
            f"{dataset.root}: none of {len(dataset)} pictures can be read. "
            f"First: {ingested.broken[0].message}",
            name="broken-files",
            files=files,
        )
    if dropped > recipe.data.allow_dropped * len(dataset):
        named = ", ".join(files[:5]) + (" ..." if len(files) > 5 else "")
        raise SaccadeError(
            f"{dataset.root}: {dropped} of {len(dataset)} pictures cannot be read ({named}). "
            f"`saccade check` lists the reasons. Mend or remove them, or allow it with "
            f"--set data.allow_dropped={min(1.0, dropped / len(dataset) + 0.005):.2f}.",
            name="broken-files",
            files=files,
        )


def _rounded(values: Any) -> list[float]:
    # five digits, so that args.yaml and the card hold exactly what was used
    return [round(float(value), 5) for value in values]
