"""saccade report RUN"""

from __future__ import annotations

import click

from saccade.cli.keys import json_key, verb
from saccade.cli.output import Output


@verb()
@click.argument("run")
@json_key
@click.pass_obj
def command(output: Output, run: str) -> None:
    """Write report.html into RUN: one file that needs no network, in light and dark.

    The diagnosis with the pictures that show it, curves, confusion matrix, precision, recall and
    F1 per class with intervals, mistakes and what mending them could gain, a summary of the data,
    the complete recipe. A training that still runs can be looked at as well.
    """
    from saccade import api

    trained = api.load(run)
    page = trained.report()
    output.line(str(page))
    output.value({"run": str(trained.folder.root), "report": str(page)})
