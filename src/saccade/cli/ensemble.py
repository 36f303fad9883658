"""saccade ensemble RUN..."""

from __future__ import annotations

import click

from saccade.cli.keys import json_key, key, verb
from saccade.cli.output import Output, measures_table


@verb()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@key("--project", default="runs", show_default=True, group="Output", help="Folder for runs.")
@key("--name", default="ensemble", show_default=True, group="Output", help="Name of the run.")
@json_key
@click.pass_obj
def command(output: Output, runs: tuple[str, ...], project: str, name: str) -> None:
    """Let several runs answer as one: their predictions are averaged.

    The result is a run of its own, with all members in one weights file, for `predict`, `val` and
    `report`. Members share task, data and split; they differ by --seed, --model or recipe. Told
    is what is gained on dev over the members' average and over the best of them.
    """
    from saccade import api

    with output.reporter(first_line=True) as reporter:
        made = api.ensemble(runs, project=project, name=name, reporter=reporter)
    main = next(iter(made.validation.measures))
    for run, metrics in made.members.items():
        value = metrics.get(main)
        output.line(f"{run}: {main} {'-' if value is None else format(value, '.4f')}")
    measures_table(output, {key: vars(each) for key, each in made.validation.measures.items()})
    for against, gain in (("the members' average", made.gain.mean), ("the best", made.gain.best)):
        output.line(
            f"error less by {gain.value:.4f} ({gain.low:.4f} to {gain.high:.4f}) than {against}"
        )
    output.line(str(made.folder.root))
    output.value(made.as_dict())
