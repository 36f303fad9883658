"""The record of a search: optuna's study in a database that several processes share."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from saccade.errors import SaccadeError
from saccade.tune.space import Axis, Choice, Span, place

BEAT, GRACE = 10, 60
"""Seconds between signs of life of a trial, and after which silence means that it died."""

TRIES = 3
"""So often a trial may take its process along."""

AGAIN, ENDED = "again", "ended"
"""Marks of trials: put back for this place in the search; ended with a reason of its own."""

FOUNDERS = ("base", "trials")
"""What the first process of a study decides for all."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a study is kept. url: of a database;  name: in it;  beat, grace: as above."""

    url: str
    name: str
    beat: int = BEAT
    grace: int = GRACE


def local(folder: Path) -> str:
    """The address of a study's own SQLite file."""
    return f"sqlite:///{(folder / 'study.db').resolve()}"


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Without optuna's notes that heartbeats are a young part of it, and without its log."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield


def open_study(
    where: Place,
    *,
    maximize: bool,
    sampler: str,
    seed: int,
    epochs: int,
    about: Mapping[str, Any],
) -> optuna.Study:
    """The study of that name, made where there is none.

    sampler  "random", or "tpe", which learns from earlier trials
    epochs   of a trial: after a fifth and three fifths of them, all but the best third of those
             that came so far are given up
    about    what all who draw from the study must agree on, but for FOUNDERS

    Raises SaccadeError where the study is about something else or the database does not answer.
    """
    with quietly():
        study = optuna.create_study(
            storage=_storage(where),
            study_name=where.name,
            direction="maximize" if maximize else "minimize",
            sampler=optuna.samplers.TPESampler() if sampler == "tpe" else Keyed(seed),
            # Li and others 2020, arXiv 1810.05934: nobody waits for others
            pruner=optuna.pruners.SuccessiveHalvingPruner(
                min_resource=max(1, epochs // 5), reduction_factor=3
            ),
            load_if_exists=True,
        )
    known = study.user_attrs
    for key, value in about.items():
        if key not in known:
            study.set_user_attr(key, value)
        elif known[key] != value and key not in FOUNDERS:
            raise SaccadeError(
                f"the study {where.name!r} has other {key}: {_differing(known[key], value)}. Join "
                "it with the same data and keys, or choose another --name.",
                name="other-study",
            )
    return study


def _differing(there: Any, here: Any, below: str = "") -> str:
    """What differs, by dotted key where both are mappings."""
    if not isinstance(there, dict) or not isinstance(here, dict):
        return f"{below} {_short(there)} there, {_short(here)} here".strip()
    dot = f"{below}." if below else ""
    return "; ".join(
        _differing(there.get(key), here.get(key), f"{dot}{key}")
        for key in dict.fromkeys([*there, *here])
        if there.get(key) != here.get(key)
    )


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _storage(where: Place) -> RDBStorage:
    failure: Exception | None = None
    # two processes that begin at the same moment both make the tables, and one is late
    for _ in range(5):
        try:
            return RDBStorage(
                where.url,
                engine_kwargs={"connect_args": {"timeout": 60}}
                if where.url.startswith("sqlite")
                else {"pool_pre_ping": True},
                heartbeat_interval=where.beat,
                grace_period=where.grace,
            )
        except ImportError as error:
            raise SaccadeError(
                f"--storage: the driver of that database is not installed ({error}).",
                name="missing-extra",
            ) from error
        except Exception as error:
            failure = error
    raise SaccadeError(
        f"--storage: the database cannot be opened ({type(failure).__name__}). Expected a URL such "
        "as sqlite:////shared/study.db or postgresql://user:password@host/name.",
        name="bad-storage",
    ) from failure


class Keyed(optuna.samplers.BaseSampler):
    """Random draws that depend on the seed, the trial's place and the axis alone."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: Mapping[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        slot = slot_of(study, trial.number)
        return axis_of(param_name, param_distribution).at(place(self._seed, slot, param_name))


def axis_of(name: str, kind: Any) -> Axis:
    """The axis that a distribution of optuna stands for."""
    if isinstance(kind, CategoricalDistribution):
        return Choice(name, kind.choices)
    return Span(name, kind.low, kind.high, log=kind.log, whole=isinstance(kind, IntDistribution))


def suggest(trial: Trial, axis: Axis) -> Any:
    """A value on `axis` for this trial, which is recorded under the axis's name."""
    if isinstance(axis, Choice):
        return trial.suggest_categorical(axis.name, axis.options)
    if axis.whole:
        return trial.suggest_int(axis.name, int(axis.low), int(axis.high), log=axis.log)
    return trial.suggest_float(axis.name, axis.low, axis.high, log=axis.log)


def slots(study: optuna.Study) -> dict[int, list[FrozenTrial]]:
    """All that was made of each place in the search, 0, 1, 2 ..., in order.

    optuna's own numbers grow by what was put back too, so a fresh trial takes the place that as
    many fresh ones before it leave; its number was given out once only, and so is the place.
    """
    found: dict[int, list[FrozenTrial]] = {}
    fresh = 0
    for each in study.get_trials(deepcopy=False):
        slot = each.user_attrs.get(AGAIN, fresh)
        fresh += AGAIN not in each.user_attrs
        found.setdefault(slot, []).append(each)
    return found


def slot_of(study: optuna.Study, number: int) -> int:
    """The place in the search of the trial with optuna's `number`."""
    return next(
        slot for slot, tries in slots(study).items() if any(each.number == number for each in tries)
    )


def put_back_lost(study: optuna.Study, trials: int) -> None:
    """Trials whose process gives no sign of life, or was stopped, wait to be run again.

    One that took its process along TRIES times is given up. Two processes may both put a trial
    back; `is_surplus` tells the second one.
    """
    with quietly():
        optuna.storages.fail_stale_trials(study)
    for slot, tries in slots(study).items():
        if slot >= trials or any(each.state != TrialState.FAIL for each in tries):
            continue
        deaths = sum(ENDED not in each.user_attrs for each in tries)
        attributes: dict[str, Any] = {AGAIN: slot}
        if deaths >= TRIES:
            attributes |= {"why": f"its process died {deaths} times"}
        study.add_trial(
            optuna.create_trial(
                state=TrialState.PRUNED if deaths >= TRIES else TrialState.WAITING,
                params=tries[-1].params,
                distributions=tries[-1].distributions,
                user_attrs=attributes,
            )
        )


def is_surplus(study: optuna.Study, trial: Trial, trials: int) -> bool:
    """Whether processes that did not see each other made one trial too many."""
    slot = slot_of(study, trial.number)
    idle = (TrialState.FAIL, TrialState.WAITING)
    earlier = (each for each in slots(study)[slot] if each.number < trial.number)
    return slot >= trials or any(each.state not in idle for each in earlier)
