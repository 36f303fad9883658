"""saccade errors RUN"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from saccade.cli.keys import json_key, key, verb
from saccade.cli.output import Output

MOST = 20
"""Slices that are printed for people."""


@verb()
@click.argument("run")
@key(
    "--split",
    type=click.Choice(["train", "train-dev", "dev", "test"]),
    default="dev",
    show_default=True,
    group="Data",
    help="Which part's mistakes.",
)
@key("--right", default=100, show_default=True, group="Data", help="Right ones drawn besides.")
@key(
    "--import",
    "table",
    type=click.Path(path_type=Path, dir_okay=False),
    group="Data",
    help="Take over tags and columns from an edited errors.csv or errors.xlsx.",
)
@key("--open", "opened", is_flag=True, group="Page", help="Go through them in the browser.")
@key("--no-browser", is_flag=True, group="Page", help="With --open: print the address alone.")
@json_key
@click.pass_obj
def command(
    output: Output,
    run: str,
    split: str,
    right: int,
    table: Path | None,
    opened: bool,
    no_browser: bool,
) -> None:
    """List the mistakes of RUN, and what mending them could gain.

    Writes a row for every mistake and for a drawn sample of what was right into RUN/errors:
    errors.csv with thumbnails, and errors.xlsx where openpyxl is installed. For every automatic
    tag, class, source and confusion, and for your own tags, it tells the share of the error and
    the ceiling: the error left if all of those were right.

    --open shows them on a page on which you tag mistakes, add columns and mark wrong labels, with
    the keyboard. It is served to this machine alone until Ctrl-C; every key is on the disk before
    the page confirms it.
    """
    from saccade.diagnose.mistakes import Marks, import_sheet, mistake_table
    from saccade.training.run import open_run

    found = mistake_table(open_run(run), split, right=right)
    marks = Marks(found.run.root / "errors" / "marks.sqlite")
    taken = None if table is None else import_sheet(table, found, marks)
    if taken is not None:
        output.note(f"{taken} rows taken over from {table}")
    told = _tell(output, found, marks, table)
    if not opened:
        output.value(told)
        return
    from saccade.cli.pages import offer
    from saccade.review import errors_page, serve

    serve(errors_page(found, marks), lambda url: offer(output, url, told, browser=not no_browser))
    _tell(output, found, marks)


def _tell(output: Output, found: Any, marks: Any, taken: Path | None = None) -> dict[str, Any]:
    """Write the sheets, tell people, and give the JSON."""
    from saccade.diagnose.mistakes import (
        automatic_slices,
        has_openpyxl,
        tag_slices,
        write_sheets,
    )

    sheets = write_sheets(found, marks, taken=taken)
    for place in sheets.edited:
        output.note(f"A sheet was edited and is kept as {place}; take it over with --import.")
    if not has_openpyxl():
        output.note("errors.xlsx is not written: it needs openpyxl (pip install 'saccade[xlsx]').")
    slices = [*tag_slices(found, marks.tagged(), marks.looked()), *automatic_slices(found)]
    percent = found.percent
    output.line(
        f"{found.part}: {found.mistakes} mistakes in {len(found.everything)} pictures "
        f"({found.rule})"
    )
    rows = [
        (
            item.kind,
            item.name,
            f"{item.mistakes} of {item.looked}",
            f"{100 * item.share.value:.0f} % ({100 * item.share.low:.0f}-"
            f"{100 * item.share.high:.0f})",
            item.sentence(found.error.value, percent=percent).partition(": ")[2],
        )
        for item in slices
    ]
    if rows:
        more = len(rows) - MOST
        rows = rows[:MOST]
        output.table(("", "slice", "mistakes", "share of the error", "ceiling"), rows, left=2)
        if more > 0:
            output.line(f"and {more} smaller ones (--json has them all)")
    files = [str(path) for path in sheets.files]
    for path in files:
        output.line(path)
    return {
        "run": str(found.run.root),
        "split": found.part,
        "examples": len(found.everything),
        "mistakes": found.mistakes,
        "error": vars(found.error),
        "files": files,
        "slices": [item.as_dict() for item in slices],
    }
