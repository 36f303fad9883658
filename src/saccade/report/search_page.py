"""report.html of a search: all trials, what mattered, and the recipe that came out."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from saccade.files import write_atomic
from saccade.report import charts, coordinates
from saccade.tune.outcome import Outcome, Trial


def write(outcome: Outcome) -> None:
    """Write the page. Raises SaccadeError."""
    write_atomic(outcome.page, render(outcome).encode("utf-8", "replace"))


def render(outcome: Outcome) -> str:
    """The page as text."""
    environment = Environment(
        loader=PackageLoader("saccade.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(short=_short)
    best = outcome.best
    return environment.get_template("search.html.jinja").render(
        outcome=outcome,
        best=best,
        counts=_counts(outcome.trials),
        importance=[
            (name, share, 100 * share / max(outcome.importance.values()))
            for name, share in outcome.importance.items()
        ],
        finished=sum(each.state == "done" for each in outcome.trials),
        history=_history(outcome),
        lines=coordinates.draw(outcome),
        rows=sorted(outcome.trials, key=lambda each: _rank(outcome, each)),
        measured=_measured(outcome),
        recipe=outcome.recipe.read_text(encoding="utf-8") if best else "",
        command=shlex.join(["saccade", "train", "DATA", "--recipe", str(outcome.recipe)]),
    )


def _counts(trials: Sequence[Trial]) -> list[tuple[str, int]]:
    words = {
        "done": "finished",
        "pruned": "given up early",
        "running": "running",
        "waiting": "waiting",
    }
    counted = [(word, sum(each.state == state for each in trials)) for state, word in words.items()]
    return [(word, count) for word, count in counted if count]


def _rank(outcome: Outcome, trial: Trial) -> tuple[Any, ...]:
    """Finished before given up, kept before beyond the limits, better before worse."""
    sign = -1 if outcome.maximize else 1
    value = sign * trial.value if math.isfinite(trial.value) else math.inf
    return (trial.state != "done", not trial.kept, value, trial.number)


def _measured(outcome: Outcome) -> list[str]:
    """Columns of the table besides the metric: what limits ask for, and the costs."""
    names = [each.name for each in outcome.limits] + ["latency", "size"]
    known = {name for each in outcome.trials for name in each.values}
    return [name for name in dict.fromkeys(names) if name in known and name != outcome.metric]


def _history(outcome: Outcome) -> Any:
    """The value of each finished trial, and the best until then."""
    done = [each for each in outcome.trials if each.state == "done" and math.isfinite(each.value)]
    if len(done) < 2:
        return None
    choose = max if outcome.maximize else min
    able = [each.value for each in done if each.kept]
    numbers = [float(each.number + 1) for each in done]
    best = [
        choose([each.value for each in done[: place + 1] if each.kept], default=math.nan)
        for place in range(len(done))
    ]
    curves = [charts.Line("value", "plain", numbers, [each.value for each in done])]
    if able:
        curves.append(charts.Line("best so far", "dev", numbers, best))
    return charts.lines(curves, across="trial")


def _short(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return charts.short(value) if math.isfinite(value) else "-"
    return str(value)
