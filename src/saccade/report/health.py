"""Layers by epochs: how gradients, updates and activations fared while a run trained."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

from saccade.report import charts

MOST = 40
"""Layers, and epochs, drawn at most; of more, evenly spaced ones."""
CELL, ROW, LABELS = 14.0, 13.0, 150.0

COLUMNS = {
    "gradient_norm": ("Gradients", "length of the loss's gradient in a layer's weights", True),
    "update_ratio": ("Updates", "change by one update, relative to the weights", True),
    "variance": ("Activations", "variance of a layer's activations", True),
    "dead": ("Dead units", "share of units that gave nothing for any probed example", False),
    "saturated": ("Saturated units", "share of units at a limit of their activation", False),
    "twins": ("Symmetric units", "share of units whose weights equal another unit's", False),
}
"""Column of health.csv -> title, meaning, whether its colours follow the logarithm."""


@dataclass(frozen=True)
class Map:
    """One picture: layers from top to bottom, epochs from left to right."""

    title: str
    meaning: str
    low: str
    high: str
    chart: Markup


def maps(lines: Sequence[Mapping[str, Any]]) -> list[Map]:
    """The maps worth drawing, from the lines of health.csv; shares of nothing are left out."""
    found = []
    for column, (title, meaning, log) in COLUMNS.items():
        values = {
            (str(line["layer"]), int(line["epoch"])): float(line[column])
            for line in lines
            if column in line
        }
        if not values or (not log and max(values.values()) == 0):
            continue
        low, high, shade = _scale(list(values.values()), log)
        chart = _draw(values, shade)
        found.append(Map(title, meaning, charts.short(low), charts.short(high), chart))
    return found


def _scale(values: Sequence[float], log: bool) -> tuple[float, float, Callable[[float], float]]:
    """The values with the palest and the strongest colour, and the strength of any, 0..1."""
    if not log:
        return 0.0, 1.0, lambda value: value
    positive = [value for value in values if value > 0 and math.isfinite(value)]
    low, high = min(positive, default=1.0), max(positive, default=1.0)
    span = math.log(high / low) or 1.0

    def shade(value: float) -> float:
        if not math.isfinite(value):
            return 1.0
        return math.log(value / low) / span if value > 0 else 0.0

    return low, high, shade


def _draw(values: Mapping[tuple[str, int], float], shade: Callable[[float], float]) -> Markup:
    layers = _some(list(dict.fromkeys(layer for layer, _ in values)))
    epochs = _some(sorted({epoch for _, epoch in values}))
    cell = min(CELL * 3, max(CELL, 420 / len(epochs)))
    parts = []
    for row, layer in enumerate(layers):
        y = row * ROW
        parts.append(
            f'<text class="tick" x="{LABELS - 6}" y="{y + ROW - 3.5:.1f}" text-anchor="end">'
            f"{escape(_short(layer))}<title>{escape(layer)}</title></text>"
        )
        for column, epoch in enumerate(epochs):
            if (layer, epoch) not in values:
                continue
            value = values[layer, epoch]
            told = escape(f"{layer}, epoch {epoch}: {charts.short(value)}")
            parts.append(
                f'<rect class="bar" x="{LABELS + column * cell:.1f}" y="{y:.1f}" '
                f'width="{cell - 1:.1f}" height="{ROW - 1}" '
                f'fill-opacity="{0.06 + 0.94 * shade(value):.2f}"><title>{told}</title></rect>'
            )
    height = len(layers) * ROW
    for column, epoch in ((0, epochs[0]), (len(epochs) - 1, epochs[-1])):
        parts.append(
            f'<text class="tick" x="{LABELS + (column + 0.5) * cell:.1f}" y="{height + 13:.1f}" '
            f'text-anchor="middle">{epoch}</text>'
        )
    width = LABELS + len(epochs) * cell
    # every part was escaped where it was made
    return Markup(  # noqa: S704
        f'<svg class="layers" viewBox="0 0 {width:.0f} {height + 18:.0f}" '
        f'style="max-width:{width:.0f}px" role="img">{"".join(parts)}</svg>'
    )


def _some(items: list[Any]) -> list[Any]:
    """At most MOST of the items, evenly, with both ends."""
    if len(items) <= MOST:
        return items
    return [items[round(place * (len(items) - 1) / (MOST - 1))] for place in range(MOST)]


def _short(name: str) -> str:
    """The end of a long name, which tells layers apart."""
    return name if len(name) <= 24 else f"…{name[-23:]}"
