"""The confusion matrix as inline SVG, and what it says in words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

MOST_CLASSES = 120
"""More rows than this cannot be told apart on a page."""

MOST_NUMBERED = 26
"""Up to so many classes the counts are written into the cells."""


@dataclass(frozen=True)
class Pair:
    """Examples of `truth` taken for `guess`: count of all `total` examples of `truth`."""

    truth: str
    guess: str
    count: int
    total: int

    @property
    def share(self) -> float:
        return self.count / self.total


def confused(classes: Sequence[str], counts: Sequence[Sequence[int]], most: int = 10) -> list[Pair]:
    """The most frequent mistakes, first the most examples, then the largest share."""
    pairs = [
        Pair(classes[row], classes[column], count, sum(line))
        for row, line in enumerate(counts)
        for column, count in enumerate(line)
        if count and row != column
    ]
    return sorted(pairs, key=lambda pair: (-pair.count, -pair.share))[:most]


def worst_classes(counts: Sequence[Sequence[int]], most: int = MOST_CLASSES) -> list[int]:
    """Rows worth showing, in order: all, or those with the most mistakes in row and column."""
    size = len(counts)
    if size <= most:
        return list(range(size))
    wrong = [
        sum(counts[place]) + sum(row[place] for row in counts) - 2 * counts[place][place]
        for place in range(size)
    ]
    return sorted(sorted(range(size), key=lambda place: -wrong[place])[:most])


def draw(classes: Sequence[str], counts: Sequence[Sequence[int]]) -> Markup:
    """Rows are the true classes. Right answers blue, mistakes orange, by share of the row."""
    shown = worst_classes(counts)
    size = len(shown)
    cell = max(9.0, min(44.0, 560 / size))
    font = min(12.0, max(6.5, cell * 0.85))
    labels = [classes[place] for place in shown]
    margin = min(170.0, 14 + 0.58 * font * max(map(len, map(clipped, labels))))
    parts = [_labels(labels, cell, font, margin)]
    for row, truth in enumerate(shown):
        total = sum(counts[truth])
        for column, guess in enumerate(shown):
            if counts[truth][guess]:
                x, y = margin + column * cell, margin + row * cell
                parts.append(_cell(counts[truth][guess], total, x, y, cell, row == column, size))
    side = margin + size * cell + 2
    data = {
        "names": labels,
        "counts": [[counts[row][column] for column in shown] for row in shown],
        "totals": [sum(counts[row]) for row in shown],
        "cell": cell,
        "margin": margin,
    }
    frame = (
        f'<rect class="frame" x="{margin:.1f}" y="{margin:.1f}" width="{size * cell:.1f}" '
        f'height="{size * cell:.1f}"/><rect class="pick" width="{cell:.1f}" height="{cell:.1f}" '
        f'x="-99" y="-99"/>'
    )
    # every part was escaped where it was made
    return Markup(  # noqa: S704
        f'<svg class="matrix" viewBox="0 0 {side:.1f} {side:.1f}" style="max-width:{side:.0f}px" '
        f'role="img" data-matrix="{escape(json.dumps(data))}">{"".join(parts)}{frame}</svg>'
    )


def _cell(count: int, total: int, x: float, y: float, cell: float, right: bool, size: int) -> str:
    shade = strength(count / total, right)
    kind = "right" if right else "wrong"
    gap = 0.5 if size <= 60 else 0.2
    drawn = (
        f'<rect class="{kind}" x="{x + gap:.1f}" y="{y + gap:.1f}" width="{cell - 2 * gap:.1f}" '
        f'height="{cell - 2 * gap:.1f}" fill-opacity="{shade:.2f}"/>'
    )
    if size > MOST_NUMBERED:
        return drawn
    font = min(12.0, cell * 0.46, 1.6 * cell / len(str(count)))
    ink = "over" if shade > 0.55 else "on"
    return drawn + (
        f'<text class="{ink}" x="{x + cell / 2:.1f}" y="{y + cell / 2 + font * 0.36:.1f}" '
        f'font-size="{font:.1f}" text-anchor="middle">{count}</text>'
    )


def strength(share: float, right: bool) -> float:
    """How strongly a cell is coloured, 0..1."""
    # mistakes are rare in a good network: the root lets a share of 1 % still be seen
    return 0.12 + 0.88 * (share if right else min(1.0, (share * 2) ** 0.5))


def _labels(names: Sequence[str], cell: float, font: float, margin: float) -> str:
    """True classes to the left, predicted ones turned upright above."""
    parts = []
    for place, name in enumerate(names):
        middle = margin + (place + 0.5) * cell
        text = f"{escape(clipped(name))}<title>{escape(name)}</title>"
        parts.append(
            f'<text class="name" x="{margin - 5:.1f}" y="{middle + font * 0.35:.1f}" '
            f'font-size="{font:.1f}" text-anchor="end">{text}</text>'
            f'<text class="name" transform="translate({middle + font * 0.35:.1f},{margin - 5:.1f}) '
            f'rotate(-90)" font-size="{font:.1f}">{text}</text>'
        )
    return "".join(parts)


def clipped(name: str) -> str:
    """Long names without their middle: what tells them apart often stands at the end."""
    return name if len(name) <= 22 else f"{name[:12]}…{name[-9:]}"
