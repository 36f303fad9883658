"""timm's train.py as its flags' defaults have it, with resnet18 for small pictures' sake.

SGD with momentum at 0.05, decay 2e-5, cosine over 300 epochs with a warm-up of 5, batch 128,
RandomResizedCrop and mirroring; --input-size and --in-chans as the pictures are.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from protocol import serve
from race import Runner, Task, read_task
from timm import create_model
from timm.data import create_dataset, create_loader
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from torch import nn

EPOCHS, WARMUP = 300, 5


def loader(task: Task, part: str) -> torch.utils.data.DataLoader:
    training = part == "train"
    mode = "L" if task.channels == 1 else "RGB"
    pictures = create_dataset(
        "", root=f"{task.folder}/{part}", is_training=training, input_img_mode=mode
    )
    return create_loader(
        pictures,
        input_size=(task.channels, task.side, task.side),
        batch_size=128,
        is_training=training,
        color_jitter=None if task.channels == 1 else 0.4,
        mean=(0.5,) * task.channels,
        std=(0.5,) * task.channels,
        num_workers=1,
        device=torch.device("cpu"),
        use_prefetcher=False,
    )


def accuracies(task: Task) -> Iterator[float]:
    torch.manual_seed(task.seed)
    train, val = loader(task, "train"), loader(task, "val")
    model = create_model("resnet18", in_chans=task.channels, num_classes=task.num_classes)
    optimizer = create_optimizer_v2(model, opt="sgd", lr=0.05, momentum=0.9, weight_decay=2e-5)
    epochs = task.epochs or EPOCHS
    scheduler, _ = create_scheduler_v2(
        optimizer, sched="cosine", num_epochs=epochs, warmup_epochs=min(WARMUP, epochs - 1)
    )
    loss = nn.CrossEntropyLoss()
    for epoch in range(epochs):
        model.train()
        for images, labels in train:
            optimizer.zero_grad()
            loss(model(images), labels).backward()
            optimizer.step()
        scheduler.step(epoch + 1)
        model.eval()
        with torch.no_grad():
            right = [model(images).argmax(1) == labels for images, labels in val]
        yield float(torch.cat(right).float().mean())


if __name__ == "__main__":
    serve(Runner(accuracies(read_task())))
