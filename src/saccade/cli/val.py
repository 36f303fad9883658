"""saccade val RUN"""

from __future__ import annotations

import click

from saccade.cli.keys import json_key, key, verb
from saccade.cli.output import Output, measures_table


@verb()
@click.argument("run")
@key(
    "--split",
    type=click.Choice(["dev", "test", "train"]),
    default="dev",
    show_default=True,
    group="Data",
    help="Part to score. Every look at the test part is counted in the run.",
)
@key(
    "--data",
    metavar="DATA",
    group="Data",
    help="Score other data instead: their part of that name, all of them where they name none.",
)
@json_key
@click.pass_obj
def command(output: Output, run: str, split: str, data: str | None) -> None:
    """Measure the network of RUN, with 95 % intervals.

    Pictures go through exactly the preprocessing of the training, without augmentation.
    """
    from saccade import api

    with output.reporter() as reporter:
        scores = api.load(run).val(split=split, data=data, reporter=reporter)
    told = scores.split if data is None else f"{scores.split} of {data}"
    output.line(f"{told}, {scores.examples} examples")
    measures_table(output, {name: vars(measure) for name, measure in scores.measures.items()})
    output.value(scores.as_dict())
