"""saccade describe MODEL..."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from saccade.cli.described import Described, Given, boxes, describe, options
from saccade.cli.keys import Size, json_key, key, verb
from saccade.cli.output import Output, count

if TYPE_CHECKING:
    from saccade.ops.cost import Row


@verb()
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@key("--imgsz", type=Size(), group="Input", help="Side, or HEIGHT,WIDTH; the paper's by default.")
@key("--channels", type=int, group="Input", help="1 grey, 3 RGB; the paper's by default.")
@key("--classes", type=int, group="Input", help="Outputs; the paper's by default.")
@key(
    "--data",
    metavar="DATA",
    group="Detectors",
    help="Fit the anchors to the boxes of DATA and count objects that share a cell.",
)
@key(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    group="Input",
    help="Any setting model.*, such as model.backbone=resnet18 or model.anchors=5; repeatable.",
)
@json_key
@click.pass_obj
def command(
    output: Output,
    models: tuple[str, ...],
    imgsz: int | tuple[int, int] | None,
    channels: int | None,
    classes: int | None,
    data: str | None,
    settings: tuple[str, ...],
) -> None:
    """Show a network layer by layer, or compare several stage by stage.

    MODEL is one of `saccade models`, a detector (yolo, yolov2, yolov3, rcnn, fast_rcnn,
    faster_rcnn), or a run. Of YOLO also the grids, the anchors, and how many objects of DATA or of
    the run's training part share a cell.

    For each layer: the output (channels x height x width), parameters, multiply-adds of one
    picture, and the receptive field in pixels of the input. Below: the same by stage, the memory of
    its activations, and what its layout saves. Nothing is computed or downloaded.
    """
    given = Given(imgsz, channels, classes, boxes(data, imgsz), options(settings))
    described = {name: describe(name, given) for name in models}
    if len(described) == 1 and not output.as_json:
        _tell_one(output, described[models[0]])
    elif not output.as_json:
        _tell_side_by_side(output, described)
    for name, each in described.items():
        for line in each.grid.sentences() if each.grid else ():
            output.line(line if len(described) == 1 else f"{name}: {line}")
    values = [_value(each) for each in described.values()]
    output.value(values[0] if len(values) == 1 else values)


def _tell_one(output: Output, it: Described) -> None:
    from saccade.models.efficientnet import scale_told
    from saccade.ops import cost

    _tell_layers(output, it)
    output.line()
    _tell_stages(output, it.rows)
    output.line()
    _tell_memory(output, it.rows, cost.training_bytes(it.network, it.input))
    output.line()
    _tell_savings(output, it.rows)
    for line in scale_told(it.name):
        output.line(line)


def _tell_layers(output: Output, it: Described) -> None:
    from saccade.ops import cost

    total = cost.total(it.rows)
    lines = [
        (
            row.name,
            row.kind,
            _shape(row.output),
            count(row.parameters),
            count(row.multiply_adds),
            str(row.receptive_field),
        )
        for row in it.rows
    ]
    output.line(f"input {_shape(it.input)}")
    output.table(
        ("layer", "kind", "output", "parameters", "multiply-adds", "receptive field"),
        [*lines, ("total", "", "", *map(count, (total.parameters, total.multiply_adds)), "")],
        left=2,
    )


def _tell_stages(output: Output, rows: list[Row]) -> None:
    from saccade.ops import cost

    output.table(
        ("stage", "output", "parameters", "multiply-adds", "activations, MB", "receptive field"),
        [
            (
                _stage(number),
                _shape(stage.output),
                count(stage.parameters),
                count(stage.multiply_adds),
                _megabytes(stage.activation_bytes),
                str(stage.receptive_field),
            )
            for number, stage in cost.by_stage(rows).items()
        ],
    )


def _tell_memory(output: Output, rows: list[Row], kept: int) -> None:
    from saccade.ops import cost

    weighed = [row for row in rows if row.kind not in ("norm", "act", "join") and row.stage != -2]
    lines = [
        (
            "outputs of convolution, pooling and dense layers, the textbook count",
            sum(row.activation_bytes for row in weighed),
        ),
        ("every output: norms, activations and sums as well", cost.total(rows).activation_bytes),
        ("kept for the backward pass of training, times the batch", kept),
    ]
    output.table(
        ("activations of one picture in float32", "MB (10^6 bytes)"),
        [(words, _megabytes(size)) for words, size in lines],
    )


def _tell_savings(output: Output, rows: list[Row]) -> None:
    from saccade.ops.savings import savings, sharing

    places = savings(rows)
    groups = [
        [each for each in places if each.kind == kind]
        for kind in dict.fromkeys(each.kind for each in places)
    ]
    lines = []
    for group in groups:
        cost, instead = (sum(getattr(each, name) for each in group) for name in ("cost", "instead"))
        lines.append(
            (group[0].kind, str(len(group)), count(cost), count(instead), f"{instead / cost:.1f} x")
        )
    if lines:
        output.table(("saving", "places", "multiply-adds", "instead of", "less"), lines)
    for group in groups:
        most = max(group, key=lambda each: each.instead - each.cost)
        output.line(
            f"{most.kind}, such as {', '.join(most.layers)}: {most.told}; "
            f"{count(most.cost)} instead of {count(most.instead)}"
        )
    shared = sharing(rows)
    if shared is not None:
        output.line(
            f"shared weights: {shared.layer} has {count(shared.parameters)} parameters, a dense "
            f"layer of the same input and output {shared.dense:.1e}; all convolutions "
            f"{count(shared.all_parameters)} instead of {shared.all_dense:.1e}"
        )


def _tell_side_by_side(output: Output, described: dict[str, Described]) -> None:
    from saccade.ops import cost

    each_one = list(described.values())
    totals = [cost.total(it.rows) for it in each_one]
    stages = [cost.by_stage(it.rows) for it in each_one]
    kept = [cost.training_bytes(it.network, it.input) for it in each_one]
    lines: list[tuple[str, ...]] = [
        ("input", *(_shape(it.input) for it in each_one)),
        ("layers with weights", *(count(_weighted(it.rows)) for it in each_one)),
        ("parameters", *(count(total.parameters) for total in totals)),
        ("multiply-adds", *(count(total.multiply_adds) for total in totals)),
        ("receptive field", *(str(total.receptive_field) for total in totals)),
        ("activations, MB", *(_megabytes(total.activation_bytes) for total in totals)),
        ("kept by training, MB", *map(_megabytes, kept)),
    ]
    numbers = {number for each in stages for number in each}
    for number in sorted(numbers, key=lambda number: (number < 0, abs(number))):
        own = [each.get(number) for each in stages]
        lines.append((f"{_stage(number)}: output", *(_shape(s.output) if s else "-" for s in own)))
        lines.append(("  parameters", *(count(s.parameters) if s else "-" for s in own)))
        lines.append(("  multiply-adds", *(count(s.multiply_adds) if s else "-" for s in own)))
    output.table(("", *described), lines)


def _weighted(rows: list[Row]) -> int:
    return sum(row.kind in ("conv", "conv_transpose", "linear") for row in rows)


def _value(it: Described) -> dict[str, Any]:
    from saccade.ops import cost

    total = cost.total(it.rows)
    return {
        "name": it.name,
        "input": list(it.input),
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
            for row in it.rows
        ],
        **({} if it.grid is None else it.grid._asdict()),
    }


def _stage(number: int) -> str:
    return {-1: "head", -2: "auxiliary heads"}.get(number, f"stage {number}")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.2f}"


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
