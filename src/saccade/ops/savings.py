"""What a network's layout saves against the obvious one, found in its rows.

1x1 bottlenecks (Lin et al. 2013, Szegedy et al. 2014), depthwise separable convolutions (Howard et
al. 2017), stacks of small kernels (Simonyan and Zisserman 2014), and the sharing of weights itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from saccade.ops.counting import Row

LONGEST = 4
"""Square kernels in a row are compared with one of the same view; longer rows two by two."""


@dataclass(frozen=True, kw_only=True)
class Saving:
    """Layers that do what one larger convolution of the same view, input and output would do.

    cost, instead  multiply-adds of one picture: of the layers, and of the larger convolution
    told           what is compared, in words and numbers
    """

    kind: Literal["1x1 bottleneck", "depthwise separable", "stacked kernels"]
    layers: tuple[str, ...]
    cost: int
    instead: int
    told: str


@dataclass(frozen=True, kw_only=True)
class Sharing:
    """Parameters of convolutions against dense layers between the same inputs and outputs."""

    layer: str
    parameters: int
    dense: int
    all_parameters: int
    all_dense: int


def savings(rows: list[Row]) -> list[Saving]:
    """Every saving of the network, by kind; only places that cost less than their counterpart."""
    found = [saving for find in FINDERS for saving in find(rows)]
    return [saving for saving in found if saving.cost < saving.instead]


def sharing(rows: list[Row]) -> Sharing | None:
    """The first convolution alone and all together; None without convolutions."""
    convolutions = [row for row in rows if row.kind == "conv" and row.parameters]
    if not convolutions:
        return None
    first = convolutions[0]
    return Sharing(
        layer=first.name,
        parameters=first.parameters,
        dense=dense_parameters(first),
        all_parameters=sum(row.parameters for row in convolutions),
        all_dense=sum(map(dense_parameters, convolutions)),
    )


def dense_parameters(row: Row) -> int:
    """Weights and biases of a fully connected layer from the row's input to its output."""
    return (math.prod(row.input) + 1) * math.prod(row.output)


def bottlenecks(rows: list[Row]) -> list[Saving]:
    """A 1x1 convolution that narrows, a larger one, and where there is one the 1x1 that widens."""
    found = []
    for row in rows:
        before = _source(rows, row)
        narrows = before is not None and _is_1x1(before) and before.output[0] < before.input[0]
        if before is None or not narrows or not _is_full(row):
            continue
        chain = [before, row, *_widening(rows, row)]
        channels = " -> ".join(
            str(side) for side in (before.input[0], *(r.output[0] for r in chain))
        )
        found.append(
            Saving(
                kind="1x1 bottleneck",
                layers=tuple(each.name for each in chain),
                cost=sum(each.multiply_adds for each in chain),
                instead=_direct(before.input[0], _kernel(row), chain[-1]),
                told=f"{channels} channels, against {_words(row)} straight from "
                f"{before.input[0]} to {chain[-1].output[0]}",
            )
        )
    return found


def separable(rows: list[Row]) -> list[Saving]:
    """One filter per channel, then 1x1: the share 1 / channels + 1 / side^2 of the full cost."""
    found = []
    for row in rows:
        before = _source(rows, row)
        if before is None or not _is_depthwise(before) or not _is_1x1(row):
            continue
        kernel, channels = _kernel(before), row.output[0]
        area = math.prod(kernel)
        found.append(
            Saving(
                kind="depthwise separable",
                layers=(before.name, row.name),
                cost=before.multiply_adds + row.multiply_adds,
                instead=_direct(before.input[0], kernel, row),
                told=f"1/{channels} + 1/{area} = {1 / channels + 1 / area:.3f} of a full "
                f"{_words(before)} from {before.input[0]} to {channels} channels",
            )
        )
    return found


def stacks(rows: list[Row]) -> list[Saving]:
    """Convolutions of stride 1 in a row, against one that sees as much: two 3x3 see 5x5."""
    found = []
    for chain in _chains(rows):
        first, last = chain[0], chain[-1]
        sides = zip(*map(_kernel, chain), strict=True)
        kernel = tuple(1 + sum(side - 1 for side in axis) for axis in sides)
        found.append(
            Saving(
                kind="stacked kernels",
                layers=tuple(row.name for row in chain),
                cost=sum(row.multiply_adds for row in chain),
                instead=_direct(first.input[0], kernel, last),
                told=f"{' and '.join(map(_words, chain))}, against {'x'.join(map(str, kernel))} "
                f"from {first.input[0]} to {last.output[0]} channels",
            )
        )
    return found


FINDERS: tuple[Callable[[list[Row]], list[Saving]], ...] = (bottlenecks, separable, stacks)


def _chains(rows: list[Row]) -> list[list[Row]]:
    """Convolutions that follow each other with stride 1, in pieces that a reader would compare."""
    chains: dict[int, list[Row]] = {}  # by the index of the last row
    for index, row in enumerate(rows):
        if _is_full(row) and _keeps_step(row):
            chains[index] = [*chains.pop(row.source, []), row]
    pieces = []
    for chain in chains.values():
        square = all(len(set(_kernel(row))) == 1 for row in chain)
        if square and len(chain) <= LONGEST:
            pieces.append(chain)
        else:
            pieces += [list(pair) for pair in list(pairwise(chain))[::2]]
    return [piece for piece in pieces if len(piece) > 1]


def _source(rows: list[Row], row: Row) -> Row | None:
    """The convolution right before a convolution."""
    if row.window is None or row.source < 0 or rows[row.source].window is None:
        return None
    return rows[row.source]


def _widening(rows: list[Row], row: Row) -> list[Row]:
    """The 1x1 convolution after `row` that gives it more channels."""
    after = (each for each in rows if _source(rows, each) is row and _is_1x1(each))
    return [each for each in after if each.output[0] > row.output[0]][:1]


def _kernel(row: Row) -> tuple[int, ...]:
    return row.window.kernel if row.window else ()


def _words(row: Row) -> str:
    return "x".join(map(str, _kernel(row)))


def _is_1x1(row: Row) -> bool:
    return row.window is not None and row.window.groups == 1 and math.prod(_kernel(row)) == 1


def _is_full(row: Row) -> bool:
    """A convolution of all channels that looks at more than one pixel."""
    if row.kind != "conv" or row.window is None or row.window.groups > 1:
        return False
    return math.prod(row.window.kernel) > 1


def _keeps_step(row: Row) -> bool:
    return row.window is not None and set(row.window.stride + row.window.dilation) == {1}


def _is_depthwise(row: Row) -> bool:
    if row.window is None or math.prod(row.window.kernel) == 1:
        return False
    return 1 < row.window.groups == row.input[0] == row.output[0]


def _direct(in_channels: int, kernel: tuple[int, ...], last: Row) -> int:
    """Multiply-adds of one convolution with the output of `last`."""
    return math.prod(last.output) * in_channels * math.prod(kernel)
