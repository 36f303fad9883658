"""saccade models"""

from __future__ import annotations

import click

from saccade.cli.keys import json_key, verb
from saccade.cli.output import Output


@verb()
@json_key
@click.pass_obj
def command(output: Output) -> None:
    """List the networks, with the input size and number of classes of their paper.

    `saccade describe NAME` shows one layer by layer, `saccade train DATA --model NAME` trains it.
    """
    from saccade.models.catalog import MODELS, PIXEL_MODELS

    every = {**MODELS, **PIXEL_MODELS}
    output.table(
        ("name", "input", "classes"),
        [
            (name, " x ".join(map(str, entry.input)), str(entry.num_classes))
            for name, entry in every.items()
        ],
    )
    output.value(list(every))
