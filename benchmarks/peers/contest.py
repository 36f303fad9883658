"""Contestants started, warmed up and asked in turns."""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from environments import python_of
from protocol import Contestant

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parents[1] / "src"
OURS = "saccade"
PEERS = {  # script, environment (None = this one), flags that a user has to know
    "plain": ("plain.py", None, False),
    "timm": ("timm_loop.py", "timm", False),
    "fastai": ("fastai_loop.py", "fastai", False),
    "timm, tuned": ("timm_loop.py", "timm", True),
}
JUDGED = ("timm", "fastai")
"""The peers as their documentation starts them. Tuned ones are shown beside them."""
FIRST = 2
"""Steps at the start of an epoch that are not counted: the loader starts, caches fill."""


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What holds for all: where pictures and logs lie, threads, and which peers take part."""

    folder: Path
    cache: Path
    threads: int
    peers: list[str]

    def environment(self) -> dict[str, str]:
        count = str(self.threads)
        path = os.pathsep.join([str(SOURCE), str(HERE)])
        pinned = {name: count for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
        # SACCADE_CACHE: pictures are read anew, and nothing stays behind
        own = {"PYTHONPATH": path, "SACCADE_CACHE": str(self.folder / "cache")}
        return {**os.environ, **pinned, **own, "CUDA_VISIBLE_DEVICES": "", "COLUMNS": "200"}

    def start(self, name: str, job: dict[str, Any]) -> Contestant:
        script, environment, tuned = ("ours.py", None, False) if name == OURS else PEERS[name]
        workers = None if name == OURS else int(job["workers"])
        short = f"{name.replace(', ', '-')}-{job['model']}-{workers}"
        place = self.folder / f"{short}.json"
        place.write_text(json.dumps({**job, "tuned": tuned}))
        python = sys.executable if environment is None else str(python_of(environment, self.cache))
        return Contestant(
            name,
            [python, str(HERE / script), str(place)],
            workers=workers,
            environment=self.environment(),
            log=self.folder / f"{short}.log",
        )


@dataclass
class Outcome:
    """What a contestant did in each round. Speeds in pictures a second."""

    step: list[float] = field(default_factory=list)
    epoch: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)

    def add(self, answer: dict[str, Any]) -> None:
        ends, sizes = answer["ends"], answer["sizes"]
        spans = [
            size / (end - before)
            for before, end, size in zip(ends, ends[1:], sizes[1:], strict=False)
        ]
        self.step.append(statistics.median(spans[FIRST - 1 :] or spans))
        self.epoch.append(sum(sizes) / answer["total"])
        self.accuracy.append(answer["accuracy"])
        self.waited.append(answer.get("waited", 0.0) / answer["trained"])


@dataclass(frozen=True, kw_only=True)
class Contest:
    """All rounds of one network. calibrations: best and usual speed of a convolution."""

    facts: dict[str, Any]
    outcomes: dict[str, Outcome]
    workers: dict[str, int | None]
    calibrations: list[tuple[float, float]]
    overhead: dict[str, list[float]]


def run(
    setup: Setup,
    job: dict[str, Any],
    *,
    rounds: int,
    calibrate: Callable[[], tuple[float, float]],
    say: Callable[[str], None],
) -> Contest:
    """Epochs in turns: A B C D A B C D. The warm-up chooses each peer's number of workers."""
    ours = setup.start(OURS, job)
    started = [ours]
    try:
        facts = ours.ask("describe")
        ours.ask("epoch")
        for name in setup.peers:
            started.append(_better(setup, name, facts["job"], say))
        outcomes = {each.name: Outcome() for each in started}
        calibrations = [calibrate()]
        for number in range(rounds):
            for each in started:
                outcomes[each.name].add(each.ask("epoch"))
            calibrations.append(calibrate())
            told = ", ".join(f"{name} {each.epoch[-1]:.0f}" for name, each in outcomes.items())
            say(f"round {number + 1}/{rounds}, pictures a second: {told}")
        return Contest(
            facts=facts,
            outcomes=outcomes,
            workers={each.name: each.workers for each in started},
            calibrations=calibrations,
            overhead=ours.ask("overhead"),
        )
    finally:
        for each in started:
            each.close()


def _better(setup: Setup, name: str, job: dict[str, Any], say: Callable[[str], None]) -> Contestant:
    """The peer with the number of workers that serves it best, warmed up."""
    seconds = {}
    variants = {}
    for workers in (0, 2):
        each = variants[workers] = setup.start(name, {**job, "workers": workers})
        began = time.perf_counter()
        each.ask("epoch")
        seconds[workers] = time.perf_counter() - began
    best = min(seconds, key=seconds.__getitem__)
    for workers, each in variants.items():
        if workers != best:
            each.close()
    told = ", ".join(f"{value:.1f} s with {workers} workers" for workers, value in seconds.items())
    say(f"warm-up of {name}: {told}")
    return variants[best]


def learn(
    setup: Setup, job: dict[str, Any], *, workers: int, say: Callable[[str], None]
) -> dict[str, list[float]]:
    """Every contestant trained on its own for all epochs: dev accuracy after each."""
    ours = setup.start(OURS, job)
    try:
        whole = {**ours.ask("describe")["job"], "workers": workers}
        curves = {OURS: [ours.ask("epoch")["accuracy"] for _ in range(job["epochs"])]}
        for name in setup.peers:
            each = setup.start(name, whole)
            try:
                curves[name] = [each.ask("epoch")["accuracy"] for _ in range(job["epochs"])]
            finally:
                each.close()
            say(f"{name}: " + " ".join(f"{value:.3f}" for value in curves[name]))
        return curves
    finally:
        ours.close()
