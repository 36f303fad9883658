"""saccade curve DATA"""

from __future__ import annotations

from typing import Any

import click

from saccade.cli.keys import Rate, Size, json_key, key, recipe_key, verb
from saccade.cli.output import Output, number
from saccade.cli.settings import recipe_of, settings_help

MOST = 12
"""Classes that are printed for people."""


@verb(epilog=settings_help())
@click.argument("data")
@key("--task", group="Data", help="What to learn; inferred from the data when left out.")
@key("--imgsz", type=Size(), group="Data", help="Side, or HEIGHT,WIDTH, of the network input.")
@key("--model", group="Model", metavar="NAME", help="One of `saccade models`, or timm/NAME.")
@key("--weights", group="Model", metavar="W", help="Start from: imagenet, a weights file, a run.")
@key("--epochs", type=int, group="Training", help="Of each; left out, more for smaller parts.")
@key("--batch", type=int, group="Training", help="Examples per update.")
@key("--lr0", type=Rate(), group="Training", help="Highest learning rate; auto looks for one.")
@key("--seed", type=int, group="Training", help="Of everything random; 0 when left out.")
@key("--device", group="Training", help="cpu, cuda, cuda:N or mps; the best when left out.")
@recipe_key("Training")
@key("--set", "changes", multiple=True, metavar="KEY=VALUE", group="Training", help="As of train.")
@key(
    "--repeats",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    group="Curve",
    help="Trainings per size: the interval becomes smaller and surer.",
)
@key("--project", default="runs", show_default=True, group="Output", help="Folder for runs.")
@key("--name", default="curve", show_default=True, group="Output", help="Name of the curve.")
@key("--resume", is_flag=True, group="Output", help="Go on with that curve.")
@json_key
@click.pass_obj
def command(
    output: Output,
    /,
    data: str,
    recipe: str | None,
    changes: tuple[str, ...],
    repeats: int,
    project: str,
    name: str,
    resume: bool,
    **keys: Any,
) -> None:
    """Would more pictures help? Train on growing parts of DATA and foresee twice as many.

    Trains on 1/16, 1/8, 1/4, 1/2 and all of the training part, measures each on the same dev part,
    fits a power law, and says what error twice the data would give, with a 95 % interval, in all
    and class by class. What is trained already is kept: --resume goes on.
    """
    from saccade import api

    start, settings = recipe_of(recipe, changes, keys)
    with output.reporter(first_line=True) as reporter:
        found = api.curve(
            data,
            recipe=start,
            settings=settings,
            repeats=repeats,
            project=project,
            name=name,
            resume=resume,
            reporter=reporter,
        )
    told = found.as_dict()
    rows = [(f"{point['examples']:,}", number(point["error"])) for point in told["points"]]
    output.table(("examples", "dev error"), rows)
    output.line(found.sentence)
    output.line(found.advice)
    for line in found.class_lines()[:MOST]:
        output.line(f"  {line}")
    output.line(str(found.folder.root))
    output.value(told)
