"""saccade compare RUN RUN..."""

from __future__ import annotations

import click

from saccade.cli.keys import json_key, key, verb
from saccade.cli.output import Output, number
from saccade.errors import SaccadeError


@verb()
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN...")
@key(
    "--split",
    type=click.Choice(["dev", "test"]),
    default="dev",
    show_default=True,
    group="Measure",
    help="On which part.",
)
@key(
    "--metric",
    group="Measure",
    metavar="NAME",
    help="To optimise: accuracy, f1, error, loss, recall_CLASS, precision_CLASS.",
)
@key(
    "--limit",
    "limits",
    multiple=True,
    metavar="LIMIT",
    group="Measure",
    help='To be kept: "latency<20" (ms), "size<5" (MB), "recall_cat>=0.9". Repeatable.',
)
@key(
    "--weight",
    "weights",
    multiple=True,
    metavar="CLASS=N",
    group="Measure",
    help="Mistakes on CLASS count N times. Repeatable.",
)
@json_key
@click.pass_obj
def command(
    output: Output,
    runs: tuple[str, ...],
    split: str,
    metric: str | None,
    limits: tuple[str, ...],
    weights: tuple[str, ...],
) -> None:
    """Say which RUN is better, and whether the difference is beyond noise.

    One metric is optimised, limits only have to be kept. Runs are compared on the dev pictures they
    share, picture by picture: McNemar's exact test where answers are right or wrong, else a paired
    bootstrap. Latency is that of one picture on this machine.
    """
    from saccade.improve.compare import compare
    from saccade.limits import parse_limit
    from saccade.training.run import open_run

    found = compare(
        [open_run(run) for run in runs],
        split=split,
        metric=metric,
        limits=[parse_limit(text) for text in limits],
        weights=dict(_weight(text) for text in weights),
    )
    names = sorted({name for entry in found.entries for name in entry.values})
    rows = [
        (
            entry.run,
            number(entry.measure.value),
            f"{number(entry.measure.low)} to {number(entry.measure.high)}",
            *(number(entry.values.get(name)) for name in names),
            ", ".join(map(str, entry.broken)) or "-",
        )
        for entry in found.entries
    ]
    output.table(("run", found.metric, "95 % interval", *names, "breaks"), rows)
    for line in found.lines():
        output.line(line)
    output.value(found.as_dict())


def _weight(text: str) -> tuple[str, float]:
    name, _, value = text.rpartition("=")
    try:
        weight = float(value)
    except ValueError:
        weight = -1.0
    if not name or not weight >= 0:
        raise SaccadeError(f"--weight {text}: expected CLASS=N, such as cat=10.", name="bad-weight")
    return name, weight
