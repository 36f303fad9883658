"""saccade sources RUN"""

from __future__ import annotations

from typing import Any

import click

from saccade.cli.keys import json_key, key, verb
from saccade.cli.output import Output, number


@verb()
@click.argument("run")
@key("--try", "tried", is_flag=True, group="Training", help="Train with each remedy, and measure.")
@json_key
@click.pass_obj
def command(output: Output, run: str, tried: bool) -> None:
    """Say how the sources of RUN's pictures differ, and what that costs.

    Prints the error of each source and part (a column `source` in a table, or the same folders in
    every class folder), how well a small classifier tells dev from what was set aside of training
    (train-dev), and by what. With --try it trains twice more, with half of dev moved into training
    and with training pictures made to look like dev, and compares on the other half of dev.
    """
    from saccade import api
    from saccade.diagnose.sources import dev_apart

    trained = api.load(run)
    told = trained.diagnose()
    apart = dev_apart(told.evidence)
    rows = [
        (name, number(m.value), f"{number(m.low)} to {number(m.high)}", str(m.n))
        for name, m in told.rows()
    ]
    output.table(("", "value", "95 % interval", "examples"), rows)
    for line in _apart_lines(apart):
        output.line(line)
    remedies = []
    if tried:
        with output.reporter() as reporter:
            remedies = list(trained.remedies(reporter=reporter))
        output.line()
        output.table(("remedy", "error", "change", "95 % interval", ""), _remedy_rows(remedies), 1)
        for each in remedies:
            output.line(f"{each.name}: {each.told}; {each.table}")
    elif "data-mismatch" in told.gaps:
        output.line(f"To try what helps: saccade sources {run} --try")
    output.value(
        {
            **{name: told.as_dict().get(name, {}) for name in ("errors", "gaps", "sources")},
            "apart": _plain(apart),
            "remedies": [_plain(each) for each in remedies],
        }
    )


def _apart_lines(apart: Any) -> list[str]:
    if apart is None:
        return []
    lines = []
    if apart.area is not None:
        area = apart.area
        lines.append(
            f"Dev is told from {apart.one} rightly in {100 * area.value:.0f} of 100 pairs "
            f"({100 * area.low:.0f} to {100 * area.high:.0f}; 50 = not at all)."
        )
    if apart.facts:
        lines.append(f"Dev pictures are {', '.join(apart.facts)}.")
    return lines


def _remedy_rows(remedies: list[Any]) -> list[tuple[str, ...]]:
    return [
        (
            each.name,
            number(each.error.value),
            f"{each.change.value:+.4f}",
            f"{each.change.low:+.4f} to {each.change.high:+.4f}",
            "helps" if each.helps else "not beyond noise",
        )
        for each in remedies
    ]


def _plain(record: Any) -> Any:
    """A record as JSON values."""
    if record is None:
        return None
    return {
        name: vars(value) if hasattr(value, "low") else value
        for name, value in vars(record).items()
    }
