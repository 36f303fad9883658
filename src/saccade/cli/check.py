"""saccade check DATA"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from saccade.cli.keys import json_key, key, verb
from saccade.cli.output import Output, count
from saccade.files import check_outside

if TYPE_CHECKING:
    from saccade.types import Notice

SHOWN = 5
"""Files named per finding; --json and --html name all."""


@verb()
@click.argument("data")
@key("--task", group="Data", help="What to learn; inferred from the data when left out.")
@key(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    group="Output",
    help="Also write a page with thumbnails, one file that needs no network.",
)
@json_key
@click.pass_obj
def command(output: Output, data: str, task: str | None, html: Path | None) -> None:
    """Look for what is wrong with DATA.

    Counts per class and part; broken, hidden and misnamed files; exact and near duplicates within
    and across parts; the same picture with different labels; imbalance and tiny classes. DATA as
    in `saccade train --help`. Findings do not change the exit code.
    """
    from saccade import api

    if html is not None:
        check_outside(html, data, "--html")
    with output.reporter() as reporter:
        found = api.check(data, task=task, reporter=reporter)
    if html is not None:
        from saccade.report.check_page import write

        write(found, html)
    _tell(output, found.summary, found.notices)
    if html is not None:
        output.line(f"page: {html}")
    output.value(
        {
            "examples": found.summary["examples"],
            "classes": found.summary["classes"],
            "splits": found.summary["splits"],
            "findings": [
                {
                    "name": notice.name,
                    "severity": notice.severity,
                    "files": list(notice.files),
                    "message": notice.message,
                }
                for notice in found.notices
            ],
        }
    )


def _tell(output: Output, summary: dict[str, Any], notices: tuple[Notice, ...]) -> None:
    output.line(f"{count(summary['examples'])} examples, {len(summary['classes'])} classes")
    class_table(output, summary["splits"], summary["parts"])
    for notice in notices:
        output.line()
        output.line(f"{notice.severity}: {notice.name}")
        output.line(f"  {notice.message}")
        for file in notice.files[:SHOWN]:
            output.line(f"    {file}")
        if len(notice.files) > SHOWN:
            output.line(f"    ... and {len(notice.files) - SHOWN} more")
    output.line()
    counts = [
        f"{sum(notice.severity == severity for notice in notices)} {severity}s"
        for severity in ("error", "warning")
    ]
    output.line(f"{len(notices)} findings: {', '.join(counts)}")


def class_table(output: Output, splits: dict[str, dict[str, int]], parts: dict[str, int]) -> None:
    """Pictures by class and part, and all of a part: one picture may show several classes."""
    classes = list(dict.fromkeys(name for part in splits.values() for name in part))
    rows = [(name, *(count(part.get(name, 0)) for part in splits.values())) for name in classes]
    total = ("pictures", *(count(parts[part]) for part in splits))
    if rows:
        output.table(("class", *splits), [*rows, total])
