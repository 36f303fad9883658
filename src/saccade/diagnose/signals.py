"""Numbers that several findings look at: curves, layers, rates, what was learned."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from saccade.data.manifest import in_shares
from saccade.diagnose.commands import of_recipe
from saccade.diagnose.gaps import measure_gaps
from saccade.ops.intervals import wilson
from saccade.training.rates import PER_256, usual_rate
from saccade.types import Evidence, Measure

NOTHING = Measure(value=0.0, low=0.0, high=0.0, n=0)


def curve(evidence: Evidence, name: str) -> np.ndarray:
    """(epochs,) of a column of results.csv, without what is not finite."""
    values = np.asarray(evidence.curves.get(name, ()), dtype=np.float64)
    return values[np.isfinite(values)]


def layers(evidence: Evidence, column: str, *, start: bool = False) -> np.ndarray:
    """(epochs, layers) of a column of health.csv in the network's order, NaN where unknown.

    start: one row alone, that before the first update (of the first epoch where it is not known).
    """
    names = list(dict.fromkeys(row["layer"] for row in evidence.health))
    known = sorted({row["epoch"] for row in evidence.health})
    epochs = known[:1] if start else [epoch for epoch in known if epoch > 0]
    table = np.full((len(epochs), len(names)), math.nan)
    for row in evidence.health:
        if row["epoch"] in epochs:
            place = epochs.index(row["epoch"]), names.index(row["layer"])
            table[place] = row.get(column, math.nan)
    return table


def growth(evidence: Evidence) -> float:
    """Largest variance of a layer's outputs over the first layer's, before training; NaN unknown.

    Without normalisation and with too large weights it doubles from block to block.
    """
    first = layers(evidence, "variance", start=True)
    found = known(first[0]) if len(first) else np.empty(0)
    return float(found.max() / max(found[0], 1e-30)) if len(found) else math.nan


def worst_layer(evidence: Evidence, values: np.ndarray) -> str:
    """The layer with the largest of (layers,) values."""
    names = list(dict.fromkeys(str(row["layer"]) for row in evidence.health))
    return names[int(np.nanargmax(values))]


def known(values: np.ndarray) -> np.ndarray:
    finite: np.ndarray = values[np.isfinite(values)]
    return finite


def error(evidence: Evidence, part: str) -> float:
    measured = evidence.errors.get(part)
    return measured.value if measured else math.nan


def gap(evidence: Evidence, name: str) -> Measure:
    """A gap by name, zero where it could not be measured."""
    found: Mapping[Any, Measure] = measure_gaps(evidence)
    return found.get(name, NOTHING)


def labels(evidence: Evidence, part: str) -> np.ndarray:
    """(n,) class names of a part, empty where the task has no single class."""
    rows = evidence.predictions.get(part, {})
    if evidence.task != "classification" or "target" not in rows:
        return np.empty(0, dtype=object)
    return np.asarray(rows["target"], dtype=object)


def class_counts(evidence: Evidence) -> dict[str, int]:
    """Training examples of each class; {} where the task has no single class."""
    if evidence.task != "classification":
        return {}
    counts: dict[str, int] = {name: 0 for name in classes(evidence)}
    fields = evidence.data.get("fields") or [{"name": "label"}]
    for entry in evidence.data.get("examples", ()):
        label = (entry.get("target") or {}).get(fields[0]["name"])
        if entry["part"] == "train" and isinstance(label, str):
            counts[label] = counts.get(label, 0) + 1
    return counts


def classes(evidence: Evidence) -> tuple[str, ...]:
    if evidence.card is not None and evidence.card.fields:
        return evidence.card.fields[0].classes
    return tuple(sorted(set(labels(evidence, "train").tolist())))


def chance(evidence: Evidence) -> float:
    """Training error of always saying what is most frequent."""
    found = labels(evidence, "train")
    if len(found) == 0:
        return evidence.scale
    counts = np.unique(found, return_counts=True)[1]
    return float(max(1e-9, 1 - counts.max() / counts.sum()))


def unlearned(evidence: Evidence, part: str = "train") -> float:
    """Error as a share of chance: 0 all is learned, 1 nothing is."""
    return error(evidence, part) / chance(evidence)


def train_size(evidence: Evidence) -> int:
    """Training examples that were used."""
    if len(evidence.dynamics.get("index", ())):
        return len(evidence.dynamics["index"])
    count = evidence.data.get("parts", {}).get("train", 0)
    return max(1, round(int(count) * float(of_recipe(evidence, "data.fraction", 1.0))))


def epochs_done(evidence: Evidence) -> int:
    return len(evidence.curves.get("epoch", ()))


def updates_done(evidence: Evidence) -> int:
    batch = int(of_recipe(evidence, "train.batch", 32))
    seen = train_size(evidence) * int(of_recipe(evidence, "data.views", 1) or 1)
    return epochs_done(evidence) * math.ceil(seen / batch)


SHORT = 150
"""Updates in which hardly any network gets anywhere."""


def short(evidence: Evidence) -> bool:
    """Whether the training was too short to tell much of anything else."""
    return updates_done(evidence) < SHORT or epochs_done(evidence) <= 2


def stuck(evidence: Evidence) -> bool:
    """Whether the training part is hardly learned, as where nothing reaches the first layers.

    Errors of boxes and masks are large in good networks too.
    """
    return unlearned(evidence) > (0.3 if evidence.task == "classification" else 0.7)


def update_ratio(evidence: Evidence, *, typical: bool = False) -> float:
    """Relative change of weights by one update: of the middle layer, at its largest or typically.

    NaN where unknown.
    """
    table = layers(evidence, "update_ratio")
    table = np.where(table > 0, table, math.nan)  # layers that are kept do not count
    rows = [float(np.median(known(row))) for row in table if len(known(row))]
    if not rows:
        return math.nan
    return float(np.median(rows)) if typical else max(rows)


def first_loss(evidence: Evidence) -> float:
    """Mean loss of the first epoch over that of guessing; above 1, updates did harm."""
    return loss_over_chance(evidence, 0)


def loss_over_chance(evidence: Evidence, epoch: int) -> float:
    """Mean training loss of an epoch (0 the first, -1 the last) over that of guessing."""
    losses = evidence.curves.get("train/loss", ())
    count = len(classes(evidence))
    if not losses or evidence.task != "classification" or count < 2:
        return math.nan
    return losses[epoch] / math.log(count)


FALLING = ("regression", "landmarks")
"""Tasks whose score is an error: smaller is better."""


def scores(evidence: Evidence) -> np.ndarray:
    """(epochs,) the score on dev, larger is better."""
    names = [name for name in evidence.curves if name.startswith("metrics/")]
    values = curve(evidence, names[0]) if names else np.zeros(1)
    return -values if evidence.task in FALLING else values


def largest_drop(evidence: Evidence) -> float:
    """How far the score on the clean training part fell from one epoch to the next, 0..1."""
    names = [name for name in evidence.curves if name.startswith("train/") and name != "train/loss"]
    values = curve(evidence, names[0]) if names and evidence.task not in FALLING else np.zeros(1)
    return float(max(0.0, (values[:-1] - values[1:]).max())) if len(values) > 1 else 0.0


def relative_rate(evidence: Evidence) -> float:
    """lr0 over what is usual for the optimiser and the batch; NaN where that is not known.

    Up to three times the usual rate of SGD is usual too: there 1 is half-way between.
    """
    name = str(of_recipe(evidence, "optimizer.name", ""))
    rate = of_recipe(evidence, "optimizer.lr0")
    if not isinstance(rate, float | int):
        return math.nan
    batch = int(of_recipe(evidence, "train.batch", 32))
    return float(rate) / (usual_rate(name, batch) * (1.5 if name in PER_256 else 1))


def broke_down(evidence: Evidence) -> bool:
    """Whether the loss stopped being a number."""
    told = any("not finite" in line for line in evidence.log)
    losses = evidence.curves.get("train/loss", ())
    return told or any(not math.isfinite(value) for value in losses)


def shown(measure: Measure) -> dict[str, float]:
    """A number with its interval, as evidence of a finding."""
    return {"value": measure.value, "low": measure.low, "high": measure.high}


def share(count: int, total: int) -> Measure:
    """How many of all, with Wilson's interval."""
    low, high = wilson(count, total)
    return Measure(value=count / max(1, total), low=low, high=high, n=total)


def error_text(evidence: Evidence, value: float) -> str:
    """An error for people: percent where errors are shares, else a plain number."""
    return percent(value) if in_shares(evidence.data) else f"{value:.4g}"


def percent(value: float) -> str:
    return f"{100 * value:.1f} %"
