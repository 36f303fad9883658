"""saccade describe MODEL..."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from saccade.cli.keys import Size, json_key, key, sides, verb
from saccade.cli.output import Output, count

if TYPE_CHECKING:
    from saccade.ops.cost import Row


@verb()
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@key("--imgsz", type=Size(), group="Input", help="Side, or HEIGHT,WIDTH; the paper's by default.")
@key("--channels", type=int, group="Input", help="1 grey, 3 RGB; the paper's by default.")
@key("--classes", type=int, group="Input", help="Outputs; the paper's by default.")
@json_key
@click.pass_obj
def command(
    output: Output,
    models: tuple[str, ...],
    imgsz: int | tuple[int, int] | None,
    channels: int | None,
    classes: int | None,
) -> None:
    """Show a network layer by layer, or compare several stage by stage.

    For each layer: the output (channels x height x width), parameters, multiply-adds of one
    picture, and the receptive field in pixels of the input. Nothing is computed or downloaded.
    """
    described = {name: _describe(name, imgsz, channels, classes) for name in models}
    if len(described) == 1:
        _tell_layers(output, *next(iter(described.values())))
    else:
        _tell_side_by_side(output, described)
    values = [_value(name, shape, rows) for name, (shape, rows) in described.items()]
    output.value(values[0] if len(values) == 1 else values)


def _describe(
    name: str, imgsz: int | tuple[int, int] | None, channels: int | None, classes: int | None
) -> tuple[tuple[int, int, int], list[Row]]:
    from torch import nn

    from saccade.models import catalog
    from saccade.ops import cost

    network = catalog.create(name, num_classes=classes, in_channels=channels)
    assert isinstance(network, nn.Module)
    paper = catalog.MODELS[name].input
    height, width = paper[1:] if imgsz is None else sides(imgsz)
    shape = (channels or paper[0], height, width)
    return shape, cost.describe(network, shape)


def _tell_layers(output: Output, shape: tuple[int, int, int], rows: list[Row]) -> None:
    from saccade.ops import cost

    total = cost.total(rows)
    lines = [
        (
            row.name,
            row.kind,
            _shape(row.output),
            count(row.parameters),
            count(row.multiply_adds),
            str(row.receptive_field),
        )
        for row in rows
    ]
    output.line(f"input {_shape(shape)}")
    output.table(
        ("layer", "kind", "output", "parameters", "multiply-adds", "receptive field"),
        [
            *lines,
            ("total", "", "", *map(count, (total.parameters, total.multiply_adds)), ""),
        ],
        left=2,
    )
    output.line(f"activations {total.activation_bytes / 2**20:.2f} MiB per picture in float32")


def _tell_side_by_side(
    output: Output, described: dict[str, tuple[tuple[int, int, int], list[Row]]]
) -> None:
    from saccade.ops import cost

    totals = [cost.total(rows) for _, rows in described.values()]
    stages = [cost.by_stage(rows) for _, rows in described.values()]
    lines: list[tuple[str, ...]] = [
        ("input", *(_shape(shape) for shape, _ in described.values())),
        ("layers with weights", *(count(_weighted(rows)) for _, rows in described.values())),
        ("parameters", *(count(total.parameters) for total in totals)),
        ("multiply-adds", *(count(total.multiply_adds) for total in totals)),
        ("receptive field", *(str(total.receptive_field) for total in totals)),
        ("activations, MiB", *(f"{total.activation_bytes / 2**20:.2f}" for total in totals)),
    ]
    for number in dict.fromkeys(stage for each in stages for stage in each):
        name = {-1: "head", -2: "auxiliary heads"}.get(number, f"stage {number}")
        own = [each.get(number) for each in stages]
        lines.append((f"{name}: output", *(_shape(s.output) if s else "-" for s in own)))
        lines.append(("  parameters", *(count(s.parameters) if s else "-" for s in own)))
        lines.append(("  multiply-adds", *(count(s.multiply_adds) if s else "-" for s in own)))
    output.table(("", *described), lines)


def _weighted(rows: list[Row]) -> int:
    return sum(row.kind in ("conv", "conv_transpose", "linear") for row in rows)


def _value(name: str, shape: tuple[int, int, int], rows: list[Row]) -> dict[str, Any]:
    from saccade.ops import cost

    total = cost.total(rows)
    return {
        "name": name,
        "input": list(shape),
        "parameters": total.parameters,
        "multiply_adds": total.multiply_adds,
        "layers": [
            {
                "name": row.name,
                "output": list(row.output),
                "parameters": row.parameters,
                "multiply_adds": row.multiply_adds,
                "receptive_field": row.receptive_field,
            }
            for row in rows
        ],
    }


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
