"""The plain PyTorch loop of tutorials: PIL, torchvision transforms, DataLoader, NCHW float32."""

from __future__ import annotations

from typing import Any

import torch
from job import Clock, Job, read_job
from protocol import serve
from torch import nn
from torch.utils.data import DataLoader
from torchvision import datasets, transforms


def augmentation(job: Job) -> transforms.Compose:
    if job.photo:
        changes = [
            transforms.RandomRotation(8, transforms.InterpolationMode.BILINEAR),
            transforms.RandomResizedCrop(job.size, scale=(0.6, 1.0), ratio=(0.85, 1.18)),
            transforms.RandomHorizontalFlip(),
            transforms.ColorJitter(0.2, 0.2, 0.2),
        ]
    else:
        changes = [
            transforms.Resize((job.size, job.size)),
            transforms.RandomCrop(job.size, padding=job.size // 8, padding_mode="symmetric"),
            transforms.RandomHorizontalFlip(),
        ]
    return transforms.Compose([*changes, *as_tensor(job)])


def as_tensor(job: Job) -> list[Any]:
    return [transforms.ToTensor(), transforms.Normalize(job.mean, job.std)]


class Plain:
    def __init__(self, job: Job) -> None:
        self.job, self.steps = job, 0
        exact = [transforms.Resize((job.size, job.size)), *as_tensor(job)]
        more = {"num_workers": job.workers, "persistent_workers": job.workers > 0}
        self.train = DataLoader(
            datasets.ImageFolder(job.train, augmentation(job)), job.batch, shuffle=True, **more
        )
        self.val = DataLoader(
            datasets.ImageFolder(job.val, transforms.Compose(exact)), job.batch, **more
        )
        self.model = job.network()
        self.loss = nn.CrossEntropyLoss(label_smoothing=job.smoothing)
        self.optimizer = torch.optim.SGD(
            [each for each in self.model.parameters() if each.requires_grad],
            job.lr0,
            momentum=job.momentum,
            nesterov=True,
            weight_decay=job.weight_decay,
        )

    def epoch(self) -> dict[str, Any]:
        clock = Clock()
        self.model.train()
        running = 0.0
        for images, labels in self.train:
            for group in self.optimizer.param_groups:
                group["lr"] = self.job.rate(self.steps)
            self.optimizer.zero_grad()
            loss = self.loss(self.model(images), labels)
            loss.backward()
            self.optimizer.step()
            running += loss.item()
            self.steps += 1
            clock.step(len(images))
        trained = clock.seconds
        return clock.answer(trained, self.accuracy())

    @torch.no_grad()
    def accuracy(self) -> float:
        self.model.eval()
        right = total = 0
        for images, labels in self.val:
            right += int((self.model(images).argmax(1) == labels).sum())
            total += len(labels)
        return right / total


if __name__ == "__main__":
    serve(Plain(read_job()))
