"""saccade diagnose RUN"""

from __future__ import annotations

import click

from saccade.cli.keys import json_key, key, verb
from saccade.cli.output import Output, number


@verb()
@click.argument("run")
@key(
    "--human-error",
    type=float,
    metavar="SHARE",
    group="Data",
    help="Error of people on the same pictures, 0.02 for 2 %; makes avoidable bias exact.",
)
@json_key
@click.pass_obj
def command(output: Output, run: str, human_error: float | None) -> None:
    """Say what limits RUN, how sure that is, and what to type next.

    Compares human-level, training, train-dev, dev and test error (avoidable bias, variance, data
    mismatch, over-fitting of dev), each gap with its 95 % interval, and names the faults that the
    run's records show: evidence, the one knob to turn, the command, what can be gained. Writes
    diagnosis.json, and tables that commands name, into RUN.
    """
    from saccade import api

    found = api.load(run).diagnose(human_error=human_error)
    for line in found.verdict.lines:
        output.line(line)
    output.line()
    rows = [
        (name, number(m.value), f"{number(m.low)} to {number(m.high)}") for name, m in found.rows()
    ]
    if rows:
        output.table(("", "value", "95 % interval"), rows)
    for finding in found.findings:
        output.line()
        output.line(f"{finding.severity}: {finding.name}: {finding.message}")
        output.line(f"  knob: {finding.knob} (to {finding.goal})")
        output.line(f"  type: {finding.command}")
    output.value(found.as_dict())
