"""How much longer `saccade --help` takes than a bare Python, in cold processes taken in turns.

    python benchmarks/startup.py [rounds]

Prints minimum and median of each, their difference and ratio. Target: at most 150 ms more.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

TARGET = 0.150
PROGRAM = Path(sys.executable).with_name("saccade")
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "saccade --help": [str(PROGRAM), "--help"],
    "saccade train --help": [str(PROGRAM), "train", "--help"],
    "import saccade": [sys.executable, "-c", "import saccade"],
}


def seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for number in range(rounds + 1):
        for name, command in COMMANDS.items():
            spent = seconds(command)
            # the first round fills the file cache
            if number:
                taken[name].append(spent)
    bare = taken["python -c pass"]
    print(f"{'ms':22}{'min':>8}{'median':>8}{'more (min)':>12}{'more (median)':>15}{'ratio':>8}")
    for name, each in taken.items():
        low, middle = min(each), statistics.median(each)
        more, usual = low - min(bare), middle - statistics.median(bare)
        print(
            f"{name:22}{low * 1e3:8.1f}{middle * 1e3:8.1f}{more * 1e3:12.1f}{usual * 1e3:15.1f}"
            f"{low / min(bare):8.2f}"
        )
    more = statistics.median(taken["saccade --help"]) - statistics.median(bare)
    print(f"`saccade --help`: {more * 1e3:.0f} ms more, at most {TARGET * 1e3:.0f} allowed")
    return 0 if more <= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
