"""Kills trainings with SIGKILL and compares what is left with a run that was never killed.

Each training runs in a forked child of a parent that has imported everything and computed nothing,
so that a kill costs no start-up. `python tests/kills.py 200` is the long form.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

import lightning_fabric
import torch

import saccade
from saccade import api
from saccade.training.checkpoint import load_checkpoint

KEYS = {"model": "convnet", "epochs": 3, "batch": 128, "dropout": 0.3, "seed": 5, "device": "cpu"}
EVERYTHING = {
    "train.epochs": 2,
    "optimizer": "muon",
    "optimizer.ema": 0.9,
    "optimizer.schedule": "plateau",
    "optimizer.plateau_patience": 0,
    "optimizer.l1": 1e-4,
    "train.accumulate": 3,
    "augment.mixup": 0.4,
    "augment.cutmix": 1.0,
    "data.sampling": "replacement",
    "model.dropout_behind": {"fc3": 0.2},
}
"""All that a training can remember besides, at once."""


def _train(project: Path, settings: dict[str, object]) -> None:
    torch.set_num_threads(1)
    saccade.train(
        "sample:digits", project=project, name="run", resume=True, settings=settings, **KEYS
    )


def _train_together(count: int, act: Callable[[int], None]) -> None:
    """`act` in `count` processes that know of each other; where one dies, all do."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), WORLD_SIZE=str(count))

    def one(rank: int) -> None:
        os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), LOCAL_WORLD_SIZE=str(count))
        act(rank)

    children = {fork(partial(one, rank)) for rank in range(count)}
    signal.signal(signal.SIGTERM, lambda *_: _end(children))
    while children:
        child, status = os.wait()
        children.discard(child)
        if status:
            _end(children)


def _end(children: set[int]) -> None:
    """As torchrun does it: whoever is left is killed too."""
    for child in children:
        os.kill(child, signal.SIGKILL)
    os._exit(9)


def fork(action: Callable[[], None]) -> int:
    """Run `action` in a child process; its process number."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        action()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def fingerprint(project: Path) -> dict[str, str]:
    """SHA-256 of everything that must be equal: best weights, results, final state, predictions."""
    run = project / "classification" / "run"
    state = load_checkpoint(run / "weights" / "last")
    assert state is not None
    prints = {
        f"{group}/{name}": hashlib.sha256(value.contiguous().numpy().tobytes()).hexdigest()
        for group, tensors in state.tensors.items()
        for name, value in tensors.items()
    }
    files = "weights/best.safetensors results.csv health.csv predictions/dev.parquet args.yaml"
    for name in files.split(" "):
        prints[name] = hashlib.sha256((run / name).read_bytes()).hexdigest()
    return prints


def _kill_at_write(count: int) -> None:
    """Make this process kill itself at its `count`-th fsync or rename."""
    left = count

    def deadly(call: Callable[..., object]) -> Callable[..., object]:
        def wrapped(*args: object, **kwargs: object) -> object:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **kwargs)

        return wrapped

    os.fsync = deadly(os.fsync)  # type: ignore[assignment]
    Path.rename = deadly(Path.rename)  # type: ignore[method-assign,assignment]
    Path.replace = deadly(Path.replace)  # type: ignore[method-assign,assignment]


def _killed(child: int, after: float | None) -> bool:
    """Wait for the child, killing it `after` seconds; True where SIGKILL ended it."""
    if after is not None:
        end = time.monotonic() + after
        while time.monotonic() < end:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return os.WIFSIGNALED(status)
            time.sleep(0.002)
        os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def run_to_the_end(project: Path, settings: dict[str, object], processes: int = 1) -> None:
    child = fork(lambda: _trained(project, settings, processes))
    assert os.waitpid(child, 0)[1] == 0, "the training failed"


def _trained(
    project: Path,
    settings: dict[str, object],
    processes: int,
    deadly: Callable[[], None] | None = None,
    victim: int = 0,
) -> None:
    """One training in so many processes; `deadly` is called in the one of rank `victim`."""

    def act(rank: int) -> None:
        if deadly is not None and rank == victim:
            deadly()
        _train(project, settings)

    if processes == 1:
        act(0)
    else:
        _train_together(processes, act)


def _die_after(seconds: float) -> None:
    """Make this process kill itself then, wherever it is."""
    signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    signal.setitimer(signal.ITIMER_REAL, seconds)


def kill_one_of(
    processes: int,
    kills: int,
    folder: Path,
    seed: int = 0,
    settings: dict[str, object] | None = None,
) -> dict[str, int]:
    """As `kill_and_compare`, with one of several processes killed each time, any of them."""
    rng = random.Random(seed)
    settings = settings or {}
    started = time.monotonic()
    run_to_the_end(folder / "unbroken", settings, processes)
    seconds = time.monotonic() - started
    expected = fingerprint(folder / "unbroken")
    counts = {"runs": 0, "random": 0, "inside a write": 0}
    while counts["random"] + counts["inside a write"] < kills:
        project = folder / f"killed{counts['runs']}"
        for turn in range(2):
            if turn % 2:
                how, victim = "random", rng.randrange(processes)
                deadly = partial(_die_after, rng.uniform(0, seconds))
            else:
                # the first one alone writes
                how, victim = "inside a write", 0
                deadly = partial(_kill_at_write, rng.randint(1, 40))
            act = partial(_trained, project, settings, processes, deadly, victim)
            counts[how] += os.waitpid(fork(act), 0)[1] != 0
        run_to_the_end(project, settings, processes)
        found = fingerprint(project)
        differing = sorted(k for k in expected | found if expected.get(k) != found.get(k))
        assert not differing, f"{project} differs from the unbroken run in {differing}"
        counts["runs"] += 1
    return counts


def kill_and_compare(
    kills: int, folder: Path, seed: int = 0, settings: dict[str, object] | None = None
) -> dict[str, int]:
    """Kill `kills` times, half at random moments and half inside writes, over as many runs as it
    takes; every run is then finished and must equal the unbroken one. Counts what happened."""
    rng = random.Random(seed)
    started = time.monotonic()
    settings = settings or {}
    run_to_the_end(folder / "unbroken", settings)
    seconds = time.monotonic() - started
    expected = fingerprint(folder / "unbroken")
    counts = {"runs": 0, "random": 0, "inside a write": 0}
    while counts["random"] + counts["inside a write"] < kills:
        project = folder / f"killed{counts['runs']}"
        train = partial(_train, project, settings)
        for turn in range(4):
            if turn % 2:
                child = fork(train)
                how, killed = "random", _killed(child, rng.uniform(0, seconds))
            else:
                number = rng.randint(1, 40)

                def act(number: int = number, train: Callable[[], None] = train) -> None:
                    _kill_at_write(number)
                    train()

                how, killed = "inside a write", _killed(fork(act), None)
            counts[how] += killed
        run_to_the_end(project, settings)
        found = fingerprint(project)
        differing = sorted(k for k in expected | found if expected.get(k) != found.get(k))
        assert not differing, f"{project} differs from the unbroken run in {differing}"
        counts["runs"] += 1
    return counts


if __name__ == "__main__":
    assert api and lightning_fabric
    with tempfile.TemporaryDirectory() as place:
        kills = int(sys.argv[1])
        print(kill_and_compare(kills, Path(place) / "plain"))
        print(kill_and_compare(kills, Path(place) / "everything", settings=dict(EVERYTHING)))
