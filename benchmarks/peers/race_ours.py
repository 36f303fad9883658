"""`saccade train --recipe small-fast`, an epoch at a time; the last one judged with its views."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from protocol import serve
from race import Runner, Task, read_task

import saccade
from saccade.experiment import train as training
from saccade.experiment.assemble import assemble
from saccade.experiment.prepare import Reporter
from saccade.recipe import make_recipe, read_recipe
from saccade.training.device import use_threads
from saccade.training.loop import evaluate
from saccade.training.run import RunFolder
from saccade.training.signals import StopRequest


def accuracies(task: Task) -> Iterator[float]:
    settings = {"seed": task.seed, **({"epochs": task.epochs} if task.epochs else {})}
    with tempfile.TemporaryDirectory() as place:
        dataset = saccade.open(task.folder, task="classification")
        run, reporter = RunFolder(Path(place)), Reporter()
        recipe = make_recipe(settings, read_recipe("small-fast"))
        experiment = assemble(dataset, recipe, run, reporter=reporter)
        finished = replace(experiment.task, views=recipe.train.views)  # type: ignore[type-var]
        with use_threads(experiment.hardware.threads):
            progress = training._begin_or_resume(experiment)
            for _ in range(1, experiment.epochs):
                training._train_epoch(experiment, progress, StopRequest())
                training._score_epoch(experiment, progress)
                yield progress.rows[-1]["metrics/accuracy"]
            training._train_epoch(experiment, progress, StopRequest())
            dev, hardware = experiment.dev.epoch(0), experiment.hardware
            measures, _, _ = evaluate(experiment.judged, finished, dev, hardware=hardware)
            yield measures["accuracy"].value


if __name__ == "__main__":
    serve(Runner(accuracies(read_task())))
