"""What every verb prints, and where: results on stdout, everything else on stderr."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from saccade.experiment.prepare import Reporter


class Output:
    """as_json: stdout carries exactly one JSON value; else it carries lines for people."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._stdout = sys.stdout
        # of several processes that train one network the first one speaks
        ranks = (os.environ.get(name, "0") for name in ("RANK", "LOCAL_RANK", "NODE_RANK"))
        self._mute = os.environ.get("WORLD_SIZE", "1") != "1" and set(ranks) != {"0"}

    def line(self, text: str = "") -> None:
        """One line of the result, for people."""
        if not self.as_json and not self._mute:
            print(text, file=self._stdout, flush=True)

    def value(self, value: Any) -> None:
        """The result, for programs; numbers that are not finite become null."""
        if self.as_json and not self._mute:
            text = json.dumps(_plain(value), indent=1, allow_nan=False)
            print(text, file=self._stdout, flush=True)

    def note(self, text: str) -> None:
        """Something besides the result: a warning, an error."""
        if not self._mute:
            print(text, file=sys.stderr, flush=True)

    def error(self, name: str, message: str, files: Sequence[str] = ()) -> None:
        """The contract's JSON of an error; people read `note`."""
        self.value({"error": {"name": name, "message": message, "files": list(files)}})

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> None:
        """Columns two spaces apart, the first `left` ones to the left, numbers to the right."""
        widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
        for row in (header, *rows):
            cells = (
                text.ljust(width) if place < left else text.rjust(width)
                for place, (text, width) in enumerate(zip(row, widths, strict=True))
            )
            self.line("  ".join(cells).rstrip())

    @contextmanager
    def reporter(self, *, first_line: bool = False, always: bool = False) -> Iterator[Reporter]:
        """Lines and a bar with the time left on stderr where that is a terminal, else warnings.

        first_line: the first line said is a result, and goes to stdout.
        always: lines, of a verb that says few and takes long, come without a terminal too.
        """
        from saccade.experiment.prepare import Reporter

        waiting = first_line

        def first(line: str, otherwise: Callable[[str], object]) -> None:
            nonlocal waiting
            (self.line if waiting else otherwise)(line)
            waiting = False

        if self._mute or not sys.stderr.isatty():
            said = self.note if always else lambda _: None
            yield Reporter(say=lambda line: first(line, said), warn=self.note)
            return
        with _bar() as (say, progress):
            yield Reporter(say=lambda line: first(line, say), progress=progress)


@contextmanager
def _bar() -> Iterator[tuple[Callable[[str], None], Callable[[str, int, int], None]]]:
    """`say` prints a line above the bar; `progress` shows one stage at a time."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Left

    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), Left(), TextColumn("left"))
    with Progress(*columns, console=console, transient=True, redirect_stdout=False) as bar:
        stages: dict[str, Any] = {}

        def progress(stage: str, done: int, total: int) -> None:
            for other in [name for name in stages if name != stage]:
                bar.remove_task(stages.pop(other))
            if stage not in stages:
                stages[stage] = bar.add_task(stage, total=total)
            bar.update(stages[stage], completed=done, total=total)

        yield console.print, progress


def measures_table(output: Output, measures: Mapping[str, Mapping[str, float]]) -> None:
    """Metric, value and 95 % interval; measures: name -> {value, low, high, n}."""
    rows = [
        (name, number(m["value"]), f"{number(m['low'])} to {number(m['high'])}")
        for name, m in measures.items()
    ]
    output.table(("metric", "value", "95 % interval"), rows)


def scores_value(
    run: str, task: str, split: str, measures: Mapping[str, Mapping[str, float]], seconds: float
) -> dict[str, Any]:
    """The JSON of `train` and `val`."""
    return {
        "run": run,
        "task": task,
        "split": split,
        "examples": int(max((m["n"] for m in measures.values()), default=0)),
        "metrics": {name: m["value"] for name, m in measures.items()},
        "intervals": {name: [m["low"], m["high"]] for name, m in measures.items()},
        "seconds": round(seconds, 3),
    }


def number(value: float | None) -> str:
    """Four decimals below 10, else five significant digits; "-" where there is none."""
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.5g}"


def count(value: float) -> str:
    """1,234,567"""
    return f"{value:,.0f}"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
