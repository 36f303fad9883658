"""fastai's quick start without published weights: vision_learner, fit_one_cycle, its own batch."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from queue import Queue
from typing import Any

from fastai.vision.all import (
    Callback,
    ImageDataLoaders,
    PILImage,
    PILImageBW,
    accuracy,
    resnet18,
    set_seed,
    vision_learner,
)
from protocol import serve
from race import Runner, Task, read_task

EPOCHS = 5


class Turns(Callback):
    """Hands the accuracy over after each epoch, and waits to be asked for the next one."""

    order = 100

    def __init__(self, asked: Queue[Any], told: Queue[Any]) -> None:
        self.asked, self.told = asked, told

    def before_epoch(self) -> None:
        self.asked.get()

    def after_epoch(self) -> None:
        self.told.put(float(self.learn.recorder.values[-1][-1]))


def fit(task: Task, asked: Queue[Any], told: Queue[Any]) -> None:
    set_seed(task.seed)
    dls = ImageDataLoaders.from_folder(
        task.folder,
        train="train",
        valid="val",
        img_cls=PILImageBW if task.channels == 1 else PILImage,
        device="cpu",
        num_workers=1,
    )
    learner = vision_learner(
        dls,
        resnet18,
        pretrained=False,
        n_in=task.channels,
        n_out=task.num_classes,
        metrics=accuracy,
        cbs=[Turns(asked, told)],
    )
    with learner.no_bar(), learner.no_logging():
        learner.fit_one_cycle(task.epochs or EPOCHS)
    told.put(None)


def accuracies(task: Task) -> Iterator[float]:
    # fastai owns its loop, so it runs beside and is stopped between epochs
    asked, told = Queue[Any](), Queue[Any]()
    threading.Thread(target=fit, args=(task, asked, told), daemon=True).start()
    while True:
        asked.put(None)
        found = told.get()
        if found is None:
            return
        yield found


if __name__ == "__main__":
    serve(Runner(accuracies(read_task())))
