"""saccade's own training with its defaults, epoch by epoch, as `experiment.train` runs it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from job import Clock, Job, read_job
from protocol import serve
from torch.nn import functional as F

import saccade
from saccade.data.batches import Batches
from saccade.experiment import train as training
from saccade.experiment.assemble import Experiment, assemble
from saccade.experiment.prepare import Reporter
from saccade.ops.cost import describe, total
from saccade.recipe import make_recipe
from saccade.training.device import kept_memory
from saccade.training.progress import Progress
from saccade.training.run import new_run
from saccade.training.signals import StopRequest
from saccade.types import Batch

PREMADE, CHUNKS = 8, 9
"""Batches of a chunk and chunks of each kind in `overhead`; the first chunk is not counted."""


class Waited:
    """Batches that note how long the loop waited for them."""

    def __init__(self, batches: Batches) -> None:
        self.batches, self.seconds, self.sizes = batches, 0.0, list[int]()

    def __len__(self) -> int:
        return len(self.batches)

    @property
    def rows(self) -> torch.Tensor:
        return self.batches.rows

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        stream = self.batches.epoch(epoch, start)
        while True:
            asked = time.perf_counter()
            batch = next(stream, None)
            self.seconds += time.perf_counter() - asked
            if batch is None:
                return
            self.sizes.append(len(batch))
            yield batch


class Premade:
    """The same few batches again and again: nothing to wait for."""

    def __init__(self, batches: list[Batch]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        return iter(self.batches[start:])


class Ours:
    def __init__(self, job: Job) -> None:
        self.job, self.clock = job, Clock()
        settings = {"model": job.model, "imgsz": job.size, "batch": job.batch, "epochs": job.epochs}
        # patience: all train equally long
        recipe = make_recipe({**settings, "patience": 0})
        run = new_run(Path(job.folder).parent / "runs", "classification", job.model)
        started = time.perf_counter()
        reporter = Reporter(progress=lambda *_: self.clock.step(0))
        self.experiment = assemble(saccade.open(job.folder), recipe, run, reporter=reporter)
        self.prepared = time.perf_counter() - started
        self.waited = Waited(self.experiment.train)
        self.timed = replace(self.experiment, train=self.waited)
        self.progress = self._fresh()

    def _fresh(self) -> Progress:
        examples = len(self.experiment.prepared.dataset)
        return Progress(losses=torch.full((examples,), math.nan))

    def describe(self) -> dict[str, Any]:
        """The rest of the job, which the peers get, and what speed is counted in."""
        made, recipe = self.experiment, self.experiment.recipe
        weights = made.run.root / "start.pt"
        torch.save(made.model.state_dict(), weights)
        frozen = [name for name, each in made.model.named_parameters() if not each.requires_grad]
        shape = (recipe.data.channels, *recipe.data.imgsz)
        job = replace(
            self.job,
            total=len(made.train) * made.epochs,
            num_classes=len(made.task.classes),
            arguments=dict(made.card.arguments),
            weights=str(weights),
            frozen=frozen,
            mean=list(recipe.data.mean),
            std=list(recipe.data.std),
            lr0=recipe.optimizer.lr0,
            momentum=recipe.optimizer.momentum,
            weight_decay=recipe.optimizer.weight_decay,
            smoothing=recipe.loss.label_smoothing,
            schedule=recipe.optimizer.schedule,
            warmup=recipe.optimizer.warmup,
        )
        return {
            "job": asdict(job),
            "multiply_adds": total(describe(made.model, shape)).multiply_adds,
            "prepared": self.prepared,
            "hardware": f"{made.hardware.name}, {made.hardware.precision}",
        }

    def epoch(self) -> dict[str, Any]:
        """One epoch with everything that belongs to it: scores, best network, saved state."""
        self.clock = clock = Clock()
        self.waited.seconds, self.waited.sizes = 0.0, []
        training._train_epoch(self.timed, self.progress, StopRequest())
        trained = clock.seconds
        clock.sizes = self.waited.sizes
        clock.ends = clock.ends[: len(clock.sizes)]
        training._score_epoch(self.timed, self.progress)
        accuracy = self.progress.rows[-1]["metrics/accuracy"]
        return {**clock.answer(trained, accuracy), "waited": self.waited.seconds}

    def overhead(self) -> dict[str, list[float]]:
        """Seconds of chunks of premade batches: through the real loop, and bare, in turns."""
        premade = list(islice(self.experiment.train.epoch(0), PREMADE))
        fixed = replace(self.experiment, train=Premade(premade))
        seconds: dict[str, list[float]] = {"loop": [], "bare": []}
        for _ in range(CHUNKS):
            progress, started = self._fresh(), time.perf_counter()
            training._train_epoch(fixed, progress, StopRequest())
            between = time.perf_counter()
            bare(fixed, premade, self.job.smoothing)
            seconds["loop"].append(between - started)
            seconds["bare"].append(time.perf_counter() - between)
        return {name: each[1:] for name, each in seconds.items()}


def bare(experiment: Experiment, batches: list[Batch], smoothing: float) -> None:
    """Forward, backward, step: what cannot be left out."""
    model, optimizer, name = experiment.model, experiment.optimizer, experiment.task.field_name
    model.train()
    for batch in batches:
        with experiment.hardware.autocast():
            logits = model(batch.inputs)
        loss = F.cross_entropy(logits.float(), batch.targets[name], label_smoothing=smoothing)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()


if __name__ == "__main__":
    with kept_memory():
        serve(Ours(read_job()))
