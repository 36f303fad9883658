"""Panda: one run, nursed. It is paused every few epochs, looked at, and goes on with another rate.

What somebody does who can afford one training only and watches it day by day: while the run gets
better its rate is raised a little; a pause that brings nothing lowers it, and one that made things
worse, or ended in numbers that are not finite, is taken back to where it began and tried again at a
lower rate. The rate is what the notes rank first, and the only thing that is changed.

The run is an ordinary one, and each stretch between pauses an ordinary training that is resumed
with another `optimizer.lr0`. Before each stretch a copy of the run's weights and saved state stands
beside it, with the diary in one folder that appears by a single rename; so a nursing that is killed
begins its last stretch again, and comes out as if it never had been.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from saccade.data.dataset import Dataset
from saccade.errors import SaccadeError
from saccade.experiment.prepare import Reporter
from saccade.experiment.train import train
from saccade.files import sync_folder, write_atomic
from saccade.limits import larger_is_better
from saccade.recipe import Recipe, from_dict, make_recipe
from saccade.tasks import table
from saccade.training.run import RunFolder

RAISED, LOWERED = 1.3, 1 / 3
"""What the rate is multiplied by after a good stretch, and after one that brought nothing."""
SETTLED = 1e-3
"""The run is done when its rate has fallen to this share of its highest."""
BETTER, WORSE = 0.99, 1.02
"""Dev loss relative to the best before, below which a stretch was good, and from which it is taken
back where its score was no better either."""
EPOCHS = 20
"""Where the recipe names no number."""
LAST = 2
"""Stretches in the end before which the rate falls, whatever came before: small steps settle."""


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Epochs first..last (from 1) at one rate. score, loss: best on dev in it; then: what followed.

    then: "raised", "lowered", or "taken back" (the epochs are trained again at a lower rate)
    """

    first: int
    last: int
    rate: float
    score: float
    loss: float
    then: str


@dataclass(frozen=True, kw_only=True)
class Diary:
    """All stretches so far, and where the next one begins, at which rate."""

    metric: str
    """The task's main one; "" while no epoch is done."""
    rate: float
    epoch: int = 0
    stretches: tuple[Stretch, ...] = ()

    @property
    def highest(self) -> float:
        return max([self.rate, *(each.rate for each in self.stretches)])

    def best(self) -> tuple[float, float]:
        """Score (larger is better) and loss of the best stretch that was kept."""
        kept = [each for each in self.stretches if each.then != "taken back"]
        sign = 1 if larger_is_better(self.metric) else -1
        return (
            max((sign * each.score for each in kept), default=-math.inf),
            min((each.loss for each in kept), default=math.inf),
        )


def nurse(
    dataset: Dataset, recipe: Recipe, run: RunFolder, *, every: int, reporter: Reporter
) -> Diary:
    """Train `run` for the recipe's epochs, those taken back not counted, with a pause after every
    `every`.

    Goes on where a nursing of the same folder stood. The rate between pauses is constant.
    """
    epochs = recipe.train.epochs or EPOCHS
    diary = _opened(run)
    while diary is None or (diary.epoch < epochs and not _settled(diary)):
        end = min((diary.epoch if diary else 0) + every, epochs)
        ending = end + LAST * every >= epochs
        diary = _stretch(dataset, recipe, run, diary, end, ending=ending, reporter=reporter)
        _write(run, diary)
    if diary.stretches[-1].then == "taken back":
        _restore(run)
    # the report needs the run's own last words, which a stretch that was taken back has spoilt
    settings: dict[str, Any] = {"train.epochs": max(1, diary.epoch)}
    train(dataset, make_recipe(settings, _recipe_of(run)), run, reporter=reporter)
    return diary


def _stretch(
    dataset: Dataset,
    recipe: Recipe,
    run: RunFolder,
    diary: Diary | None,
    end: int,
    *,
    ending: bool,
    reporter: Reporter,
) -> Diary:
    """Train up to epoch `end`, look, decide."""
    settings: dict[str, Any] = {"train.epochs": end, "train.patience": 0}
    if diary is None:
        settings |= {"optimizer.schedule": "constant"}
        plan = make_recipe(settings, recipe)
    else:
        _restore(run)
        plan = make_recipe({**settings, "optimizer.lr0": diary.rate}, _recipe_of(run))
    failed = False
    try:
        # what is wrong with the data is said once
        warn = reporter.warn if diary is None else _silent
        train(dataset, plan, run, reporter=replace(reporter, say=_silent, warn=warn))
    except SaccadeError as error:
        if error.name != "non-finite-loss":
            raise
        failed = True
    args = run.read_args()
    rate = float(args["optimizer"]["lr0"])
    diary = Diary(metric="", rate=rate) if diary is None else diary
    diary = replace(diary, metric=diary.metric or _main(run))
    rows = [] if failed else run.read_results()[diary.epoch :]
    found = judged(diary, rows, end, ending=ending)
    told = found.stretches[-1]
    reporter.say(
        f"epochs {told.first} to {told.last} at rate {told.rate:.3g}: {diary.metric} "
        f"{told.score:.4f}, dev loss {told.loss:.4f}; {told.then}, now {found.rate:.3g}"
    )
    return found


def judged(
    diary: Diary, rows: Sequence[Mapping[str, float]], end: int, *, ending: bool = False
) -> Diary:
    """The diary after a stretch up to epoch `end` with these lines of results.csv.

    rows: empty where the numbers were not finite;  ending: little is left, so the rate falls
    """
    sign = 1 if larger_is_better(diary.metric) else -1
    scores = [sign * row.get(f"metrics/{diary.metric}", math.nan) for row in rows]
    losses = [row["val/loss"] for row in rows]
    score = max((each for each in scores if each == each), default=-math.inf)
    loss = min((each for each in losses if each == each), default=math.inf)
    best_score, best_loss = diary.best()
    last = losses[-1] if losses else math.inf
    if not last < WORSE * best_loss and not score > best_score:
        then, rate, epoch = "taken back", diary.rate * LOWERED, diary.epoch
    elif not ending and (score > best_score or loss < BETTER * best_loss):
        then, rate, epoch = "raised", diary.rate * RAISED, end
    else:
        then, rate, epoch = "lowered", diary.rate * LOWERED, end
    stretch = Stretch(
        first=diary.epoch + 1,
        last=end,
        rate=diary.rate,
        score=sign * score,
        loss=loss,
        then=then,
    )
    return replace(
        diary, rate=float(f"{rate:.3e}"), epoch=epoch, stretches=(*diary.stretches, stretch)
    )


def _settled(diary: Diary) -> bool:
    """Whether the rate is so small that more epochs change nothing; a first rate may be far off."""
    share = SETTLED if diary.epoch else SETTLED**4
    return diary.rate < share * diary.highest


def _opened(run: RunFolder) -> Diary | None:
    """The diary of the newest copy; None where nursing has not begun."""
    copies = _copies(run)
    if not copies:
        return None
    values = json.loads((copies[-1] / "diary.json").read_text(encoding="utf-8"))
    stretches = tuple(Stretch(**each) for each in values.pop("stretches"))
    return Diary(**values, stretches=stretches)


def _write(run: RunFolder, diary: Diary) -> None:
    """A new copy with the diary; the one before goes when this one is safe."""
    before = _copies(run)
    place = run.root / "nursing"
    new = place / f".new-{len(diary.stretches):04d}"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    back = diary.stretches[-1].then == "taken back"
    source = (before[-1] if before else new) if back else run.root
    if (source / "weights").is_dir():
        shutil.copytree(source / "weights", new / "weights")
    write_atomic(new / "diary.json", json.dumps(asdict(diary), indent=1))
    new.rename(place / f"{len(diary.stretches):04d}")
    sync_folder(place)
    for old in before:
        shutil.rmtree(old)


def _restore(run: RunFolder) -> None:
    """Weights and saved state as they stood in the newest copy; none where it has none."""
    shutil.rmtree(run.best.parent, ignore_errors=True)
    kept = _copies(run)[-1] / "weights"
    if kept.is_dir():
        shutil.copytree(kept, run.best.parent)


def _copies(run: RunFolder) -> list[Path]:
    return sorted((run.root / "nursing").glob("[0-9]*"))


def _recipe_of(run: RunFolder) -> Recipe:
    return from_dict({key: value for key, value in run.read_args().items() if key != "run"})


def _main(run: RunFolder) -> str:
    """The metric by which the run keeps its best network; "" while it has none."""
    return table.from_card(run.read_best()[1]).metric().main if run.card.is_file() else ""


def _silent(line: str) -> None:
    pass
