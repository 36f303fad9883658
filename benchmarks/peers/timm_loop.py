"""timm's training as its train.py puts it together: create_loader, create_optimizer_v2, its meters.

`tuned` adds what its flags --amp --amp-dtype bfloat16 --channels-last add.
"""

from __future__ import annotations

import contextlib
import logging
from typing import Any

import torch
from job import Clock, Job, read_job
from protocol import serve
from timm.data import create_dataset, create_loader
from timm.loss import LabelSmoothingCrossEntropy
from timm.optim import create_optimizer_v2
from timm.utils import AverageMeter, accuracy
from torch import nn

CPU = torch.device("cpu")
LOG_INTERVAL = 50


class Timm:
    def __init__(self, job: Job) -> None:
        self.job, self.steps = job, 0
        self.train, self.val = loader(job, training=True), loader(job, training=False)
        self.model = job.network()
        if job.tuned:
            self.model = self.model.to(memory_format=torch.channels_last)
        self.loss: nn.Module = nn.CrossEntropyLoss()
        if job.smoothing:
            self.loss = LabelSmoothingCrossEntropy(smoothing=job.smoothing)
        self.optimizer = create_optimizer_v2(
            self.model,
            opt="sgd",
            lr=job.lr0,
            weight_decay=job.weight_decay,
            momentum=job.momentum,
        )

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        if self.job.tuned:
            return torch.autocast("cpu", dtype=torch.bfloat16)
        return contextlib.nullcontext()

    def epoch(self) -> dict[str, Any]:
        """train_one_epoch, then validate."""
        clock, losses = Clock(), AverageMeter()
        self.model.train()
        for index, (images, target) in enumerate(self.train):
            for group in self.optimizer.param_groups:
                group["lr"] = self.job.rate(self.steps)
            if self.job.tuned:
                images = images.contiguous(memory_format=torch.channels_last)
            with self.autocast():
                loss = self.loss(self.model(images), target)
            loss.backward()
            self.optimizer.step()
            self.optimizer.zero_grad()
            losses.update(loss.item(), images.size(0))
            if index % LOG_INTERVAL == 0:
                logging.getLogger("train").warning("%d: loss %.4f", index, losses.avg)
            self.steps += 1
            clock.step(images.size(0))
        trained = clock.seconds
        return clock.answer(trained, self.validate())

    @torch.inference_mode()
    def validate(self) -> float:
        losses, top1, top5 = AverageMeter(), AverageMeter(), AverageMeter()
        judge = nn.CrossEntropyLoss()
        self.model.eval()
        for images, target in self.val:
            if self.job.tuned:
                images = images.contiguous(memory_format=torch.channels_last)
            with self.autocast():
                output = self.model(images)
                loss = judge(output, target)
            first, fifth = accuracy(output, target, topk=(1, 5))
            losses.update(loss.item(), images.size(0))
            top1.update(first.item(), output.size(0))
            top5.update(fifth.item(), output.size(0))
        return top1.avg / 100


def loader(job: Job, *, training: bool) -> Any:
    folder = job.train if training else job.val
    dataset = create_dataset("", root=str(folder), is_training=training)
    # its own default crop shows as little as 8 % of a picture
    scale, ratio = ((0.6, 1.0), (0.85, 1.18)) if job.photo else ((0.75, 1.0), (1.0, 1.0))
    return create_loader(
        dataset,
        input_size=(len(job.mean), job.size, job.size),
        batch_size=job.batch,
        is_training=training,
        scale=scale,
        ratio=ratio,
        hflip=0.5,
        color_jitter=0.2 if job.photo else 0.0,
        interpolation="bilinear",
        mean=tuple(job.mean),
        std=tuple(job.std),
        crop_pct=1.0,
        num_workers=job.workers,
        device=CPU,
    )


if __name__ == "__main__":
    serve(Timm(read_job()))
