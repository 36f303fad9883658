"""Minutes to 93 % on Fashion-MNIST's test part: ours against timm, fastai and a plain loop.

    python benchmarks/time_to_accuracy.py [--data ../shared/data/fashion-mnist] [--seeds 3]
    python benchmarks/time_to_accuracy.py --data ../shared/data/cifar10-jpg --goal plain

Each trains its own network as its documents advise for small pictures (ours by the recipe
small-fast), from a random start, on the same files, in a process of its own with the same number of
threads. They run in turns, an epoch each, and only their own time counts, from the first look at
the data on. Who is past --minutes without reaching the goal counts as that long. Judged is the
median over the seeds; exit code 1 where ours takes over a third of the best peer's time. With
`--goal plain` everybody trains to the end, what counts is the way to the plain loop's best
accuracy, and ours may take half of the plain loop's time.
Peers' environments are those of `training.py`.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

from PIL import Image

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "peers"))

from environments import default_cache, python_of  # noqa: E402
from protocol import Contestant  # noqa: E402
from race import Task  # noqa: E402
from results import Figure, add_option, exit_code, record, show  # noqa: E402

import saccade  # noqa: E402
from saccade.data.read import load  # noqa: E402

SHARED = HERE.parents[1] / "shared" / "data" / "fashion-mnist"
OURS, PLAIN = "saccade", "plain"
THIRD, HALF = 1 / 3, 1 / 2
RUNNERS = {  # script, environment (None = this one)
    OURS: ("race_ours.py", None),
    PLAIN: ("race_plain.py", None),
    "timm": ("race_timm.py", "timm"),
    "fastai": ("race_fastai.py", "fastai"),
}


@dataclass
class Way:
    """How far one runner is: seconds of its own so far and accuracy, after each epoch."""

    laps: list[tuple[float, float]] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return self.laps[-1][0] if self.laps else 0.0

    @property
    def best(self) -> float:
        return max((accuracy for _, accuracy in self.laps), default=0.0)

    def reached(self, goal: float) -> float | None:
        """Seconds until the goal was reached, None where it was not."""
        return next((seconds for seconds, accuracy in self.laps if accuracy >= goal), None)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", default=str(SHARED), help="with parts train and test")
    parser.add_argument("--goal", default="0.93", help="accuracy, or plain: the plain loop's best")
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


def export(data: str, folder: Path, most: int) -> dict[str, int]:
    """Write train/CLASS and val/CLASS (the test part) as files; side, channels and classes."""
    dataset = saccade.open(data, task="classification")
    labels = dataset.fields[0]
    counts = {"train": 0, "val": 0}
    side, channels = 0, 1
    for number, example in enumerate(dataset.examples):
        part = "val" if example.split == "test" else "train"
        if most and counts[part] >= most:
            continue
        counts[part] += 1
        place = folder / part / str(example.target[labels.name])
        place.mkdir(parents=True, exist_ok=True)
        pixels = load(dataset.source, example.key, channels=3)
        grey = bool((pixels == pixels[..., :1]).all())
        side, channels = pixels.shape[0], channels if grey else 3
        Image.fromarray(pixels[..., 0] if grey else pixels).save(place / f"{number:06d}.png")
    return {"side": side, "channels": channels, "num_classes": len(labels.classes)}


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


def race(task: Task, place: Path, given: argparse.Namespace) -> dict[str, Way]:
    """All runners with one seed, an epoch each in turn, until each is there or out of time."""
    place.mkdir()
    goal = math.inf if given.goal == PLAIN else float(given.goal)
    runners = {name: start(name, task, place, given) for name in given.peers.split(",")}
    ways = {name: Way() for name in runners}
    running = dict(runners)
    try:
        while running:
            for name, runner in list(running.items()):
                answer, way = runner.ask("epoch"), ways[name]
                if answer is not None:
                    way.laps.append((way.seconds + answer["seconds"], answer["accuracy"]))
                    print(f"seed {task.seed} {name}: {way.laps[-1]}", file=sys.stderr, flush=True)
                if answer is None or way.best >= goal or way.seconds > 60 * given.minutes:
                    del running[name]
    finally:
        for runner in runners.values():
            runner.close()
    return ways


def figures_of(races: list[dict[str, Way]], given: argparse.Namespace) -> list[Figure]:
    limit = 60 * given.minutes
    to_plain = given.goal == PLAIN
    goals = [each[PLAIN].best if to_plain else float(given.goal) for each in races]
    medians = {
        name: statistics.median(
            each[name].reached(goal) or limit for each, goal in zip(races, goals, strict=True)
        )
        for name in races[0]
    }
    asked = ", ".join(f"{100 * goal:.4g} %" for goal in dict.fromkeys(goals))
    figures = []
    for name in medians:
        told = ", ".join(_told(each[name], goal) for each, goal in zip(races, goals, strict=True))
        figures.append(Figure(f"{name}: to {asked}", told))
    peers = {name: value for name, value in medians.items() if name != OURS}
    if OURS in medians and peers:
        best = PLAIN if to_plain else min(peers, key=peers.__getitem__)
        share, most = medians[OURS] / peers[best], HALF if to_plain else THIRD
        figures.append(
            Figure(f"ours, share of {best}'s time", f"{share:.2f}", f"<= {most:.2f}", share <= most)
        )
    return figures


def _told(way: Way, goal: float) -> str:
    reached, laps = way.reached(goal), len(way.laps)
    if reached:
        return f"{reached / 60:.2f} min (best {100 * way.best:.1f} %)"
    return f"not in {way.seconds / 60:.1f} min, {laps} epochs (best {100 * way.best:.1f} %)"


def main() -> int:
    given = options()
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        shape = export(given.data, place / "pictures", given.examples)
        folder = str(place / "pictures")
        races = [
            race(
                Task(folder=folder, seed=seed, epochs=given.epochs, **shape),
                place / str(seed),
                given,
            )
            for seed in range(given.first_seed, given.first_seed + given.seeds)
        ]
    figures = figures_of(races, given)
    told = [{name: way.laps for name, way in each.items()} for each in races]
    print(json.dumps(told) if given.json else show(figures))
    if given.record:
        record("Time to accuracy", figures)
    return exit_code(figures)


if __name__ == "__main__":
    sys.exit(main())
