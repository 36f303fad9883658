"""Our default training against a plain PyTorch loop, timm and fastai, in turns within one run.

    python benchmarks/training.py --data ../shared/data/cifar10-jpg/train.zip [--accuracy 8]

All train the same network from the same weights on the same files with the same batch, schedule,
number of threads and kind of augmentation, each in its own process; peers have their own
environments, made when first needed (--cache). A step is forward, backward, update and the wait
for its batch; an epoch includes everything a user waits for, validation too. Printed are medians
over the rounds and ratios with their spread. Exit code 0 where all goals are met, 1 where one is
missed, 3 where the machine was too busy to tell.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "peers"))

from contest import JUDGED, OURS, PEERS, Contest, Outcome, Setup, learn, run  # noqa: E402
from environments import default_cache  # noqa: E402
from results import Figure, add_option, exit_code, machine, record, show  # noqa: E402

NETWORKS = "resnet20@32,airbench_small@32,resnet18@96"
PHOTO = 64
"""Inputs beyond this side are augmented as photos, as saccade's defaults do."""
STEADY = 0.75
"""The median of a calibration may not fall below this share of the best of all."""
PLAIN_GOAL, PEER_GOAL, OVERHEAD_GOAL, WAIT_GOAL = 3.0, 1.5, 0.05, 0.03
NOT_JUDGED = 3


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", required=True, help="pictures in classes, as `saccade train`")
    parser.add_argument("--networks", default=NETWORKS, help="MODEL@SIDE, separated by commas")
    parser.add_argument("--batch", type=int, default=0, help="0: 256 up to 64 pixels, 64 beyond")
    parser.add_argument("--examples", type=int, default=4096, help="training pictures an epoch")
    parser.add_argument("--val", type=int, default=1000, help="dev pictures")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peers", default=",".join(PEERS).replace(", tuned", "+tuned"))
    parser.add_argument("--accuracy", type=int, default=0, metavar="EPOCHS")
    parser.add_argument("--cache", type=Path, default=default_cache(), help="peers' environments")
    parser.add_argument("--json", action="store_true")
    add_option(parser)
    return parser.parse_args()


def calibrate() -> tuple[float, float]:
    """10^9 operations a second of a convolution in training's precision: best, and median.

    The best is what the machine can do, the median what it did: others' work shows in the latter.
    """
    import torch

    from saccade.training.device import choose

    precision = choose("cpu").precision
    kind = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision, torch.float32)
    channels, side, batch = 128, 32, 64
    images = torch.randn(batch, channels, side, side).to(kind)
    images = images.contiguous(memory_format=torch.channels_last)
    layer = torch.nn.Conv2d(channels, channels, 3, padding=1, bias=False).to(kind)
    layer = layer.to(memory_format=torch.channels_last)
    work = 2 * 9 * channels * channels * side * side * batch
    speeds = []
    with torch.inference_mode():
        for _ in range(40):
            started = time.perf_counter()
            layer(images)
            speeds.append(work / (time.perf_counter() - started) / 1e9)
    # the first ones choose a kernel
    return max(speeds[5:]), statistics.median(speeds[5:])


def steady(calibrations: list[tuple[float, float]]) -> bool:
    """Whether the usual speed never fell far below the best there was."""
    return min(usual for _, usual in calibrations) >= STEADY * max(best for best, _ in calibrations)


def ratio(ours: list[float], theirs: list[float]) -> tuple[float, str]:
    """Median over the rounds of one speed by the other, and the same with its spread in words."""
    each = [a / b for a, b in zip(ours, theirs, strict=True)]
    middle = statistics.median(each)
    return middle, f"{middle:.2f}x ({min(each):.2f} to {max(each):.2f})"


def ratios(title: str, outcomes: dict[str, Outcome], kind: str) -> list[Figure]:
    """Our speed by each other's; the plain loop and the best judged peer have goals."""
    speeds = {name: getattr(each, kind) for name, each in outcomes.items()}
    judged = [name for name in JUDGED if name in speeds]
    best = max(judged, key=lambda name: statistics.median(speeds[name]), default=None)
    figures = []
    for name in speeds:
        if name == OURS:
            continue
        goal = {"plain": PLAIN_GOAL, best: PEER_GOAL}.get(name)
        value, words = ratio(speeds[OURS], speeds[name])
        what = f"{title}: {kind}, times {name}" + (" (best peer)" if name == best else "")
        figures.append(
            Figure(what, words, f">= {goal}x" if goal else "-", value >= goal if goal else None)
        )
    return figures


def share(what: str, value: float, goal: float) -> Figure:
    return Figure(what, f"{100 * value:.1f} %", f"<= {100 * goal:.0f} %", value <= goal)


def figures_of(title: str, contest: Contest) -> list[Figure]:
    """Everything one network is judged by."""
    outcomes, overhead = contest.outcomes, contest.overhead
    pairs = zip(overhead["loop"], overhead["bare"], strict=True)
    extra = statistics.median(loop / bare - 1 for loop, bare in pairs)
    speed = statistics.median(outcomes[OURS].step)
    reached = 6 * contest.facts["multiply_adds"] * speed / 1e9
    limit = max(best for best, _ in contest.calibrations)
    rates = ", ".join(
        f"{name} {statistics.median(each.step):.0f} / {statistics.median(each.epoch):.0f}"
        + (f" ({contest.workers[name]} workers)" if contest.workers[name] is not None else "")
        for name, each in outcomes.items()
    )
    return [
        *ratios(title, outcomes, "step"),
        *ratios(title, outcomes, "epoch"),
        share(f"{title}: loop over bare steps", extra, OVERHEAD_GOAL),
        share(f"{title}: waiting for data", statistics.median(outcomes[OURS].waited), WAIT_GOAL),
        Figure(
            f"{title}: of the convolution limit",
            f"{100 * reached / limit:.0f} % ({reached:.0f} of {limit:.0f} GFLOP/s)",
        ),
        Figure(f"{title}: pictures/s, step / epoch", rates),
        Figure(f"{title}: reading pictures, once", f"{contest.facts['prepared']:.1f} s"),
    ]


def accuracy_figure(title: str, curves: dict[str, list[float]], examples: int) -> Figure:
    """Met where nobody is better by more than two standard errors of a difference."""
    last = {name: curve[-1] for name, curve in curves.items()}
    best = max(value for name, value in last.items() if name != OURS)
    noise = 2 * (2 * best * (1 - best) / examples) ** 0.5
    words = ", ".join(f"{name} {100 * value:.1f}" for name, value in last.items())
    return Figure(
        f"{title}: dev accuracy after {len(curves[OURS])} epochs, %",
        words,
        f">= best - {100 * noise:.1f}",
        last[OURS] >= best - noise,
    )


def compete(
    given: argparse.Namespace, setup: Setup, network: str
) -> tuple[list[Figure], dict[str, Any]]:
    """All rounds of one network: figures and the numbers they come from."""
    from data import export

    model, _, side = network.partition("@")
    size = int(side)
    batch = given.batch or (256 if size <= PHOTO else 64)
    folder = setup.folder / f"pictures-{batch}"
    count = export(given.data, folder, examples=given.examples, val=given.val, batch=batch)
    job = {"folder": str(folder), "model": model, "size": size, "photo": size > PHOTO}
    job |= {"batch": batch, "epochs": given.rounds + 1}
    say(f"{network}: {count} training pictures, batch {batch}")
    contest = run(setup, job, rounds=given.rounds, calibrate=calibrate, say=say)
    figures = figures_of(network, contest)
    raw: dict[str, Any] = asdict(contest)
    if given.accuracy:
        curves = learn(setup, {**job, "epochs": given.accuracy}, workers=2, say=say)
        figures.append(accuracy_figure(network, curves, given.val))
        raw["accuracy"] = curves
    return figures, raw


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    given = options()
    # before torch is imported here
    os.environ["OMP_NUM_THREADS"] = str(given.threads)
    load = os.getloadavg()[0]
    figures: list[Figure] = []
    raw: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as place:
        setup = Setup(
            folder=Path(place),
            cache=given.cache,
            threads=given.threads,
            peers=[name.replace("+", ", ") for name in given.peers.split(",") if name],
        )
        for network in given.networks.split(","):
            found, raw[network] = compete(given, setup, network)
            figures += found
    calibrations = [value for each in raw.values() for value in each["calibrations"]]
    quiet = steady(calibrations)
    note = (
        f"{given.threads} threads each, {given.rounds} rounds, load average {load:.1f} at the "
        f"start, calibration {min(low for _, low in calibrations):.0f} to "
        f"{max(high for high, _ in calibrations):.0f} GFLOP/s"
    )
    if given.json:
        lines = [asdict(each) for each in figures]
        print(json.dumps({"machine": machine(), "quiet": quiet, "figures": lines, "raw": raw}))
    else:
        print(f"{note}\n{show(figures)}")
    if not quiet:
        say("The machine was too busy to judge: the calibration fell below 75 % of its best.")
        return NOT_JUDGED
    if given.record:
        record("Training speed", figures, note=note)
    return exit_code(figures)


if __name__ == "__main__":
    sys.exit(main())
