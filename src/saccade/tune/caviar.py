"""Caviar: many trainings with other settings; the poor ones are given up early.

Every process that is given the same study draws its next trial from it, on this machine or another.
What a trial draws depends on the seed and its number alone, so the same search comes out however
many processes share it and whatever dies in between. A trial whose process dies gives no sign of
life any more and is run again by whoever comes next; where its folder is at hand it goes on from
its last save.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from saccade.data.dataset import Dataset
from saccade.errors import SaccadeError
from saccade.experiment.prepare import Reporter
from saccade.experiment.train import train
from saccade.limits import COSTS, Limit, costs, larger_is_better
from saccade.predict import load
from saccade.recipe import Recipe, from_dict, make_recipe
from saccade.training.run import RunFolder
from saccade.tune.importance import importance
from saccade.tune.outcome import Outcome, Trial, best_of, flat
from saccade.tune.space import Rank, freed, reopened
from saccade.tune.study import (
    ENDED,
    is_surplus,
    put_back_lost,
    quietly,
    slot_of,
    slots,
    suggest,
)

STATES = {
    TrialState.COMPLETE: "done",
    TrialState.PRUNED: "pruned",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
    TrialState.FAIL: "waiting",
}


class Surplus(Exception):
    """This trial is one too many."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """One process's part in a search. folder: of its own trainings and of the page."""

    dataset: Dataset
    folder: Path
    reporter: Reporter
    study: optuna.Study
    task: str
    metric: str
    limits: tuple[Limit, ...]
    base: Recipe
    given: Recipe
    ranks: Sequence[Rank]
    trials: int

    def work(self) -> None:
        """Run trials until all are done, those of processes that died too."""
        waiting = False
        while True:
            put_back_lost(self.study, self.trials)
            made = slots(self.study)
            states = [each.state for tries in made.values() for each in tries]
            if not set(range(self.trials)) <= set(made) or TrialState.WAITING in states:
                waiting = False
                self._one()
            elif TrialState.RUNNING in states:
                if not waiting:
                    count = states.count(TrialState.RUNNING)
                    self.reporter.say(f"Waiting for {count} trials that other processes run.")
                waiting = True
                time.sleep(1)
            else:
                return

    def _one(self) -> None:
        try:
            with quietly():
                self.study.optimize(self._run, n_trials=1, catch=(Surplus,))
        except optuna.exceptions.UpdateFinishedTrialError:
            # this process was silent for so long that another one took the trial over
            return
        trials = self._made()
        self.reporter.say(self._line(max(trials, key=lambda each: each.ended), trials))

    def _run(self, trial: optuna.Trial) -> float:
        """Train with what the trial draws; its value. Raises TrialPruned where it is given up."""
        if is_surplus(self.study, trial, self.trials):
            trial.set_user_attr(ENDED, True)
            raise Surplus
        slot = slot_of(self.study, trial.number)
        settings: dict[str, Any] = {}
        for axis in freed(self.ranks, slot, self.trials):
            settings |= axis.values(suggest(trial, axis))
        run = RunFolder(self.folder / "trials" / f"{slot:04d}")
        run.root.mkdir(parents=True, exist_ok=True)
        trial.set_user_attr("settings", settings)
        trial.set_user_attr("run", str(run.root))
        watch = _Watch(self, trial, run)
        try:
            train(
                self.dataset,
                self._recipe(settings, run),
                run,
                reporter=replace(self.reporter, say=_silent, warn=_silent, scored=watch),
            )
        except SaccadeError as error:
            trial.set_user_attr(ENDED, True)
            if error.name != "non-finite-loss":
                raise
            watch.give_up("the loss was not finite")
        shutil.rmtree(run.last, ignore_errors=True)
        values = _values(run) | _costs(run)
        trial.set_user_attr("values", values)
        trial.set_user_attr("kept", all(limit.kept(values) for limit in self.limits))
        trial.set_user_attr("recipe", from_dict(_without_origin(run)).as_dict())
        if self.metric not in values:
            trial.set_user_attr(ENDED, True)
            watch.give_up(f"{self.metric} is not defined on these pictures")
        return values[self.metric]

    def _recipe(self, settings: dict[str, Any], run: RunFolder) -> Recipe:
        """Of a trial; one that is taken up again goes on as it was decided."""
        if run.data.is_file():
            return from_dict(_without_origin(run))
        return make_recipe(settings, reopened(self.base, self.given, settings))

    # --- what came of it ---

    def outcome(self, seconds: float = 0.0) -> Outcome:
        """The search as it stands, with the trials of all processes."""
        axes = tuple(axis for rank in self.ranks for axis in rank.axes)
        base = {axis.name: axis.drawn(flat(self.base)) for axis in axes}
        trials = self._made()
        return Outcome(
            folder=self.folder,
            task=self.task,
            metric=self.metric,
            maximize=larger_is_better(self.metric),
            limits=self.limits,
            axes=axes,
            base=base,
            trials=tuple(trials),
            importance=importance(trials, axes, base),
            seconds=seconds,
        )

    def _made(self) -> list[Trial]:
        made = sorted(slots(self.study).items())
        return [_trial(slot, each) for slot, each in made if slot < self.trials]

    def _line(self, trial: Trial, trials: Sequence[Trial]) -> str:
        """For people: what the trial tried and reached, and what is best so far."""
        drawn = ", ".join(
            f"{name.rpartition('.')[2]} {_short(value)}" for name, value in trial.settings.items()
        )
        told = f"{self.metric} {trial.value:.4f}" if trial.value == trial.value else "no score"
        if trial.why:
            told += f", given up: {trial.why}"
        elif not trial.kept:
            told += ", beyond the limits"
        best = best_of(trials, larger_is_better(self.metric))
        ahead = "" if best is None else f"; best {best.value:.4f}, trial {best.number + 1}"
        return (
            f"trial {trial.number + 1} of {self.trials}: {told}, {trial.seconds:.0f} s "
            f"({drawn or 'the defaults'}){ahead}"
        )


class _Watch:
    """Looks at a training after every epoch, and gives it up where that is wise."""

    def __init__(self, search: Search, trial: optuna.Trial, run: RunFolder) -> None:
        self._search, self._trial, self._run = search, trial, run
        self._told = 0

    def __call__(self, rows: Sequence[Mapping[str, float]]) -> None:
        search, key = self._search, f"metrics/{self._search.metric}"
        search.reporter.scored(rows)
        for row in rows[self._told :]:
            self._trial.report(row.get(key, float("nan")), int(row["epoch"]))
        if not self._told:
            self._check_names(rows[-1])
            limits = [each for each in search.limits if each.name in COSTS]
            found = _costs(self._run) if limits else {}
            for limit in limits:
                if not limit.kept(found):
                    self.give_up(f"{limit.name} is {found[limit.name]:.4g}, wanted {limit}")
        self._told = len(rows)
        planned = search.base.train.epochs or 0
        if len(rows) < planned and self._trial.should_prune():
            self.give_up(f"behind others after epoch {len(rows)}")

    def give_up(self, why: str) -> None:
        """End the trial; its weights are of no use. Raises TrialPruned."""
        self._trial.set_user_attr("why", why)
        shutil.rmtree(self._run.best.parent, ignore_errors=True)
        raise optuna.TrialPruned(why)

    def _check_names(self, row: Mapping[str, float]) -> None:
        known = [name.partition("/")[2] for name in row if name.startswith("metrics/")]
        if self._search.metric not in known:
            raise _unknown("--metric", self._search.metric, known)
        for limit in self._search.limits:
            if limit.name not in (*known, *COSTS):
                raise _unknown("--limit", limit.name, [*known, *COSTS])


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _trial(number: int, tries: Sequence[FrozenTrial]) -> Trial:
    """What became of a trial, from all that was made of it."""
    each = next(
        (one for one in tries if one.state.is_finished() and one.state.name != "FAIL"), tries[-1]
    )
    known = each.user_attrs
    curve = [each.intermediate_values[step] for step in sorted(each.intermediate_values)]
    value = each.value if each.state == TrialState.COMPLETE else (curve or [float("nan")])[-1]
    span = each.duration.total_seconds() if each.duration else float("nan")
    return Trial(
        number=number,
        state=STATES[each.state],
        value=float("nan") if value is None else value,
        values=known.get("values", {}),
        kept=known.get("kept", True),
        drawn=each.params,
        settings=known.get("settings", {}),
        curve=curve,
        seconds=span,
        ended=each.datetime_complete.timestamp() if each.datetime_complete else 0.0,
        run=known.get("run", ""),
        why=known.get("why", ""),
        recipe=known.get("recipe", {}),
    )


def _values(run: RunFolder) -> dict[str, float]:
    """Every metric of the finished run's best network on dev."""
    measures = run.read_best()[1].metrics
    return {name: m["value"] for name, m in measures.items() if m["value"] is not None}


def _costs(run: RunFolder) -> dict[str, float]:
    return costs(load(run.root))


def _without_origin(run: RunFolder) -> dict[str, Any]:
    return {key: value for key, value in run.read_args().items() if key != "run"}


def _silent(line: str) -> None:
    pass


def _unknown(key: str, name: str, known: Sequence[str]) -> SaccadeError:
    return SaccadeError(
        f"{key} {name}: not known of this task; known: {', '.join(known)}.", name="unknown-metric"
    )
