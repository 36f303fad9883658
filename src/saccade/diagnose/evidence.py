"""All that a diagnosis may use, read from the run folder alone."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from saccade.data.manifest import groups_of, in_shares
from saccade.errors import SaccadeError
from saccade.ops.intervals import mean_interval
from saccade.training.run import RunFolder
from saccade.types import Evidence, Measure, ModelCard

PARTS = ("train", "train-dev", "dev", "test")

SIDE = 32
"""Thumbnails are looked at in this size: enough for a border, a mark or a copy."""

MOST_THUMBNAILS = 2000

Columns = dict[str, np.ndarray]


def read_evidence(run: RunFolder, *, human_error: float | None = None) -> Evidence:
    """The records of a run, as arrays. Whatever the run does not hold (yet) is empty.

    human_error: in the error measure's unit; None = what human.json of the run says, if there is
    one. Raises SaccadeError where it is no error, or where the folder has no recipe.
    """
    recipe = run.read_args()
    manifest = run.read_json(run.data) if run.data.is_file() else {}
    predictions = {
        part: _predictions(run, part) for part in PARTS if run.predictions(part).is_file()
    }
    task = str(recipe.get("task") or "")
    return Evidence(
        task=task,
        errors={part: _error(rows, manifest) for part, rows in predictions.items()},
        human=_human(run, recipe, manifest, human_error),
        curves=_curves(run),
        health=_health(run),
        images=columns(run.read_table(run.images)) if run.images.is_file() else {},
        predictions=predictions,
        dynamics=_dynamics(run),
        recipe=recipe,
        card=_card(run),
        data=manifest,
        run=str(run.root),
        log=_log(run),
        tensors=_tensors(run),
        thumbnails={part: _thumbnails(run, part) for part in predictions},
        scale=_scale(task, predictions),
        folds=columns(run.read_table(run.folds)) if run.folds.is_file() else {},
    )


def columns(table: pa.Table) -> Columns:
    """Each column as an array; lists of one length become a matrix."""
    return {name: _array(table[name].combine_chunks()) for name in table.column_names}


def _array(column: Any) -> np.ndarray:
    if not pa.types.is_list(column.type):
        return np.asarray(column.to_numpy(zero_copy_only=False))
    lengths = np.diff(column.offsets.to_numpy())
    if len(lengths) and not pa.types.is_string(column.type.value_type):
        length = int(lengths[0])
        if length and (lengths == length).all():
            flat = column.flatten().to_numpy(zero_copy_only=False)
            return np.asarray(flat).reshape(len(lengths), length)
    ragged = np.empty(len(column), dtype=object)
    ragged[:] = column.to_pylist()
    return ragged


def _predictions(run: RunFolder, part: str) -> Columns:
    return columns(run.read_table(run.predictions(part)))


def _error(rows: Columns, manifest: Mapping[str, Any]) -> Measure:
    member = groups_of(manifest, rows["key"])
    value, low, high, count = mean_interval(rows["error"], member)
    return Measure(value=value, low=low, high=high, n=count)


def _human(
    run: RunFolder,
    recipe: Mapping[str, Any],
    manifest: Mapping[str, Any],
    human_error: float | None,
) -> Measure | None:
    """Human-level error: what was asked for, else what was measured or noted in the run."""
    measured = run.root / "human.json"
    if human_error is None and measured.is_file():
        values = run.read_json(measured)
        return Measure(value=values["value"], low=values["low"], high=values["high"], n=values["n"])
    noted = (recipe.get("data") or {}).get("human_error")
    value = human_error if human_error is not None else noted
    if value is None:
        return None
    shares = recipe.get("task") != "regression" and in_shares(manifest)
    if not (math.isfinite(value) and value >= 0 and (value <= 1 or not shares)):
        expected = "the share that people get wrong, such as 0.02" if shares else "0 or more"
        raise SaccadeError(f"--human-error {value}: expected {expected}.", name="bad-human-error")
    return Measure(value=value, low=value, high=value, n=0)


def _curves(run: RunFolder) -> dict[str, tuple[float, ...]]:
    """Column of results.csv -> one number per epoch, NaN where a cell is empty."""
    rows = run.read_results() if run.results.is_file() else []
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: tuple(row.get(name, math.nan) for row in rows) for name in names}


def _health(run: RunFolder) -> tuple[dict[str, Any], ...]:
    path = run.root / "health.csv"
    if not path.is_file():
        return ()
    rows = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")))
    return tuple({key: _number(key, value) for key, value in row.items()} for row in rows)


def _number(key: str, value: str) -> Any:
    if key == "layer":
        return value
    return float(value) if value else math.nan


def _dynamics(run: RunFolder) -> Columns:
    """index, key, and losses (n, epochs): NaN where an example was not drawn."""
    if not run.dynamics.is_file():
        return {}
    found = columns(run.read_table(run.dynamics))
    epochs = [name for name in found if name.startswith("epoch_")]
    losses = np.stack([found[name] for name in epochs], axis=1) if epochs else np.empty((0, 0))
    return {"index": found["index"], "key": found["key"], "losses": losses}


def _card(run: RunFolder) -> ModelCard | None:
    return ModelCard.from_dict(run.read_json(run.card)) if run.card.is_file() else None


def _log(run: RunFolder) -> tuple[str, ...]:
    if not run.log.is_file():
        return ()
    return tuple(run.log.read_text(encoding="utf-8").splitlines())


def _tensors(run: RunFolder) -> tuple[str, ...]:
    """Names in the weights file: its header alone is read."""
    if not run.best.is_file():
        return ()
    with run.best.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        try:
            header = json.loads(file.read(min(length, run.best.stat().st_size)))
        except ValueError as error:
            raise SaccadeError(
                f"{run.best}: damaged, no safetensors file; put it back, or train again",
                name="bad-run",
                files=[str(run.best)],
            ) from error
    return tuple(name for name in header if name != "__metadata__")


def _thumbnails(run: RunFolder, part: str) -> Columns:
    path = run.thumbnails(part)
    if not path.is_file():
        return {}
    table = run.read_table(path)
    chosen = np.unique(np.linspace(0, len(table) - 1, MOST_THUMBNAILS).astype(int))
    table = table.take(pa.array(chosen)) if len(table) else table
    pixels = [_pixels(jpeg) for jpeg in table["jpeg"].to_pylist()]
    return {
        "index": table["index"].to_numpy(),
        "pixels": np.stack(pixels) if pixels else np.empty((0, SIDE, SIDE, 3), np.uint8),
    }


def _pixels(jpeg: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(jpeg)) as picture:
        small = picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX)
        return np.asarray(small)


def _scale(task: str, predictions: Mapping[str, Columns]) -> float:
    """Mean absolute distance of the training targets from their median, for numbers."""
    rows = predictions.get("train", {})
    if task != "regression" or "target" not in rows:
        return 1.0
    values = [json.loads(text) for text in rows["target"]]
    known = [value for value in values if value is not None]
    if not known:
        return 1.0
    table = np.array(known, dtype=np.float64).reshape(len(known), -1)
    spread = float(np.nanmean(np.abs(table - np.nanmedian(table, axis=0))))
    return spread if spread > 0 else 1.0
