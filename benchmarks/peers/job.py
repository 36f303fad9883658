"""What every peer is given: the same network, pictures, batch and schedule."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True, kw_only=True)
class Job:
    """One training, described.

    folder      holds train/CLASS/*.jpg and val/CLASS/*.jpg
    size        side of the input in pixels;  photo: augmented as photos rather than small pictures
    weights     state of the network before the first step;  frozen: parameters that stay
    total       steps of the whole schedule
    workers     of the loader;  tuned: channels-last and bfloat16, where the peer offers them
    """

    folder: str
    model: str
    size: int
    photo: bool
    batch: int
    epochs: int
    total: int = 0
    num_classes: int = 0
    arguments: dict[str, Any] = field(default_factory=dict)
    weights: str = ""
    frozen: list[str] = field(default_factory=list)
    mean: list[float] = field(default_factory=list)
    std: list[float] = field(default_factory=list)
    lr0: float = 0.0
    momentum: float = 0.9
    weight_decay: float = 0.0
    smoothing: float = 0.0
    schedule: str = "linear"
    warmup: float = 0.0
    workers: int = 0
    tuned: bool = False

    @property
    def train(self) -> Path:
        return Path(self.folder) / "train"

    @property
    def val(self) -> Path:
        return Path(self.folder) / "val"

    def rate(self, step: int) -> float:
        """The learning rate of update `step`: the same for all."""
        from saccade.training.schedule import rate_at

        warmup = round(self.warmup * self.total)
        return rate_at(self.schedule, step, self.total, lr0=self.lr0, warmup=warmup)

    def network(self) -> nn.Module:
        """The network, equal to the others' in every weight."""
        from saccade.models import catalog

        model = catalog.create(self.model, num_classes=self.num_classes, **self.arguments)
        assert isinstance(model, nn.Module)
        model.load_state_dict(torch.load(self.weights, weights_only=True))
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name not in self.frozen)
        return model


def read_job() -> Job:
    """From the file named on the command line."""
    return Job(**json.loads(Path(sys.argv[1]).read_text()))


class Clock:
    """When each step of an epoch ended, and what it all took."""

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.ends: list[float] = []
        self.sizes: list[int] = []

    def step(self, size: int) -> None:
        self.ends.append(time.perf_counter() - self.started)
        self.sizes.append(size)

    def answer(self, trained: float, accuracy: float) -> dict[str, Any]:
        """`trained`: seconds until the training part was done; the rest was validation."""
        return {
            "ends": self.ends,
            "sizes": self.sizes,
            "trained": trained,
            "total": time.perf_counter() - self.started,
            "accuracy": accuracy,
        }

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.started
