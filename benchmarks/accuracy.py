"""What the defaults reach: the command line as a user types it, no setting but the seed.

    python benchmarks/accuracy.py [digits] [fashion] [--fashion-mnist ../shared/data/fashion-mnist]

digits         sample:digits over five seeded splits: the test parts average at least 98.3 %, each
               training takes less than 60 s
fashion-mnist  its official test part: at least 93.5 % after at most 4 minutes

Times are those of whole `saccade train` commands, start of Python and report included, with two
threads; they mean something only where nothing else runs. Exit code 1 where a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from results import Figure, add_option, exit_code, record, show

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
DIGITS, DIGITS_SECONDS = 0.983, 60
FASHION, FASHION_SECONDS = 0.935, 240


@dataclass(frozen=True)
class Trained:
    """dev, test: accuracies; seconds: of the whole command."""

    dev: float
    test: float
    seconds: float


def saccade(*words: str, threads: int) -> dict[str, object]:
    """The JSON that `saccade WORDS --json` prints."""
    done = subprocess.run(
        [sys.executable, "-m", "saccade", *words, "--json"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": str(threads), "CUDA_VISIBLE_DEVICES": ""},
    )
    if done.returncode:
        sys.exit(f"saccade {' '.join(words)} ended with {done.returncode}: {done.stdout}")
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def once(data: str, *, seed: int, threads: int) -> Trained:
    """Train with the defaults, then look at the test part once."""
    with tempfile.TemporaryDirectory() as project:
        started = time.perf_counter()
        words = ("train", data, "--seed", str(seed), "--project", project)
        made = saccade(*words, threads=threads)
        seconds = time.perf_counter() - started
        tested = saccade("val", str(made["run"]), "--split", "test", threads=threads)
    dev, test = (float(each["metrics"]["accuracy"]) for each in (made, tested))  # type: ignore[index]
    trained = Trained(dev, test, seconds)
    print(
        f"{data} seed {seed}: dev {100 * dev:.2f} %, test {100 * test:.2f} %, {seconds:.1f} s",
        file=sys.stderr,
        flush=True,
    )
    return trained


def digits(seeds: int, threads: int) -> list[Figure]:
    runs = [once("sample:digits", seed=seed, threads=threads) for seed in range(seeds)]
    tests = [each.test for each in runs]
    mean, slowest = statistics.mean(tests), max(each.seconds for each in runs)
    parts = ", ".join(f"{100 * each:.2f}" for each in tests)
    return [
        Figure(
            f"digits: test accuracy, mean of {seeds} splits",
            f"{100 * mean:.2f} % ({parts})",
            f">= {100 * DIGITS:.1f} %",
            mean >= DIGITS,
        ),
        Figure(
            "digits: slowest training",
            f"{slowest:.1f} s",
            f"< {DIGITS_SECONDS} s",
            slowest < DIGITS_SECONDS,
        ),
    ]


def fashion(data: str, seeds: int, threads: int) -> list[Figure]:
    runs = [once(data, seed=seed, threads=threads) for seed in range(seeds)]
    worst, slowest = min(each.test for each in runs), max(each.seconds for each in runs)
    parts = ", ".join(f"{100 * each.test:.2f}" for each in runs)
    return [
        Figure(
            f"fashion-mnist: test accuracy, worst of {seeds}",
            f"{100 * worst:.2f} % ({parts})",
            f">= {100 * FASHION:.1f} %",
            worst >= FASHION,
        ),
        Figure(
            "fashion-mnist: slowest training",
            f"{slowest:.0f} s",
            f"<= {FASHION_SECONDS} s",
            slowest <= FASHION_SECONDS,
        ),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("which", nargs="*", metavar="digits|fashion")
    parser.add_argument("--fashion-mnist", default=str(SHARED / "fashion-mnist"), metavar="DATA")
    parser.add_argument("--splits", type=int, default=5, help="of the digits")
    parser.add_argument("--seeds", type=int, default=1, help="of fashion-mnist")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    add_option(parser)
    given = parser.parse_args()
    which = given.which or ["digits", "fashion"]
    if unknown := set(which) - {"digits", "fashion"}:
        parser.error(f"{', '.join(unknown)}: expected digits or fashion")
    load = os.getloadavg()[0]
    figures: list[Figure] = []
    if "digits" in which:
        figures += digits(given.splits, given.threads)
    if "fashion" in which:
        figures += fashion(given.fashion_mnist, given.seeds, given.threads)
    if given.json:
        print(json.dumps([vars(each) for each in figures]))
    else:
        print(show(figures))
    if given.record:
        note = f"{given.threads} threads, load average {load:.1f} at the start"
        record(f"Accuracy of the defaults: {', '.join(which)}", figures, note=note)
    return exit_code(figures)


if __name__ == "__main__":
    sys.exit(main())
