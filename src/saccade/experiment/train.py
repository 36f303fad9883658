"""Where data, model, task and training meet: `train` fills a run folder, `validate` scores it."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from functools import partial

import torch
from torch import nn

from saccade.data.batches import Batches
from saccade.data.dataset import Dataset
from saccade.errors import SaccadeError, Stopped
from saccade.experiment.announce import announce, write_changes, write_start
from saccade.experiment.assemble import Experiment, assemble
from saccade.experiment.prepare import Reporter
from saccade.experiment.scoring import Recorder, measures_as_dict, printable, write_scores
from saccade.ops.init import WEIGHTED
from saccade.predict import load_tensors
from saccade.protocols import Metric
from saccade.recipe import Recipe
from saccade.tap import first_non_finite, layer_names
from saccade.tasks import table
from saccade.training.average import update_average
from saccade.training.device import kept_memory, use_threads
from saccade.training.estimate import clock
from saccade.training.health import COLUMNS, probe, rows, snapshot, update_ratios
from saccade.training.loop import NonFiniteLoss, evaluate, train_epoch
from saccade.training.processes import ALONE, Processes
from saccade.training.progress import Progress, load_progress, save_progress
from saccade.training.run import RunFolder
from saccade.training.schedule import PLATEAU, plateau_factor, rate_at
from saccade.training.signals import StopRequest, catch_signals
from saccade.types import Measure

SAVE_SECONDS = 600
"""An epoch longer than this is saved on the way."""


def train(
    dataset: Dataset,
    recipe: Recipe,
    run: RunFolder,
    *,
    reporter: Reporter | None = None,
    module: nn.Module | None = None,
    processes: Processes = ALONE,
) -> None:
    """Train as the recipe says and fill `run`; continue where the folder holds a saved state.

    module: the user's own network in place of one of the catalogue.
    processes: others that do the same; the first one's `run` alone writes.
    Raises SaccadeError for anything wrong with data or recipe, Stopped after a signal.
    """
    started = time.perf_counter()
    with catch_signals() as request:
        experiment = assemble(
            dataset,
            recipe,
            run,
            reporter=reporter or Reporter(),
            module=module,
            processes=processes,
        )
        with use_threads(experiment.hardware.threads), kept_memory():
            progress = _begin_or_resume(experiment)
            while progress.epoch < experiment.epochs and not _out_of_patience(experiment, progress):
                _train_epoch(experiment, progress, request)
                _score_epoch(experiment, progress)
            _finish(experiment, progress)
    experiment.say(f"Finished after {clock(time.perf_counter() - started)}.")


def _begin_or_resume(experiment: Experiment) -> Progress:
    # nobody writes before all have read what is there
    experiment.processes.wait()
    resumed = load_progress(
        experiment.run.last,
        experiment.model,
        experiment.optimizer,
        experiment.conditions,
        experiment.average,
    )
    experiment.processes.wait()
    experiment.processes.share_start(experiment.model)
    if resumed is None:
        if experiment.run.data.is_file():
            write_changes(experiment, 1)
        else:
            write_start(experiment)
        announce(experiment)
        begun = Progress(losses=torch.full((len(experiment.prepared.dataset),), math.nan))
        experiment.model.train()
        _measure_layers(experiment, begun)
        _write_health(experiment, begun)
        return begun
    progress, told = resumed
    experiment.run.write_results(progress.rows)
    _write_health(experiment, progress)
    for line in told:
        experiment.say(line)
    write_changes(experiment, progress.epoch + 1)
    if progress.epoch >= experiment.epochs:
        experiment.say(f"Already trained for {progress.epoch} epochs; --epochs N goes on to N.")
    else:
        experiment.say(f"Resumed in epoch {progress.epoch + 1} after {progress.step} steps.")
    return progress


def _train_epoch(experiment: Experiment, progress: Progress, request: StopRequest) -> None:
    """The rest of the epoch that `progress` stands in."""
    saved = time.perf_counter()
    steps = len(experiment.train)
    before = progress.epoch * steps
    total = steps * experiment.epochs

    watched = experiment.probe is not None
    weights = snapshot(experiment.model) if watched and progress.step == steps - 1 else {}

    def after_step(done: int) -> None:
        nonlocal saved, weights
        progress.step = done - before
        if experiment.average is not None:
            decay = experiment.recipe.optimizer.ema or 0.0
            update_average(
                experiment.average,
                experiment.model,
                update=done,
                decay=decay,
                sparse=experiment.recipe.optimizer.l1 > 0,
            )
        # the last update of an epoch is the one whose size is told
        if watched and progress.step == steps - 1:
            weights = snapshot(experiment.model)
        elif watched and progress.step == steps:
            progress.updates = update_ratios(experiment.model, weights)
        experiment.reporter.progress("training", done, total)
        code = experiment.processes.any(request.exit_code)
        if code is not None:
            _save(experiment, progress)
            raise Stopped(
                f"Stopped in epoch {progress.epoch + 1}; {experiment.run.root} is saved. "
                "Go on with --resume.",
                exit_code=code,
            )
        if time.perf_counter() - saved > SAVE_SECONDS:
            _save(experiment, progress)
            saved = time.perf_counter()

    try:
        train_epoch(
            experiment.model,
            experiment.task,
            experiment.train.epoch(progress.epoch, start=progress.step),
            experiment.optimizer,
            hardware=experiment.hardware,
            first_step=before + progress.step,
            rate=partial(_rate, experiment, progress),
            seed=experiment.recipe.train.seed,
            clip=experiment.recipe.optimizer.clip,
            losses=progress.losses,
            after_step=after_step,
            pieces=experiment.recipe.train.accumulate or 1,
            l1=experiment.recipe.optimizer.l1,
            frozen=experiment.plan.begin(experiment.model, progress.epoch),
            processes=experiment.processes,
        )
    except NonFiniteLoss as error:
        told = _not_finite(experiment, error)
        # the user is told by the error, a later diagnosis by the log
        experiment.run.say(told.message)
        raise told from error


def _rate(experiment: Experiment, progress: Progress, step: int) -> float:
    """The learning rate of update `step`, which lies in the epoch that `progress` stands in."""
    settings = experiment.recipe.optimizer
    total = len(experiment.train) * experiment.epochs
    follows = settings.schedule == PLATEAU
    rate = rate_at(
        "constant" if follows else settings.schedule or "",
        step,
        total,
        lr0=settings.first_rate,
        warmup=round((settings.warmup or 0.0) * total),
        last=settings.last_rate,
    )
    if not follows:
        return rate
    metric = experiment.task.metric()
    sign = 1 if metric.higher_is_better else -1
    scores = [
        (sign * row.get(f"metrics/{metric.main}", math.nan), -row["val/loss"])
        for row in progress.rows
    ]
    return rate * plateau_factor(
        scores, patience=settings.plateau_patience, factor=settings.plateau_factor
    )


def _score_epoch(experiment: Experiment, progress: Progress) -> None:
    """Measure layers, the clean training part and dev, keep the best network, save."""
    _measure_layers(experiment, progress)
    clean, _, _ = _evaluate(experiment, experiment.clean)
    dev, metric, dev_loss = _evaluate(experiment, experiment.dev)
    known = progress.losses[torch.isfinite(progress.losses)]
    row = {
        "train/loss": float(known.double().mean()),
        **{f"train/{name}": measure.value for name, measure in clean.items()},
        **{f"metrics/{name}": measure.value for name, measure in dev.items()},
        "val/loss": dev_loss,
        "lr/pg0": _rate(experiment, progress, (progress.epoch + 1) * len(experiment.train) - 1),
    }
    progress.end_epoch(row)
    score = dev[metric.main].value
    if progress.is_best(score if metric.higher_is_better else -score, dev_loss):
        card = replace(experiment.card, metrics=measures_as_dict(dev))
        experiment.run.write_best(experiment.judged.state_dict(), card)
    _save(experiment, progress)
    experiment.run.write_results(progress.rows)
    _write_health(experiment, progress)
    experiment.say(
        f"epoch {progress.epoch}/{experiment.epochs}  loss {row['train/loss']:.4f}  "
        f"dev loss {dev_loss:.4f}  dev {metric.main} {score:.4f}"
    )
    experiment.reporter.scored(progress.rows)


def _measure_layers(experiment: Experiment, progress: Progress) -> None:
    """One pass over a few examples in the mode of training, which changes nothing."""
    if experiment.probe is None:
        return
    found = probe(experiment.model, experiment.task, experiment.probe, experiment.hardware)
    if progress.updates:
        column = COLUMNS.index("update_ratio")
        found[:, column] = torch.tensor(progress.updates, dtype=torch.float64)
    progress.health.append(found)


def _write_health(experiment: Experiment, progress: Progress) -> None:
    if progress.health:
        names = layer_names(experiment.model, WEIGHTED)
        experiment.run.write_health(rows(progress.health, names))


def _out_of_patience(experiment: Experiment, progress: Progress) -> bool:
    patience = experiment.recipe.train.patience or 0
    if not patience or progress.epoch - progress.best_epoch < patience:
        return False
    experiment.say(
        f"Stopped early: no better dev score for {patience} epochs; the best was epoch "
        f"{progress.best_epoch}."
    )
    return True


def _evaluate(
    experiment: Experiment, batches: Batches, recorder: Recorder | None = None
) -> tuple[dict[str, Measure], Metric, float]:
    return evaluate(
        experiment.judged,
        experiment.task,
        batches.epoch(0),
        hardware=experiment.hardware,
        each=recorder,
        processes=experiment.processes,
    )


def _save(experiment: Experiment, progress: Progress) -> None:
    if not experiment.run.writes:
        return
    save_progress(
        experiment.run.last,
        progress,
        experiment.model,
        experiment.optimizer,
        experiment.conditions,
        experiment.average,
    )


def _finish(experiment: Experiment, progress: Progress) -> None:
    """Score the best network on the clean training part and dev; write what reports read."""
    run, prepared = experiment.run, experiment.prepared
    experiment.processes.wait()
    tensors, card = run.read_best()
    load_tensors(experiment.judged, tensors, run.best)
    undecided = Recorder()
    _evaluate(experiment, experiment.dev, undecided)
    targets = prepared.targets_of(prepared.rows("dev"))
    decision = dict(experiment.task.decide(undecided.results, targets))
    if experiment.recipe.train.views != "plain":
        decision["views"] = experiment.recipe.train.views
    card = replace(card, decision=decision)
    # decisions are part of the network from here on, so everything kept is scored with them
    final = replace(experiment, task=table.from_card(card))
    parts = {"train": final.closing, "train-dev": final.bridge, "dev": final.dev}
    for split, batches in parts.items():
        if batches is None:
            continue
        recorder = Recorder()
        measures, metric, _ = _evaluate(final, batches, recorder)
        write_scores(run, split, recorder, metric, prepared.dataset, prepared.ingested)
    run.write_card(replace(card, metrics=measures_as_dict(measures)))
    _write_dynamics(experiment, progress)


def _write_dynamics(experiment: Experiment, progress: Progress) -> None:
    rows, examples = experiment.train.rows, experiment.prepared.dataset.examples
    losses = {f"epoch_{n}": each[rows].numpy() for n, each in enumerate(progress.dynamics, 1)}
    keys = [printable(examples[row].key) for row in rows.tolist()]
    run = experiment.run
    run.write_table(run.dynamics, {"index": rows.numpy(), "key": keys, **losses})


def _not_finite(experiment: Experiment, error: NonFiniteLoss) -> SaccadeError:
    """Where the numbers went wrong: step, files, first layer; and what to try."""
    layer = first_non_finite(experiment.model, error.batch.inputs)
    indices = error.batch.indices.cpu()[error.rows].tolist()
    files = [experiment.prepared.dataset.examples[index].key for index in indices]
    named = ", ".join(files[:5]) + (" ..." if len(files) > 5 else "")
    return SaccadeError(
        f"The loss is not finite at step {error.step + 1} (first layer at fault: "
        f"{layer or 'the loss itself'}; pictures: {named}). The last good state is kept. "
        f"Try a smaller rate: --lr0 {experiment.recipe.optimizer.first_rate / 10:g}.",
        name="non-finite-loss",
        files=files,
    )
