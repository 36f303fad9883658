"""`saccade train` with its defaults, an epoch at a time."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from protocol import serve
from race import Runner, Task, read_task

import saccade
from saccade.experiment import train as training
from saccade.experiment.assemble import assemble
from saccade.experiment.prepare import Reporter
from saccade.recipe import make_recipe
from saccade.training.device import use_threads
from saccade.training.run import RunFolder
from saccade.training.signals import StopRequest


def accuracies(task: Task) -> Iterator[float]:
    settings = {"seed": task.seed, **({"epochs": task.epochs} if task.epochs else {})}
    with tempfile.TemporaryDirectory() as place:
        dataset = saccade.open(task.folder, task="classification")
        run, reporter = RunFolder(Path(place)), Reporter()
        experiment = assemble(dataset, make_recipe(settings), run, reporter=reporter)
        with use_threads(experiment.hardware.threads):
            progress = training._begin_or_resume(experiment)
            while progress.epoch < experiment.epochs:
                training._train_epoch(experiment, progress, StopRequest())
                training._score_epoch(experiment, progress)
                yield progress.rows[-1]["metrics/accuracy"]


if __name__ == "__main__":
    serve(Runner(accuracies(read_task())))
