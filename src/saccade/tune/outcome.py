"""What a search found: every trial, the best one, what mattered, and the recipe to use."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from saccade.files import write_atomic
from saccade.limits import Limit
from saccade.recipe import Recipe, from_dict, make_recipe
from saccade.tune.space import Axis

MACHINE = (
    "data.workers",
    "train.accumulate",
    "train.device",
    "train.precision",
    "train.channels_last",
    "train.threads",
)
"""Settings that every machine decides for itself."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One training of a search.

    state   done, pruned (given up early), running, waiting
    value   of the metric that is optimised, on dev; NaN = none. Of a pruned one: its last epoch's
    values  every metric and cost known of it;  kept: whether it keeps all limits
    drawn   axis -> number or choice, of the axes that were free;  settings: what they stand for
    ended   when, in seconds since 1970, 0 = not yet
    curve   of the metric, by epoch;  recipe: complete, of a finished one
    """

    number: int
    state: str
    value: float = math.nan
    values: Mapping[str, float] = field(default_factory=dict)
    kept: bool = True
    drawn: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    curve: Sequence[float] = ()
    seconds: float = math.nan
    ended: float = 0.0
    run: str = ""
    why: str = ""
    recipe: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A search as it stands. folder: with best.yaml and the page;  best: None while there is none.

    importance  axis -> share of the differences between finished trials that it explains
    base        axis -> its value where it was not free
    """

    folder: Path
    task: str
    metric: str
    maximize: bool
    limits: tuple[Limit, ...]
    axes: tuple[Axis, ...]
    base: Mapping[str, Any]
    trials: tuple[Trial, ...]
    importance: Mapping[str, float]
    seconds: float = math.nan

    @property
    def best(self) -> Trial | None:
        """The best finished trial that keeps every limit."""
        return best_of(self.trials, self.maximize)

    @property
    def recipe(self) -> Path:
        return self.folder / "best.yaml"

    @property
    def page(self) -> Path:
        return self.folder / "report.html"

    def as_dict(self) -> dict[str, Any]:
        """The JSON of the command line."""
        best = self.best
        return {
            "run": str(self.folder),
            "task": self.task,
            "metric": self.metric,
            "direction": "maximize" if self.maximize else "minimize",
            "limits": [str(each) for each in self.limits],
            "trials": [_told(each) for each in self.trials],
            "best": None if best is None else _told(best),
            "importance": dict(self.importance),
            "recipe": None if best is None else str(self.recipe),
            "report": str(self.page),
            "seconds": self.seconds,
        }

    def write_best(self) -> None:
        """best.yaml: the best trial's recipe, complete but for what the machine decides."""
        if self.best is None:
            return
        recipe = portable(from_dict(self.best.recipe)).as_dict()
        about = (
            f"# {self.metric} {self.best.value:.4f} on dev: the best of {len(self.trials)} trials\n"
        )
        write_atomic(self.recipe, about + yaml.safe_dump(recipe, sort_keys=False))


def best_of(trials: Sequence[Trial], maximize: bool) -> Trial | None:
    """The best finished trial that keeps every limit; None where there is none."""
    sign = 1 if maximize else -1
    able = [each for each in trials if each.state == "done" and each.kept]
    able = [each for each in able if math.isfinite(each.value)]
    return max(able, key=lambda each: (sign * each.value, -each.number), default=None)


def _told(trial: Trial) -> dict[str, Any]:
    return {
        key: value
        for key, value in asdict(trial).items()
        if key not in ("drawn", "ended", "recipe")
    }


def portable(recipe: Recipe) -> Recipe:
    """The recipe with what a machine decides for itself left open."""
    return make_recipe(dict.fromkeys(MACHINE), recipe)


def flat(recipe: Recipe) -> dict[str, Any]:
    """Settings by their full path."""
    values: dict[str, Any] = {}
    for section, part in recipe.as_dict().items():
        if isinstance(part, dict):
            values |= {f"{section}.{key}": value for key, value in part.items()}
        else:
            values[section] = part
    return values
