"""Minutes to 93 % on Fashion-MNIST's test part: ours against timm, fastai and a plain loop.

    python benchmarks/time_to_accuracy.py [--data ../shared/data/fashion-mnist] [--seeds 3]

Each trains its own network as its documents advise for small pictures (ours by the recipe
small-fast), from a random start, on the same files, in a process of its own with the same number of
threads. They run in turns, an epoch each, and only their own time counts, from the first look at
the data on. Who is past --minutes without reaching the goal counts as that long. Judged is the
median over the seeds; exit code 1 where ours takes over a third of the best peer's time.
Peers' environments are those of `training.py`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "peers"))

from environments import default_cache, python_of  # noqa: E402
from protocol import Contestant  # noqa: E402
from race import Task  # noqa: E402
from results import Figure, add_option, exit_code, record, show  # noqa: E402

import saccade  # noqa: E402

SHARED = HERE.parents[1] / "shared" / "data" / "fashion-mnist"
OURS, THIRD = "saccade", 1 / 3
RUNNERS = {  # script, environment (None = this one)
    OURS: ("race_ours.py", None),
    "plain": ("race_plain.py", None),
    "timm": ("race_timm.py", "timm"),
    "fastai": ("race_fastai.py", "fastai"),
}


@dataclass
class Lap:
    """How far one runner is. seconds: of its own; best: accuracy so far; reached: when, or None."""

    seconds: float = 0.0
    epochs: int = 0
    best: float = 0.0
    reached: float | None = None


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", default=str(SHARED), help="with parts train and test")
    parser.add_argument("--goal", type=float, default=0.93)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=60.0, help="at most, for each")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peers", default=",".join(RUNNERS))
    parser.add_argument("--examples", type=int, default=0, help="of each part at most; 0 = all")
    parser.add_argument("--epochs", type=int, default=0, help="0 = everybody's own default")
    parser.add_argument("--cache", type=Path, default=default_cache(), help="peers' environments")
    parser.add_argument("--json", action="store_true")
    add_option(parser)
    return parser.parse_args()


def export(data: str, folder: Path, most: int) -> tuple[int, int]:
    """Write train/CLASS and val/CLASS (the test part) as files; side and number of classes."""
    dataset = saccade.open(data, task="classification")
    field = dataset.fields[0]
    counts = {"train": 0, "val": 0}
    side = 0
    for number, example in enumerate(dataset.examples):
        part = "val" if example.split == "test" else "train"
        if most and counts[part] >= most:
            continue
        counts[part] += 1
        place = folder / part / str(example.target[field.name])
        place.mkdir(parents=True, exist_ok=True)
        pixels = np.asarray(dataset.source.load(example.key))
        side = pixels.shape[0]
        Image.fromarray(pixels).save(place / f"{number:06d}.png")
    return side, len(field.classes)


def start(name: str, task: Task, place: Path, given: argparse.Namespace) -> Contestant:
    script, environment = RUNNERS[name]
    job = place / f"{name}.json"
    job.write_text(json.dumps(asdict(task)))
    python = sys.executable if environment is None else str(python_of(environment, given.cache))
    threads = str(given.threads)
    path = os.pathsep.join([str(HERE.parent / "src"), str(HERE / "peers")])
    own = {"PYTHONPATH": path, "SACCADE_CACHE": str(place / "cache"), "CUDA_VISIBLE_DEVICES": ""}
    return Contestant(
        name,
        [python, str(HERE / "peers" / script), str(job)],
        workers=None,
        environment={**os.environ, **own, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads},
        log=place / f"{name}.log",
    )


def race(task: Task, place: Path, given: argparse.Namespace) -> dict[str, Lap]:
    """All runners with one seed, an epoch each in turn, until each is there or out of time."""
    place.mkdir()
    runners = {name: start(name, task, place, given) for name in given.peers.split(",")}
    laps = {name: Lap() for name in runners}
    running = dict(runners)
    try:
        while running:
            for name, runner in list(running.items()):
                answer, lap = runner.ask("epoch"), laps[name]
                if answer is not None:
                    lap.seconds += answer["seconds"]
                    lap.epochs += 1
                    lap.best = max(lap.best, answer["accuracy"])
                    if answer["accuracy"] >= given.goal:
                        lap.reached = lap.seconds
                    print(f"seed {task.seed} {name}: {lap}", file=sys.stderr, flush=True)
                if answer is None or lap.reached or lap.seconds > 60 * given.minutes:
                    del running[name]
    finally:
        for runner in runners.values():
            runner.close()
    return laps


def figures_of(races: list[dict[str, Lap]], given: argparse.Namespace) -> list[Figure]:
    limit = 60 * given.minutes
    medians = {
        name: statistics.median(each[name].reached or limit for each in races) for name in races[0]
    }
    figures = []
    for name in medians:
        told = ", ".join(
            f"{each[name].reached / 60:.2f} min"
            if each[name].reached
            else f"not in {each[name].seconds / 60:.1f} min, {each[name].epochs} epochs "
            f"(best {100 * each[name].best:.1f} %)"
            for each in races
        )
        figures.append(Figure(f"{name}: to {100 * given.goal:g} %", told))
    peers = {name: value for name, value in medians.items() if name != OURS}
    if OURS in medians and peers:
        best = min(peers, key=peers.__getitem__)
        share = medians[OURS] / peers[best]
        met = share <= THIRD
        figures.append(Figure(f"ours, share of {best}'s time", f"{share:.2f}", "<= 0.33", met))
    return figures


def main() -> int:
    given = options()
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        side, classes = export(given.data, place / "pictures", given.examples)
        folder = str(place / "pictures")
        races = [
            race(
                Task(
                    folder=folder,
                    seed=seed,
                    epochs=given.epochs,
                    side=side,
                    num_classes=classes,
                ),
                place / str(seed),
                given,
            )
            for seed in range(given.first_seed, given.first_seed + given.seeds)
        ]
    figures = figures_of(races, given)
    told = [{name: asdict(lap) for name, lap in each.items()} for each in races]
    print(json.dumps(told) if given.json else show(figures))
    if given.record:
        record("Time to accuracy", figures)
    return exit_code(figures)


if __name__ == "__main__":
    sys.exit(main())
