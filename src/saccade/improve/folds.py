"""Out-of-sample answers for training pictures: each is asked of a network that never saw it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from saccade.data.dataset import Dataset
from saccade.errors import SaccadeError
from saccade.experiment.prepare import Reporter
from saccade.experiment.train import train
from saccade.recipe import make_recipe, read_recipe
from saccade.training.run import RunFolder

FEWEST = 20
"""Training pictures of a fold below which its answers tell nothing."""


def train_folds(
    dataset: Dataset, run: RunFolder, count: int, *, reporter: Reporter | None = None
) -> int:
    """Train `count` networks with the run's recipe, each without one part of its training pictures.

    Their answers on what they did not see go into the run (labels/folds.parquet), the trainings
    into labels/folds; those that are there already are not done again. dataset: the run's own.
    Returns the number of pictures that were asked. Raises SaccadeError where they are too few.
    """
    reporter = reporter or Reporter()
    fold_of = draw_folds(run.read_json(run.data)["examples"], count)
    if len(fold_of) < count * FEWEST:
        raise SaccadeError(
            f"{run.root}: {len(fold_of)} training pictures are too few for {count} folds; expected "
            f"{count * FEWEST} or more.",
            name="too-few-examples",
        )
    recipe = make_recipe({"data.train_dev": 0.0}, read_recipe(run.args))
    tables = []
    for fold in range(count):
        place = RunFolder(run.folds.parent / "folds" / f"{fold + 1}of{count}")
        done = place.predictions("dev").is_file()
        reporter.say(f"{place.root}{' (there already)' if done else ''}")
        if not done:
            train(_without(dataset, fold_of, fold), recipe, place, reporter=reporter)
        tables.append(place.read_table(place.predictions("dev")))
    together = pa.concat_tables(tables)
    run.write_table(run.folds, {name: together[name] for name in together.column_names})
    return int(together.num_rows)


def draw_folds(
    examples: Sequence[Mapping[str, Any]], count: int, *, seed: int = 0
) -> dict[str, int]:
    """Key -> fold, of the training part. Groups, and copies of one picture, stay together."""
    training = [entry for entry in examples if entry["part"] == "train"]
    kinds = {
        entry["key"]: str(entry.get("group") or entry.get("sha256") or entry["key"])
        for entry in training
    }
    names = sorted(set(kinds.values()))
    order = np.random.default_rng(seed).permutation(len(names))
    fold = {names[place]: turn % count for turn, place in enumerate(order.tolist())}
    return {key: fold[kind] for key, kind in kinds.items()}


def _without(dataset: Dataset, fold_of: Mapping[str, int], fold: int) -> Dataset:
    """The training part alone, one fold of it as dev."""
    kept = [
        replace(example, split="dev" if fold_of[example.key] == fold else "train")
        for example in dataset.examples
        if example.key in fold_of
    ]
    return replace(dataset, examples=tuple(kept))
