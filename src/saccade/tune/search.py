"""A search from its beginning: what is wanted, where it is kept, who takes part."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from saccade.data.dataset import Dataset
from saccade.errors import SaccadeError
from saccade.experiment.assemble import assemble
from saccade.experiment.prepare import Reporter
from saccade.files import write_error
from saccade.limits import Limit, larger_is_better
from saccade.recipe import Recipe, from_dict
from saccade.training.run import RunFolder, new_run
from saccade.tune.caviar import Search
from saccade.tune.outcome import Outcome, portable
from saccade.tune.space import space
from saccade.tune.study import Place, local, open_study


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a search is for.

    trials   in all, whoever runs them;  free: ranks of the ranking, first ones first
    metric   that is optimised on dev; None = the task's main one;  limits: to be kept
    fixed    settings that the user gave;  vary: the user's own axes in place of the ranking
    sampler  random or tpe
    """

    trials: int = 20
    free: int = 3
    metric: str | None = None
    limits: tuple[Limit, ...] = ()
    fixed: Sequence[str] = ()
    vary: Sequence[str] = ()
    sampler: str = "random"


def search(
    dataset: Dataset,
    recipe: Recipe,
    wish: Wish,
    *,
    folder: Path,
    where: Place,
    reporter: Reporter,
) -> Outcome:
    """Take part in the search until all its trials are done; best.yaml in `folder`."""
    began = time.perf_counter()
    found = begin(dataset, recipe, wish, folder, where=where, reporter=reporter)
    found.work()
    outcome = found.outcome(time.perf_counter() - began)
    outcome.write_best()
    return outcome


def place_of(
    project: Path, task: str, name: str, *, join: bool, storage: str | None
) -> tuple[Path, Place]:
    """The folder and the study of a search.

    join     use the name as it is, whoever else works there; False = a fresh folder, numbered
    storage  URL of a database that several machines share; None = a file in the folder
    """
    folder = project / task / name
    if not join:
        folder = new_run(project, task, name).root
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(folder, error) from error
    return folder, Place(url=storage or local(folder), name=name)


def begin(
    dataset: Dataset,
    recipe: Recipe,
    wish: Wish,
    folder: Path,
    *,
    where: Place,
    reporter: Reporter,
) -> Search:
    """Found a search, or join the one that has the same name in the same place.

    recipe: what all trials share. Raises SaccadeError where the study is about something else.
    """
    experiment = assemble(dataset, recipe, RunFolder(folder / "trials" / "base"), reporter=reporter)
    metric = wish.metric or experiment.task.metric().main
    base = portable(experiment.recipe)
    # a study is founded only where there is something to search
    _check_something(space(base, free=wish.free, fixed=wish.fixed, vary=wish.vary))
    study = open_study(
        where,
        maximize=larger_is_better(metric),
        sampler=wish.sampler,
        seed=base.train.seed,
        epochs=base.train.epochs or 1,
        about={
            "data": experiment.prepared.manifest["digest"],
            "metric": metric,
            "limits": [str(each) for each in wish.limits],
            "keys": recipe.as_dict(),
            "search": [wish.free, list(wish.vary)],
            "base": base.as_dict(),
            "trials": wish.trials,
        },
    )
    # machines with other hardware would decide otherwise: what the first one decided holds for all
    base = from_dict(study.user_attrs["base"])
    given = from_dict(study.user_attrs["keys"])
    ranks = space(base, free=wish.free, fixed=wish.fixed, vary=wish.vary)
    _check_something(ranks)
    return Search(
        dataset=dataset,
        folder=folder,
        reporter=reporter,
        study=study,
        task=experiment.task.name,
        metric=metric,
        limits=wish.limits,
        base=base,
        given=given,
        ranks=ranks,
        # whoever founded the search may have asked for more
        trials=max(wish.trials, int(study.user_attrs["trials"])),
    )


def _check_something(ranks: Sequence[object]) -> None:
    if not ranks:
        raise SaccadeError(
            "nothing is left to be searched: every setting is given. Leave one out, or name one "
            "with --vary.",
            name="nothing-to-search",
        )
