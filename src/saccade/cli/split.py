"""saccade split DATA"""

from __future__ import annotations

from pathlib import Path

import click

from saccade.cli.check import class_table
from saccade.cli.keys import json_key, key, verb
from saccade.cli.output import Output


@verb()
@click.argument("data")
@key("--task", group="Data", help="What to learn; inferred from the data when left out.")
@key("--dev", type=float, group="Data", help="Share for dev; chosen by amount when left out.")
@key("--test", type=float, group="Data", help="Share for test; likewise.")
@key("--seed", type=int, default=0, show_default=True, group="Data", help="Of the draw.")
@key(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("splits.csv"),
    show_default=True,
    group="Output",
    help="Table to write; with .json the manifest with content hashes.",
)
@json_key
@click.pass_obj
def command(
    output: Output,
    data: str,
    task: str | None,
    dev: float | None,
    test: float | None,
    seed: int,
    out: Path,
) -> None:
    """Cut DATA into train, dev and test, and write down which picture is where.

    Stratified by class, reproducible by seed, groups kept whole, exact duplicates on one side;
    parts that your own folders or tables name are kept. `train` makes the same split by itself:
    this verb shows it, or writes a table that can be edited and trained on.
    """
    from saccade import api

    with output.reporter() as reporter:
        found = api.check(data, task=task, dev=dev, test=test, seed=seed, reporter=reporter)
    from saccade.data.manifest import write_split

    write_split(out, found.dataset, found.ingested, found.splits)
    class_table(output, found.summary["splits"])
    output.line(found.splits.method)
    output.line(str(out))
    output.value(
        {"splits": found.summary["splits"], "method": found.splits.method, "out": str(out)}
    )
