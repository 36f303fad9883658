"""Parallel coordinates: one vertical axis for each setting, one line for each trial."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup, escape

from saccade.report import charts
from saccade.tune.outcome import Outcome, Trial
from saccade.tune.space import COMPLEMENT, Axis, Choice, Span

HEIGHT, TOP, BOTTOM = 300.0, 34.0, 20.0
GAP, EDGE = 150.0, 70.0
"""Between axes, and from the picture's sides to the first and last one."""


def draw(outcome: Outcome) -> Markup:
    """The picture; nothing where there is nothing to compare.

    Finished trials are drawn over those given up, better ones over worse ones; the best is thick.
    """
    shown = [each for each in outcome.trials if math.isfinite(each.value)]
    done = [each.value for each in shown if each.state == "done"]
    if len(shown) < 2 or not done:
        return Markup("")
    metric = Span(outcome.metric, *_ends(done), log=False)
    axes: list[Axis] = [*outcome.axes, metric]
    width = 2 * EDGE + GAP * (len(axes) - 1)
    parts = [_axis(axis, EDGE + GAP * place) for place, axis in enumerate(axes)]
    sign = 1 if outcome.maximize else -1
    best = outcome.best
    shown.sort(key=lambda t: (t is best, t.state == "done", t.kept, sign * t.value))
    for each in shown:
        parts.append(_line(outcome, each, axes, metric))
    # every part was escaped where it was made
    return Markup(  # noqa: S704
        f'<svg class="coordinates" viewBox="0 0 {width:.0f} {HEIGHT:.0f}" role="img" '
        f'style="min-width:{110 * len(axes)}px">{"".join(parts)}</svg>'
    )


def _ends(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = (high - low) * 0.03 or abs(high) * 0.1 or 1.0
    return low - room, high + room


def _line(outcome: Outcome, trial: Trial, axes: Sequence[Axis], metric: Span) -> str:
    points = []
    for place, axis in enumerate(axes):
        value = trial.drawn.get(axis.name, outcome.base.get(axis.name))
        if axis is metric:
            value = min(max(trial.value, metric.low), metric.high)
        points.append(f"{EDGE + GAP * place:.1f},{_y(axis, value):.1f}")
    style = "best" if trial is outcome.best else trial.state
    style += "" if trial.kept else " beyond"
    # the better, the stronger
    strength = (trial.value - metric.low) / (metric.high - metric.low)
    strength = min(1.0, max(0.0, strength if outcome.maximize else 1 - strength))
    told = ", ".join(f"{name} {_word(value)}" for name, value in trial.settings.items())
    words = f"trial {trial.number + 1}: {outcome.metric} {charts.short(trial.value)}"
    return (
        f'<polyline class="{style}" stroke-opacity="{0.15 + 0.85 * strength**2:.2f}" '
        f'points="{" ".join(points)}"><title>{escape(words)} ({escape(told or "defaults")})</title>'
        "</polyline>"
    )


def _axis(axis: Axis, x: float) -> str:
    parts = [
        f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>',
        f'<text class="name" x="{x:.1f}" y="16" text-anchor="middle">{escape(_title(axis))}</text>',
    ]
    parts += [
        f'<text class="tick" x="{x - 6:.1f}" y="{_y(axis, mark) + 3.5:.1f}" text-anchor="end">'
        f"{escape(_word(mark))}</text>"
        for mark in _marks(axis)
    ]
    return "".join(parts)


def _title(axis: Axis) -> str:
    short = axis.setting.rpartition(".")[2]
    return f"1 - {short}" if axis.name.startswith(COMPLEMENT) else short


def _marks(axis: Axis) -> Sequence[Any]:
    if isinstance(axis, Choice):
        return axis.options
    if not axis.log:
        return [axis.low, (axis.low + axis.high) / 2, axis.high]
    first, last = math.ceil(math.log10(axis.low)), math.floor(math.log10(axis.high))
    inner = [10.0**power for power in range(first, last + 1)]
    span = math.log(axis.high / axis.low)
    apart = [
        mark
        for mark in inner
        if min(math.log(mark / axis.low), math.log(axis.high / mark)) > 0.06 * span
    ]
    return [axis.low, *apart, axis.high]


def _y(axis: Axis, value: Any) -> float:
    """Low numbers at the bottom; choices in their order from the top."""
    if isinstance(axis, Choice):
        place = axis.options.index(value) if value in axis.options else 0
        share = 1 - (place + 0.5) / len(axis.options)
    else:
        number = min(max(value, axis.low), axis.high)
        if axis.log:
            share = math.log(number / axis.low) / math.log(axis.high / axis.low)
        else:
            share = (number - axis.low) / (axis.high - axis.low)
    return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)


def _word(value: Any) -> str:
    return charts.short(value) if isinstance(value, float) else str(value)
