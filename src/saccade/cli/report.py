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

    Curves, confusion matrix, precision, recall and F1 per class with intervals, the worst mistakes
    with pictures, a summary of the data, the complete recipe. A training that still runs can be
    looked at as well.
    """
    from saccade import report
    from saccade.training.run import open_run

    folder = open_run(run)
    page = report.write(folder)
    output.line(str(page))
    output.value({"run": str(folder.root), "report": str(page)})
