"""fastai's Learner.fit on ImageDataLoaders, with its callbacks as they are."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from fastai.vision.all import (
    SGD,
    Callback,
    FlipItem,
    ImageDataLoaders,
    LabelSmoothingCrossEntropyFlat,
    Learner,
    Normalize,
    RandomResizedCrop,
    accuracy,
    aug_transforms,
)
from job import Clock, Job, read_job
from protocol import serve


class Watch(Callback):
    """Sets the rate all contestants share and notes when steps end."""

    order = 100

    def __init__(self, job: Job) -> None:
        self.job, self.steps, self.clock, self.trained = job, 0, Clock(), 0.0

    def before_batch(self) -> None:
        if self.training:
            self.learn.opt.set_hyper("lr", self.job.rate(self.steps))

    def after_batch(self) -> None:
        if self.training:
            self.steps += 1
            self.clock.step(len(self.learn.yb[0]))

    def after_train(self) -> None:
        self.trained = self.clock.seconds


class Fastai:
    def __init__(self, job: Job) -> None:
        self.watch = Watch(job)
        dls = ImageDataLoaders.from_folder(
            job.folder,
            train="train",
            valid="val",
            item_tfms=items(job),
            batch_tfms=batches(job),
            bs=job.batch,
            num_workers=job.workers,
            device=torch.device("cpu"),
        )
        self.learner = Learner(
            dls,
            job.network(),
            loss_func=LabelSmoothingCrossEntropyFlat(eps=job.smoothing),
            opt_func=partial(SGD, mom=job.momentum),
            metrics=accuracy,
            wd=job.weight_decay,
            cbs=[self.watch],
        )

    def epoch(self) -> dict[str, Any]:
        self.watch.clock = Clock()
        self.learner.fit(1, lr=self.watch.job.rate(self.watch.steps))
        return self.watch.clock.answer(
            self.watch.trained, float(self.learner.recorder.values[-1][-1])
        )


def items(job: Job) -> list[Any]:
    if job.photo:
        return [RandomResizedCrop(job.size, min_scale=0.6, ratio=(0.85, 1.18))]
    return [RandomResizedCrop(job.size, min_scale=0.75, ratio=(1.0, 1.0)), FlipItem(0.5)]


def batches(job: Job) -> list[Any]:
    normalise = Normalize.from_stats(job.mean, job.std)
    if job.photo:
        return [
            *aug_transforms(max_rotate=8.0, max_zoom=1.0, max_lighting=0.2, max_warp=0.0),
            normalise,
        ]
    return [normalise]


if __name__ == "__main__":
    serve(Fastai(read_job()))
