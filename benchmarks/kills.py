"""The long form of the kill test: 200 trainings killed, every one ends as if it never had been.

    python benchmarks/kills.py [--kills 200] [--seed 0] [--everything] [--processes 2]

Half of the kills (SIGKILL) come at random moments, half inside a save, at an fsync or a rename.
Each training is then resumed to its end; best weights, final state, results.csv, predictions and
args.yaml must equal those of the unbroken run bit for bit. `--everything` trains with all that a
training can remember besides; with `--processes` one of several is killed, any of them, and it does
so too. `tests/kills.py` does the work.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType

from results import Figure, add_option, exit_code, record, show

TEST = Path(__file__).resolve().parents[1] / "tests" / "kills.py"


def load(path: Path) -> ModuleType:
    """A module from its file; tests are no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def killed_trainings(given: argparse.Namespace, place: Path) -> dict[str, int]:
    """Kill as often as is wanted; raises AssertionError where a training came out otherwise."""
    kills = load(TEST)
    everything = dict(kills.EVERYTHING)
    if given.processes > 1:
        counts = kills.kill_one_of(given.processes, given.kills, place, given.seed, everything)
    else:
        settings = everything if given.everything else None
        counts = kills.kill_and_compare(given.kills, place, given.seed, settings)
    return dict(counts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--everything", action="store_true")
    parser.add_argument("--json", action="store_true")
    add_option(parser)
    given = parser.parse_args()
    started, told = time.perf_counter(), ""
    counts = {"runs": 0, "random": 0, "inside a write": 0}
    with tempfile.TemporaryDirectory() as place:
        try:
            counts = killed_trainings(given, Path(place))
        except AssertionError as error:
            told = str(error)
    seconds = time.perf_counter() - started
    killed = counts["random"] + counts["inside a write"]
    figures = [
        Figure("killed at random moments", str(counts["random"])),
        Figure("killed inside a save", str(counts["inside a write"])),
        Figure("killed in all", str(killed), f">= {given.kills}", killed >= given.kills),
        Figure("trainings resumed to their end", str(counts["runs"])),
        Figure("of them different from the unbroken run", told or "0", "0", not told),
    ]
    print(json.dumps({**counts, "different": told}) if given.json else show(figures))
    if given.record:
        name = f"Kills, {given.processes} processes" if given.processes > 1 else "Kills"
        record(
            name + (", everything" if given.everything else ""), figures, note=f"{seconds:.0f} s"
        )
    return exit_code(figures)


if __name__ == "__main__":
    sys.exit(main())
