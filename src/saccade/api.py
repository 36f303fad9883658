"""What Python users call.

data = saccade.open("my_photos")
run = saccade.train(data, model="resnet18")
run.predict("new.jpg")
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import nn

from saccade import diagnose, report
from saccade.data.dataset import Dataset
from saccade.data.open import open_dataset
from saccade.diagnose.remedies import Remedy, compare, halve
from saccade.errors import SaccadeError
from saccade.experiment.check import Check, check_data
from saccade.experiment.prepare import Reporter
from saccade.experiment.resume import resumed_recipe
from saccade.experiment.train import train as run_experiment
from saccade.experiment.validate import Validation, validate
from saccade.files import check_outside
from saccade.improve.curve import Curve, learning_curve
from saccade.improve.curve_plot import draw_curve
from saccade.improve.ensemble import Ensemble, combine
from saccade.improve.folds import train_folds
from saccade.improve.sources import synthesise
from saccade.predict import Prediction, Predictor
from saccade.predict import load as load_predictor
from saccade.recipe import KEYS, Recipe, make_recipe, read_recipe
from saccade.training.processes import restarted
from saccade.training.processes import start as start_processes
from saccade.training.run import RunFolder, latest_run, new_run, open_run
from saccade.tune.outcome import Outcome
from saccade.tune.panda import Diary
from saccade.tune.panda import nurse as nursed

__all__ = [
    "Check",
    "Reporter",
    "Trained",
    "check",
    "curve",
    "ensemble",
    "load",
    "nurse",
    "open",
    "train",
    "tune",
]


def open(data: Any, *, task: str | None = None) -> Dataset:
    """Data as saccade sees them: a path, "sample:digits", or a torch-style dataset.

    Raises SaccadeError where nothing readable is there or the task does not fit.
    """
    return data if isinstance(data, Dataset) else open_dataset(data, task=task)


@dataclass(frozen=True)
class Trained:
    """A run that can be used: validated, asked, reported."""

    folder: RunFolder
    module: nn.Module | None = None
    dataset: Dataset | None = None

    @cached_property
    def predictor(self) -> Predictor:
        return load_predictor(self.folder.root, module=self.module)

    def predict(self, sources: Any) -> list[Prediction]:
        """One prediction per picture: paths, globs, folders or uint8 arrays."""
        return self.predictor(sources)

    def val(
        self, split: str = "dev", *, data: Any = None, reporter: Reporter | None = None
    ) -> Validation:
        """Measure one part ("train", "dev", "test") of the run's own data, or of other data.

        Of other data that name no parts everything is measured.
        """
        task = self.predictor.card.task
        dataset = open(data, task=task) if data is not None else self._own_data()
        return validate(
            self.folder,
            self.predictor,
            dataset,
            split=split,
            own=data is None,
            reporter=reporter,
        )

    def diagnose(self, *, human_error: float | None = None) -> diagnose.Diagnosis:
        """What limits this run, which faults its records show, and what to type next.

        Writes diagnosis.json and the tables that commands name. human_error: that of people on the
        same pictures, in the task's error measure.
        """
        told = diagnose.diagnose(self.folder.root, human_error=human_error)
        diagnose.write(told)
        return told

    def remedies(self, *, reporter: Reporter | None = None) -> Iterator[Remedy]:
        """Try what is known against a data mismatch, each in a training of its own.

        Half of dev moves into training; or training pictures are copied so that they look like
        that half. The other half of dev judges. The runs lie below this run's folder. Raises
        SaccadeError where dev has too few pictures.
        """
        halves = halve(self.folder)
        dataset = self._own_data()
        place = self.folder.root / "remedies"
        channels = (halves.evidence.card or self.predictor.card).preprocessing.channels
        change, copies = synthesise(
            dataset, halves.train, halves.used, place / "synthetic", channels=channels
        )
        plans = [("moved", f"{len(halves.used)} dev pictures are trained on", halves.moved())]
        if copies:
            told = f"{len(copies)} altered copies: {', '.join(change.words())}"
            plans.append(("synthesised", told, halves.with_copies(copies)))
        for name, told, table in plans:
            run = train(
                table,
                recipe=self.folder.args,
                project=place,
                name=name,
                exist_ok=True,
                reporter=reporter,
            )
            yield compare(halves, run.folder, name=name, told=told, table=table)

    def judge_labels(self, folds: int, *, reporter: Reporter | None = None) -> int:
        """Ask networks that have not seen them of all training labels; how many were asked.

        folds: trainings, each without as large a part. `saccade labels` ranks by their answers from
        then on. Raises SaccadeError where there are too few pictures.
        """
        return train_folds(self._own_data(), self.folder, folds, reporter=reporter)

    def report(self, *, reporter: Reporter | None = None) -> Path:
        """Write report.html, its pictures and the diagnosis it begins with; the path of the page.

        A page is written also where a diagnosis fails; the reporter and the log say so.
        """
        told = None
        try:
            told = self.diagnose()
        except Exception as error:  # a finished training is worth more than words about it
            line = f"No diagnosis: {type(error).__name__}: {error}"
            self.folder.say(line)
            (reporter or Reporter()).say(line)
        return report.write(self.folder, told)

    def _own_data(self) -> Dataset:
        if self.dataset is not None:
            return self.dataset
        values = self.folder.read_args()
        origin = str(values["run"]["data"])
        there = origin.startswith("sample:") or (origin and Path(origin).exists())
        if not there:
            raise SaccadeError(
                f"{origin or 'your own dataset'}: the data that {self.folder.root} was trained on "
                "are not there any more. Put them back; `val` takes other data with --data.",
                name="data-gone",
                files=[origin],
            )
        return open_dataset(origin, task=values["task"])


def train(
    data: Any,
    *,
    module: nn.Module | None = None,
    recipe: Recipe | str | Path | None = None,
    project: str | Path = "runs",
    name: str = "train",
    exist_ok: bool = False,
    resume: bool = False,
    devices: int | None = None,
    reporter: Reporter | None = None,
    settings: dict[str, Any] | None = None,
    **keys: Any,
) -> Trained:
    """Train a network on `data` and return the run.

    module    your own network in place of one of the catalogue
    recipe    a Recipe, a recipe file, or the name of one of saccade's own
    resume    go on with the newest run of this name, with exist_ok with the very run of it, or
              start it where there is none
    devices   processes that share the work, one GPU each; the program is started anew for each
    settings  any setting of the recipe by its full path, {"data.test": 0.2}
    keys      the known ones: model, epochs, batch, imgsz, lr0, optimizer, seed, device, ...

    Raises SaccadeError for anything wrong with data, settings or hardware.
    """
    given = {**keys, **(settings or {})}
    dataset, plan, task = _begin(data, recipe, given)
    if dataset.origin and Path(dataset.origin).is_dir():
        check_outside(Path(project), dataset.origin, "--project")
    processes = start_processes(devices, plan.train.device)
    found = ("", False)
    if processes.first:
        found = _folder(Path(project), task, name, exist_ok=exist_ok, resume=resume or restarted())
    root, begun = processes.told(found)
    run = RunFolder(Path(root), writes=processes.first)
    if begun:
        plan = resumed_recipe(run, given, plan if recipe is not None else None)
    reporter = reporter if reporter is not None and processes.first else Reporter()
    reporter.say(str(run.root))
    with run.begun():
        run_experiment(dataset, plan, run, reporter=reporter, module=module, processes=processes)
    trained = Trained(run, module=module, dataset=dataset)
    if processes.first:
        trained.report(reporter=reporter)
    processes.wait()
    return trained


def _folder(
    project: Path, task: str, name: str, *, exist_ok: bool, resume: bool
) -> tuple[str, bool]:
    """The run's folder, and whether a training there has begun and goes on."""
    run = latest_run(project, task, name, exact=exist_ok) if resume else None
    if run is not None:
        return str(run.root), True
    # a folder that was killed before its first file belongs to the run that is resumed
    return str(new_run(project, task, name, exist_ok=exist_ok or resume).root), False


def ensemble(
    runs: Sequence[str | Path | Trained],
    *,
    project: str | Path = "runs",
    name: str = "ensemble",
    reporter: Reporter | None = None,
) -> Ensemble:
    """Let several runs answer as one; a run folder of its own, and what it gains over them.

    Raises SaccadeError where the runs differ in task, input, data or split.
    """
    if not runs:
        raise SaccadeError("an ensemble takes two runs or more; found none.", name="no-ensemble")
    folders = [run.folder if isinstance(run, Trained) else open_run(run) for run in runs]
    first = runs[0] if isinstance(runs[0], Trained) else Trained(folders[0])
    dataset = first._own_data()
    folder = new_run(Path(project), folders[0].read_args()["task"], name)
    reporter = reporter or Reporter()
    reporter.say(str(folder.root))
    with folder.begun():
        made = combine(folders, folder, dataset, reporter=reporter)
    Trained(folder, dataset=dataset).report(reporter=reporter)
    return made


def tune(
    data: Any,
    *,
    recipe: Recipe | str | Path | None = None,
    settings: dict[str, Any] | None = None,
    project: str | Path = "runs",
    name: str = "tune",
    resume: bool = False,
    storage: str | None = None,
    reporter: Reporter | None = None,
    **wish: Any,
) -> Outcome:
    """Search for settings by many trainings; the folder with the best recipe and the page.

    settings  by known key or full path: the same in every trial
    resume    go on with the search of this name, or join it where another process works on it
    storage   URL of a database that several machines share; None = a file in the folder
    wish      trials, free, metric, limits, vary, sampler: see `saccade.tune.search.Wish`

    Raises SaccadeError, among others where optuna is not installed.
    """
    try:
        from saccade.tune.search import Wish, place_of, search
    except ModuleNotFoundError as error:
        if error.name != "optuna":
            raise
        raise SaccadeError(
            "a search needs optuna, which is not installed: pip install 'saccade[tune]'. "
            "(--approach panda works without it.)",
            name="missing-extra",
        ) from error
    dataset, plan, task = _begin(data, recipe, settings)
    join = resume or storage is not None
    folder, where = place_of(Path(project), task, name, join=join, storage=storage)
    reporter = reporter or Reporter()
    reporter.say(str(folder))
    wanted = Wish(fixed=[KEYS.get(key, key) for key in settings or {}], **wish)
    with RunFolder(folder).begun():
        outcome = search(dataset, plan, wanted, folder=folder, where=where, reporter=reporter)
    report.write_search(outcome)
    return outcome


def nurse(
    data: Any,
    *,
    recipe: Recipe | str | Path | None = None,
    settings: dict[str, Any] | None = None,
    project: str | Path = "runs",
    name: str = "panda",
    resume: bool = False,
    every: int = 2,
    reporter: Reporter | None = None,
) -> tuple[Trained, Diary]:
    """Nurse one training: pause it every few epochs, change its rate by what it did, go on.

    Raises SaccadeError for anything wrong with data or settings.
    """
    dataset, plan, task = _begin(data, recipe, settings)
    run = latest_run(Path(project), task, name) if resume else None
    run = run or new_run(Path(project), task, name, exist_ok=resume)
    reporter = reporter or Reporter()
    reporter.say(str(run.root))
    diary = nursed(dataset, plan, run, every=every, reporter=reporter)
    trained = Trained(run, dataset=dataset)
    trained.report()
    return trained, diary


def curve(
    data: Any,
    *,
    recipe: Recipe | str | Path | None = None,
    settings: dict[str, Any] | None = None,
    repeats: int = 1,
    project: str | Path = "runs",
    name: str = "curve",
    resume: bool = False,
    reporter: Reporter | None = None,
) -> Curve:
    """Train on growing parts of `data` and foresee the error that twice as many would give.

    Raises SaccadeError where there are too few examples, or a curve goes on with another recipe.
    """
    dataset, plan, task = _begin(data, recipe, settings)
    folder = latest_run(Path(project), task, name) if resume else None
    folder = folder or new_run(Path(project), task, name)
    reporter = reporter or Reporter()
    reporter.say(str(folder.root))
    found = learning_curve(dataset, plan, folder, repeats=repeats, reporter=reporter)
    draw_curve(found, folder.root / "curve.png")
    return found


def load(run: str | Path, *, module: nn.Module | None = None) -> Trained:
    """A trained run from its folder; `module` where it was trained with a network of your own."""
    return Trained(open_run(run), module=module)


def check(
    data: Any,
    *,
    task: str | None = None,
    reporter: Reporter | None = None,
    settings: dict[str, Any] | None = None,
) -> Check:
    """Read every picture and say what is wrong with the data; nothing is trained or changed."""
    recipe = make_recipe({"data.allow_dropped": 1.0, **(settings or {})})
    return check_data(open(data, task=task), recipe, reporter=reporter or Reporter())


def _begin(
    data: Any, recipe: Recipe | str | Path | None, settings: dict[str, Any] | None
) -> tuple[Dataset, Recipe, str]:
    """The data, what was asked for on top of a recipe, and the task."""
    start = read_recipe(recipe) if isinstance(recipe, str | Path) else recipe
    plan = make_recipe(settings or {}, start)
    dataset = open(data, task=plan.task)
    return dataset, plan, plan.task or dataset.tasks[0]
