"""The plain loop of PyTorch's basic MNIST example: two convolutions, Adadelta, a step a epoch."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from protocol import serve
from race import Runner, Task, read_task
from torch import nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

EPOCHS = 14


def loader(task: Task, part: str, batch: int) -> DataLoader:
    steps = [transforms.Grayscale()] if task.channels == 1 else []
    steps += [transforms.ToTensor(), transforms.Normalize(0.5, 0.5)]
    pictures = datasets.ImageFolder(f"{task.folder}/{part}", transforms.Compose(steps))
    return DataLoader(pictures, batch, shuffle=part == "train", num_workers=1)


def network(task: Task) -> nn.Module:
    side = (task.side - 4) // 2
    return nn.Sequential(
        nn.Conv2d(task.channels, 32, 3),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.25),
        nn.Flatten(),
        nn.Linear(64 * side * side, 128),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(128, task.num_classes),
    )


def accuracies(task: Task) -> Iterator[float]:
    torch.manual_seed(task.seed)
    train, val = loader(task, "train", 64), loader(task, "val", 1000)
    model = network(task)
    optimizer = torch.optim.Adadelta(model.parameters(), lr=1.0)
    scheduler = StepLR(optimizer, step_size=1, gamma=0.7)
    for _ in range(task.epochs or EPOCHS):
        model.train()
        for images, labels in train:
            optimizer.zero_grad()
            F.cross_entropy(model(images), labels).backward()
            optimizer.step()
        scheduler.step()
        model.eval()
        with torch.no_grad():
            right = [model(images).argmax(1) == labels for images, labels in val]
        yield float(torch.cat(right).float().mean())


if __name__ == "__main__":
    serve(Runner(accuracies(read_task())))
