"""Would more data help? Trainings on growing parts of the data, one dev part for all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from saccade.data.dataset import Dataset
from saccade.data.manifest import groups_of, in_shares
from saccade.errors import SaccadeError
from saccade.experiment.prepare import Reporter
from saccade.experiment.train import train
from saccade.improve.curve_fit import FEW, Fit, fit_curve
from saccade.recipe import Recipe, from_dict, make_recipe
from saccade.training.run import RunFolder
from saccade.types import Measure

SHARES = (0.0625, 0.125, 0.25, 0.5, 1.0)
"""Of the training examples: each twice the one before."""

FEWEST = 20
"""Training examples below which a part tells nothing of larger ones."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """One training. errors: dev key -> error; classes: dev key -> its class, "" where none.

    groups: dev key -> its group; empty where the data name none
    """

    share: float
    seed: int
    examples: int
    errors: Mapping[str, float]
    classes: Mapping[str, str]
    groups: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Curve:
    """All trainings and the law through them. percent: whether errors are shares."""

    folder: RunFolder
    task: str
    points: tuple[Point, ...]
    fit: Fit
    percent: bool = True

    @property
    def sentence(self) -> str:
        """Such as: twice the data: 8.1 % -> 6.4 % (5.6-7.3)."""
        return f"twice the data: {self._told(self.fit.now, self.fit.twice)}"

    @property
    def advice(self) -> str:
        """Whether that is worth it."""
        gain = self.fit.gain
        if self.fit.now * gain.n < FEW:
            return "Dev holds too few mistakes to foresee anything: it has to become larger first."
        if gain.low > 0:
            return "More data help, beyond noise."
        if gain.high < 0.1 * self.fit.now:
            return "More data would hardly help: the curve is flat."
        return "Whether more data help cannot be told: the gain is within noise (--repeats 3)."

    def class_lines(self) -> list[str]:
        """The same sentence class by class, the largest gain first."""
        found = sorted(self.fit.classes.items(), key=lambda item: item[1][1].value - item[1][0])
        return [f"{name}: {self._told(now, twice)}" for name, (now, twice) in found]

    def _told(self, now: float, then: Measure) -> str:
        if not self.percent:
            return f"{now:.4g} -> {then.value:.4g} ({then.low:.4g} to {then.high:.4g})"
        low, high = 100 * then.low, 100 * then.high
        return f"{100 * now:.1f} % -> {100 * then.value:.1f} % ({low:.1f}-{high:.1f})"

    def as_dict(self) -> dict[str, Any]:
        """The JSON of the command line and of curve.json."""
        fit = self.fit
        return {
            "run": str(self.folder.root),
            "task": self.task,
            "points": [
                {
                    "share": point.share,
                    "seed": point.seed,
                    "examples": point.examples,
                    "error": float(np.mean(list(point.errors.values()))),
                }
                for point in self.points
            ],
            "fit": {"floor": fit.floor, "factor": fit.factor, "exponent": fit.exponent},
            "twice": {"now": fit.now, **vars(fit.twice)},
            "gain": vars(fit.gain),
            "classes": {
                name: {"now": now, **vars(twice)} for name, (now, twice) in fit.classes.items()
            },
            "sentence": self.sentence,
            "advice": self.advice,
        }


def learning_curve(
    dataset: Dataset,
    recipe: Recipe,
    folder: RunFolder,
    *,
    shares: Sequence[float] = SHARES,
    repeats: int = 1,
    reporter: Reporter | None = None,
) -> Curve:
    """Train on each share of the training part and fit a power law to the errors on dev.

    folder: of the curve; each training is a run below it, and those that are there already are not
    trained again, so that a curve that was stopped goes on. repeats: trainings per share, which
    differ in seed and drawn examples. Raises SaccadeError where fewer than three shares are left.
    """
    reporter = reporter or Reporter()
    plan = _plan(recipe, folder)
    seed = plan.data.seed if plan.data.seed is not None else plan.train.seed
    points: list[Point] = []
    for share in sorted(set(shares), reverse=True):
        for repeat in range(repeats):
            number = plan.train.seed + repeat
            place = RunFolder(folder.root / "parts" / f"{share:g}-seed{number}")
            fraction = share * plan.data.fraction
            settings = {"data.fraction": fraction, "data.seed": seed, "train.seed": number}
            done = place.dynamics.is_file()
            reporter.say(f"{place.root}{' (there already)' if done else ''}")
            if not done:
                train(dataset, make_recipe(settings, plan), place, reporter=reporter)
            points.append(_point(place, share, number))
        if points[-1].examples / 2 < FEWEST:
            break  # the next part would be too small
    if len({point.share for point in points}) < 3:
        raise SaccadeError(
            f"{points[0].examples} training examples are too few for a learning curve: parts of "
            f"at least {FEWEST} are needed, and three of them. Train on all, with pretrained "
            "weights (--weights imagenet).",
            name="too-few-examples",
        )
    ordered = sorted(points, key=lambda point: (point.share, point.seed))
    last = RunFolder(folder.root / "parts" / _name(ordered[-1]))
    manifest = last.read_json(last.data)
    # places are missed by any number of eye distances
    bounded = all(entry["kind"] not in ("values", "points") for entry in manifest["fields"])
    curve = Curve(
        folder=folder,
        task=str(last.read_args()["task"]),
        points=tuple(ordered),
        fit=_fit(ordered, 1.0 if bounded else math.inf),
        percent=in_shares(manifest),
    )
    folder.write_json(folder.root / "curve.json", curve.as_dict())
    return curve


def _name(point: Point) -> str:
    return f"{point.share:g}-seed{point.seed}"


def _plan(recipe: Recipe, folder: RunFolder) -> Recipe:
    """The recipe of the curve: that of its first day where it goes on."""
    if not folder.args.is_file():
        folder.write_args(recipe.as_dict())
        return recipe
    before = from_dict(folder.read_args())
    if before != recipe:
        raise SaccadeError(
            f"--resume: {folder.root} was begun with another recipe. Leave other keys out to go "
            "on, or begin a curve of another --name.",
            name="resume-differs",
        )
    return before


def _point(run: RunFolder, share: float, seed: int) -> Point:
    table = run.read_table(run.predictions("dev"))
    columns = {name: table[name].to_pylist() for name in ("key", "error", "target")}
    single = run.read_args()["task"] == "classification"
    rows = list(zip(*columns.values(), strict=True))
    groups = groups_of(run.read_json(run.data), columns["key"])
    return Point(
        share=share,
        seed=seed,
        examples=run.read_table(run.dynamics).num_rows,
        errors={key: error for key, error, _ in rows if error is not None and math.isfinite(error)},
        classes={key: target if single else "" for key, _, target in rows},
        groups={} if groups is None else dict(zip(columns["key"], groups, strict=True)),
    )


def _fit(points: Sequence[Point], most: float) -> Fit:
    keys = sorted(set.intersection(*(set(point.errors) for point in points)))
    errors = np.array([[point.errors[key] for key in keys] for point in points])
    classes = np.array([points[0].classes[key] for key in keys])
    named = points[0].groups
    groups = np.array([named[key] for key in keys]) if named else None
    sizes = np.array([point.examples for point in points])
    return fit_curve(sizes, errors, classes, groups=groups, most=most)
