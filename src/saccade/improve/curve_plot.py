"""The picture of a learning curve: measured errors, the law through them, what is foreseen."""

from __future__ import annotations

import io
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from saccade.files import write_atomic
from saccade.improve.curve import Curve
from saccade.ops.intervals import mean_interval

BLUE, GREY = "#1f6fd1", "#5f6871"


def draw_curve(curve: Curve, path: Path) -> None:
    """A PNG at `path`."""
    figure = Figure(figsize=(7.2, 4.4), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    factor = 100.0 if curve.percent else 1.0
    span, low, middle, high = curve.fit.band
    axes.fill_between(span, factor * low, factor * high, color=BLUE, alpha=0.12, lw=0)
    axes.plot(span, factor * middle, color=BLUE, lw=1.8, label="power law, 95 % interval")
    for number, point in enumerate(curve.points):
        groups = [point.groups[key] for key in point.errors] if point.groups else None
        value, below, above, _ = mean_interval(list(point.errors.values()), groups)
        reach = [[factor * (value - below)], [factor * (above - value)]]
        label = "measured on dev" if number == 0 else None
        axes.errorbar(
            point.examples, factor * value, yerr=reach, fmt="o", color="black", ms=4.5, label=label
        )
    full, twice = max(point.examples for point in curve.points), curve.fit.twice
    reach = [[factor * (twice.value - twice.low)], [factor * (twice.high - twice.value)]]
    axes.errorbar(
        2 * full,
        factor * twice.value,
        yerr=reach,
        fmt="D",
        color=BLUE,
        ms=6,
        label="twice the data",
    )
    axes.set_xscale("log", base=2)
    marks = sorted({point.examples for point in curve.points} | {2 * full, 4 * full})
    axes.set_xticks(marks, [f"{mark:,}" for mark in marks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_ylim(bottom=0)
    if factor == 100:
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} %"))
    axes.set_xlabel("training examples")
    axes.set_ylabel("error on dev")
    axes.set_title(curve.sentence, fontsize=11)
    axes.grid(color=GREY, alpha=0.2)
    axes.legend(frameon=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    write_atomic(path, file.getvalue())
