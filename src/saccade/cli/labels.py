"""saccade labels RUN"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from saccade.cli.keys import json_key, key, verb
from saccade.cli.output import Output

MOST = 20
"""Suspects that are printed for people; the table has all."""


@verb()
@click.argument("run")
@key("--open", "opened", is_flag=True, group="Judge", help="Judge suspects in the browser.")
@key(
    "--split",
    type=click.Choice(["train", "train-dev", "dev", "test"]),
    default="dev",
    show_default=True,
    group="Judge",
    help="With --open: whose suspects.",
)
@key("--no-browser", is_flag=True, group="Judge", help="With --open: print the address alone.")
@key("--accept", multiple=True, metavar="KEY", group="Judge", help="The label is right.")
@key("--relabel", multiple=True, metavar="KEY=CLASS", group="Judge", help="It should be CLASS.")
@key("--drop", multiple=True, metavar="KEY", group="Judge", help="Leave the picture out.")
@key(
    "--drop-first",
    type=click.IntRange(min=1),
    metavar="N",
    group="Judge",
    help="Leave out the N first suspects nobody judged.",
)
@key(
    "--relabel-first",
    type=click.IntRange(min=1),
    metavar="N",
    group="Judge",
    help="Give the N first suspects nobody judged the class the network says.",
)
@key(
    "--import",
    "table",
    type=click.Path(path_type=Path, dir_okay=False),
    group="Judge",
    help="Verdicts written into a copy of suspects.csv.",
)
@key(
    "--folds",
    type=click.IntRange(min=2),
    metavar="N",
    group="Training",
    help="Train N times, each without one part, and judge training labels by these answers.",
)
@json_key
@click.pass_obj
def command(
    output: Output,
    /,
    run: str,
    opened: bool,
    split: str,
    no_browser: bool,
    folds: int | None,
    **judged: Any,
) -> None:
    """Rank the labels of RUN that look wrong, and say whether correcting them pays.

    Writes RUN/labels/suspects.csv, the most suspect first, and RUN/labels/corrections.csv with what
    you said of them: accept, relabel or drop (here, on the page of --open, or in the table). Train
    with it: `saccade train DATA --labels RUN/labels/corrections.csv`. Your data are not changed.
    """
    from saccade.diagnose.mistakes import Marks, mistake_table
    from saccade.review.judging import judge
    from saccade.training.run import open_run

    folder = open_run(run)
    if folds:
        from saccade import api

        with output.reporter() as reporter:
            api.load(run).judge_labels(folds, reporter=reporter)
    marks = Marks(folder.root / "errors" / "marks.sqlite")
    told = judge(folder, marks, **judged)
    _tell(output, told)
    if not opened:
        output.value(told.as_dict())
        return
    from saccade.cli.pages import offer
    from saccade.review import errors_page, serve

    first = [each.key for each in told.labels.suspects if each.part == split]
    page = errors_page(mistake_table(folder, split), marks, first=first)
    serve(page, lambda url: offer(output, url, told.as_dict(), browser=not no_browser))
    _tell(output, judge(folder, marks))


def _tell(output: Output, told: Any) -> None:
    counts, judged = told.labels.counts(), told.judged
    rows = [
        (part, f"{labels:,}", str(counts[part]), str(judged.get(part, 0)))
        for part, labels in told.labels.labels.items()
    ]
    output.table(("part", "labels", "suspects", "judged"), rows)
    output.line()
    shown = [
        (each.key, each.part, each.given, each.guess or "-", told.verdicts.get(each.key, ("",))[0])
        for each in told.labels.suspects[:MOST]
    ]
    if shown:
        output.table(("suspect", "part", "label", "network", "verdict"), shown, left=5)
        output.line()
    for line in (*told.advice, *map(str, told.files)):
        output.line(line)
    if told.verdicts:
        output.line(f"Next: {told.command}")
