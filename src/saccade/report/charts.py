"""Charts as inline SVG: colours come from the page's style sheet, so light and dark both work."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH, HEIGHT = 360, 230
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 10, 30
SHARES = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]


@dataclass(frozen=True)
class Line:
    """One curve. style: "train", "dev", "plain" or "c0" to "c7", a class of the style sheet.

    name: in the reading of the values under the pointer; empty = not read.
    """

    name: str
    style: str
    x: Sequence[float]
    y: Sequence[float]


def lines(
    curves: Sequence[Line],
    *,
    log: bool = False,
    mark: float | None = None,
    across: str = "epoch",
    shares: bool = False,
) -> Markup:
    """Curves over epochs, or what `across` names.

    log: logarithmic y, for values above 0; mark: an x to point out; shares: both axes are 0 to 1.
    """
    points = [value for curve in curves for value in curve.y if math.isfinite(value)]
    if not points:
        return Markup("")
    xs = [value for curve in curves for value in curve.x]
    low, high, marks = (0, 1, SHARES) if shares else _range(min(points), max(points), log)
    ends = (0.0, 1.0) if shares else (min(xs), max(xs))
    to_x = _scale(ends[0], ends[1], LEFT, WIDTH - RIGHT, False)
    to_y = _scale(low, high, HEIGHT - BOTTOM, TOP, log)
    axis = _x_marks(SHARES, to_x, across) if shares else _x_axis(xs, to_x, across)
    parts = [_grid(marks, to_y), axis]
    if mark is not None and len(set(xs)) > 1:
        parts.append(_vertical(to_x(mark), "best"))
    parts += [_curve(curve, to_x, to_y) for curve in curves]
    parts.append(f'<line class="cursor" y1="{TOP}" y2="{HEIGHT - BOTTOM}" x1="-9" x2="-9"/>')
    data = {
        "across": across,
        "x": list(curves[0].x),
        "px": [round(to_x(value), 1) for value in curves[0].x],
        "series": [
            {"name": curve.name, "y": list(map(short, curve.y))} for curve in curves if curve.name
        ],
    }
    return _svg("".join(parts), f' data-curves="{escape(json.dumps(data))}"')


def scatter(
    truth: Sequence[float], guess: Sequence[float], titles: Sequence[str], name: str
) -> Markup:
    """Predicted over true, with the line on which they are equal."""
    values = [*truth, *guess]
    low, high, marks = _range(min(values), max(values), False)
    to_x = _scale(low, high, LEFT, WIDTH - RIGHT, False)
    to_y = _scale(low, high, HEIGHT - BOTTOM, TOP, False)
    parts = [_grid(marks, to_y), _x_marks(marks, to_x, f"true {name}")]
    ends = to_x(low), to_y(low), to_x(high), to_y(high)
    parts.append(
        '<line class="equal" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>'.format(*ends)
    )
    parts += [
        f'<circle class="point" cx="{to_x(x):.1f}" cy="{to_y(y):.1f}" r="2.5">'
        f"<title>{escape(title)}: true {short(x)}, predicted {short(y)}</title></circle>"
        for x, y, title in zip(truth, guess, titles, strict=True)
    ]
    return _svg("".join(parts))


def histogram(values: Sequence[float], name: str, bins: int = 21) -> Markup:
    """How often which value, in equal steps that are symmetric about 0."""
    reach = _ticks(0, max((abs(value) for value in values), default=0) or 1.0, 3)[-1]
    counts = [0] * bins
    for value in values:
        counts[min(bins - 1, int((value + reach) / (2 * reach) * bins))] += 1
    to_x = _scale(-reach, reach, LEFT, WIDTH - RIGHT, False)
    to_y = _scale(0, max(counts), HEIGHT - BOTTOM, TOP, False)
    step = (WIDTH - LEFT - RIGHT) / bins
    parts = [_grid(_ticks(0, max(counts), 4), to_y)]
    for number, count in enumerate(counts):
        x, y = LEFT + number * step, to_y(count)
        middle = -reach + (number + 0.5) * 2 * reach / bins
        parts.append(
            f'<rect class="bar" x="{x + 0.75:.1f}" y="{y:.1f}" width="{step - 1.5:.1f}" '
            f'height="{HEIGHT - BOTTOM - y:.1f}">'
            f"<title>about {short(middle)}: {count}</title></rect>"
        )
    parts += [_vertical(to_x(0), ""), _x_marks([-reach, 0, reach], to_x, name)]
    return _svg("".join(parts))


def interval(value: float | None, low: float | None, high: float | None) -> Markup:
    """A dot with its 95 % interval on a line from 0 to 1."""
    if value is None or low is None or high is None:
        return Markup("")
    told = escape(f"{value:.3f} ({low:.3f} to {high:.3f})")
    return Markup(
        '<svg class="interval" viewBox="0 0 104 12" role="img"><title>{}</title>'
        '<line class="base" x1="2" x2="102" y1="6" y2="6"/>'
        '<line class="reach" x1="{:.1f}" x2="{:.1f}" y1="6" y2="6"/>'
        '<circle cx="{:.1f}" cy="6" r="3.2"/></svg>'
    ).format(told, 2 + 100 * low, 2 + 100 * high, 2 + 100 * value)


def short(value: float) -> str:
    """Four significant digits, without a tail of zeros."""
    return f"{value:.4g}"


def _svg(content: str, attributes: str = "") -> Markup:
    # every part was escaped where it was made
    return Markup(  # noqa: S704
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"{attributes}>{content}</svg>'
    )


def _curve(curve: Line, to_x: Callable[[float], float], to_y: Callable[[float], float]) -> str:
    points = [
        f"{to_x(x):.1f},{to_y(y):.1f}"
        for x, y in zip(curve.x, curve.y, strict=True)
        if math.isfinite(y)
    ]
    if len(points) == 1:
        x, _, y = points[0].partition(",")
        return f'<circle class="dot {curve.style}" cx="{x}" cy="{y}" r="3"/>'
    return f'<polyline class="curve {curve.style}" points="{" ".join(points)}"/>'


def _grid(marks: Sequence[float], to_y: Callable[[float], float]) -> str:
    heights = [(mark, to_y(mark)) for mark in marks]
    return "".join(
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text class="tick" x="{LEFT - 6}" y="{y + 3.5:.1f}" text-anchor="end">'
        f"{short(mark)}</text>"
        for mark, y in heights
    )


def _x_axis(xs: Sequence[float], to_x: Callable[[float], float], title: str) -> str:
    low, high = min(xs), max(xs)
    whole = (mark for mark in _ticks(low, high, 5) if mark == int(mark) and mark <= high)
    apart = (mark for mark in whole if mark - low > (high - low) * 0.08)
    return _x_marks([low, *apart], to_x, title)


def _x_marks(marks: Sequence[float], to_x: Callable[[float], float], title: str) -> str:
    texts = "".join(
        f'<text class="tick" x="{to_x(x):.1f}" y="{HEIGHT - BOTTOM + 14}" text-anchor="middle">'
        f"{short(x)}</text>"
        for x in marks
    )
    middle = (LEFT + WIDTH - RIGHT) / 2
    return (
        f'{texts}<text class="axis" x="{middle}" y="{HEIGHT - 3}" text-anchor="middle">'
        f"{escape(title)}</text>"
    )


def _vertical(x: float, title: str) -> str:
    return (
        f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
        f'<text class="tick" x="{x - 4:.1f}" y="{TOP + 8}" text-anchor="end">{escape(title)}</text>'
    )


def _range(low: float, high: float, log: bool) -> tuple[float, float, list[float]]:
    """Ends of the axis and its marks, with the values well inside."""
    if log:
        first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
        marks = [10.0**power for power in range(first, max(last, first + 1) + 1)]
        return marks[0], marks[-1], marks
    if high - low < 1e-12 * max(1.0, abs(high)):
        # one value alone: an axis from half of it to half as much again, or from 0 to 1
        low, high = (low - abs(low) / 2, high + abs(high) / 2) if low else (0.0, 1.0)
    marks = _ticks(low, high, 5)
    return min(low, marks[0]), max(high, marks[-1]), marks


def _ticks(low: float, high: float, most: int) -> list[float]:
    """At most about `most` round numbers that span low..high."""
    if high <= low:
        return [low]
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def _scale(
    low: float, high: float, start: float, end: float, log: bool
) -> Callable[[float], float]:
    """A map of low..high onto the pixels start..end."""
    convert = math.log10 if log else float
    first, last = convert(low), convert(high)
    span = (last - first) or 1.0
    return lambda value: start + (convert(value) - first) / span * (end - start)
