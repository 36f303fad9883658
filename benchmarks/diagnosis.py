"""The diagnosis: how honest its intervals are, how long it takes, how soon its page answers.

    python benchmarks/diagnosis.py [--run RUN] [--record]

Coverage: parts are drawn anew 2,000 times from known error rates; told is how often the 95 %
interval of the gap between training and dev error holds the true gap. Page: `saccade errors` of a
made run with 5,000 mistakes in a headless Chromium (which must be on the path); told is the time
from a key to the stored tag, over pictures far apart. RUN: a finished run, diagnosed five times.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from results import Figure, add_option, exit_code, record, show

from saccade.diagnose import diagnose
from saccade.diagnose.gaps import gap
from saccade.ops.intervals import mean_interval
from saccade.types import Measure

# the made run and the browser are those of the tests
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

TOGGLE = (
    "(async () => { const start = performance.now(); await toggle(0); "
    "return current().tags.length === 1 ? performance.now() - start : 1e9 })()"
)


def coverage(train: float, dev: float, sizes: tuple[int, int], rounds: int = 2000) -> float:
    """Share of draws whose interval holds the true gap."""
    random = np.random.default_rng(17)
    covered = 0
    for _ in range(rounds):
        low, high = (
            Measure(**dict(zip(("value", "low", "high", "n"), mean_interval(drawn), strict=True)))
            for drawn in (random.random(n) < p for n, p in zip(sizes, (train, dev), strict=True))
        )
        found = gap(high, low)
        covered += found.low <= dev - train <= found.high
    return covered / rounds


def page(tags: int = 40) -> list[float]:
    """Milliseconds from key to stored tag, of 5,000 mistakes."""
    from browser import chromium
    from diagnose.made_run import share, write_run
    from review.test_errors_page import serving

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        run = write_run(place / "run", {"train": share(300, 0.0), "dev": share(6250, 0.8)})
        taken: list[float] = []
        with chromium(place / "profile") as browser, serving(run.root) as (_, told):
            assert told["mistakes"] == 5000
            browser.open(told["url"])
            browser.run("newTag('foggy')")
            for _ in range(tags):
                browser.run("go(now + 119)")
                browser.wait("current()")
                taken.append(float(browser.run(TOGGLE)))
        return taken


def diagnosed(run: Path) -> list[float]:
    times = []
    for _ in range(5):
        began = time.perf_counter()
        diagnose(str(run))
        times.append(time.perf_counter() - began)
    return times


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, help="a finished run")
    add_option(parser)
    given = parser.parse_args()
    figures = []
    for train, dev, sizes in (
        (0.01, 0.08, (2400, 400)),
        (0.10, 0.12, (2400, 400)),
        (0.30, 0.45, (600, 60)),
    ):
        share = coverage(train, dev, sizes)
        name = f"gap of {train:.0%} and {dev:.0%}, {sizes[0]} and {sizes[1]} pictures: covered"
        figures.append(Figure(name, f"{share:.1%}", "90 to 98 %", 0.9 <= share <= 0.98))
    taken = page()
    middle = statistics.median(taken)
    figures.append(
        Figure("page, 5,000 mistakes: a tag, median ms", f"{middle:.0f}", "<= 100", middle <= 100)
    )
    figures.append(Figure("the slowest of 40, ms", f"{max(taken):.0f}"))
    if given.run:
        times = diagnosed(given.run)
        slow = max(times)
        figures.append(
            Figure("diagnosis of a finished run, slowest s", f"{slow:.1f}", "<= 10", slow <= 10)
        )
    print(show(figures))
    if given.record:
        record("Diagnosis: intervals, page, time", figures)
    return exit_code(figures)


if __name__ == "__main__":
    sys.exit(main())
