"""saccade tune DATA"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from saccade.cli.keys import Rate, Size, json_key, key, recipe_key, verb
from saccade.cli.output import Output, measures_table, number
from saccade.cli.settings import recipe_of
from saccade.errors import SaccadeError

if TYPE_CHECKING:
    from saccade.tune.outcome import Outcome

SEARCH = "Search"
TRIAL = "Every trial"


@verb()
@click.argument("data")
@key(
    "--trials",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    group=SEARCH,
    help="Trainings in all.",
)
@key(
    "--approach",
    type=click.Choice(["caviar", "panda"]),
    default="caviar",
    show_default=True,
    group=SEARCH,
    help="Many trainings, the poor ones given up early; or one, nursed.",
)
@key("--metric", group=SEARCH, help="What is optimised on dev; the task's main metric.")
@key(
    "--limit",
    "limits",
    multiple=True,
    metavar="L",
    group=SEARCH,
    help='What must be kept, such as "latency<100" (ms), "size<5" (MB), "f1>0.9". Repeatable.',
)
@key(
    "--free",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    group=SEARCH,
    help="How many of the ranking are freed: rate, momentum, batch, units, layers, decay ...",
)
@key(
    "--vary",
    multiple=True,
    metavar="KEY[=V]",
    group=SEARCH,
    help="Instead: your own, such as lr0=0.01..1 or model=resnet20,resnet32. Repeatable.",
)
@key(
    "--sampler",
    type=click.Choice(["random", "tpe"]),
    default="random",
    show_default=True,
    group=SEARCH,
    help="tpe learns from the trials before.",
)
@key("--storage", metavar="URL", group=SEARCH, help="Database that several machines share.")
@key(
    "--every",
    type=click.IntRange(1),
    default=2,
    show_default=True,
    group=SEARCH,
    help="panda: epochs between two pauses.",
)
@key("--task", group=TRIAL, help="What to learn; inferred from the data when left out.")
@key("--imgsz", type=Size(), group=TRIAL, help="Side, or HEIGHT,WIDTH, of the network input.")
@key("--fraction", type=float, group=TRIAL, help="Share of the training part that is used.")
@key("--model", group=TRIAL, metavar="NAME", help="One of `saccade models`, or timm/NAME.")
@key("--weights", group=TRIAL, metavar="W", help="Start from: imagenet, a weights file, a run.")
@key("--epochs", type=int, group=TRIAL, help="Passes over the training part.")
@key("--batch", type=int, group=TRIAL, help="Examples per update.")
@key("--lr0", type=Rate(), group=TRIAL, help="Highest learning rate.")
@key("--optimizer", group=TRIAL, metavar="NAME", help="sgd, adam, muon ...")
@key("--seed", type=int, group=TRIAL, help="Of everything random, the search too; 0.")
@key("--device", group=TRIAL, help="cpu, cuda, cuda:N or mps; the best when left out.")
@recipe_key(TRIAL)
@key("--set", "changes", multiple=True, metavar="KEY=VALUE", group=TRIAL, help="Any setting.")
@key("--project", default="runs", show_default=True, group="Output", help="Folder for runs.")
@key("--name", default="tune", show_default=True, group="Output", help="Name of the search.")
@key("--resume", is_flag=True, group="Output", help="Go on with it, or join it while others work.")
@json_key
@click.pass_obj
def command(
    output: Output,
    /,
    data: str,
    approach: str,
    recipe: str | None,
    changes: tuple[str, ...],
    every: int,
    limits: tuple[str, ...],
    **keys: Any,
) -> None:
    """Search for the settings that do best on DATA's dev part.

    The first trial has the defaults. Then settings are freed in the order in which they usually
    matter, and drawn at random, rates and the like on logarithmic scales; what you give as a key
    stays as given. `report.html` shows what mattered, `best.yaml` is the recipe for `train`.

    Run the same command with --resume in a second terminal, or with the same --storage on a second
    machine, and both draw from one search. Whatever is killed is taken up again.
    """
    places = {name: keys.pop(name) for name in ("project", "name", "resume")}
    wish = {name: keys.pop(name) for name in ("trials", "metric", "free", "vary", "sampler")}
    storage = keys.pop("storage")
    start, settings = recipe_of(recipe, changes, keys)
    if approach == "panda":
        _refuse_search_keys()
        _nurse(output, data, start, settings, every, places)
        return
    from saccade import api
    from saccade.limits import parse_limit

    with output.reporter(first_line=True, always=True) as reporter:
        found = api.tune(
            data,
            recipe=start,
            settings=settings,
            storage=storage,
            reporter=reporter,
            limits=tuple(parse_limit(each) for each in limits),
            **wish,
            **places,
        )
    _tell(output, found)
    output.value(found.as_dict())


def _refuse_search_keys() -> None:
    """Keys that panda, which nurses one run, has no use for."""
    context = click.get_current_context()
    names = {name: name for name in ("trials", "metric", "free", "vary", "sampler", "storage")}
    for parameter, name in (names | {"limits": "limit"}).items():
        if context.get_parameter_source(parameter) is ParameterSource.COMMANDLINE:
            raise SaccadeError(
                f"--{name}: --approach panda nurses one run and draws nothing; leave --{name} out, "
                "or take caviar.",
                name="bad-setting",
            )


def _nurse(
    output: Output, data: str, start: Any, settings: dict[str, Any], every: int, places: Any
) -> None:
    from dataclasses import asdict

    from saccade import api

    with output.reporter(first_line=True, always=True) as reporter:
        trained, diary = api.nurse(
            data, recipe=start, settings=settings, every=every, reporter=reporter, **places
        )
    card = trained.folder.read_json(trained.folder.card)
    measures_table(output, card["metrics"])
    output.line(str(trained.folder.root))
    metrics = {name: each["value"] for name, each in card["metrics"].items()}
    output.value({"run": str(trained.folder.root), "metrics": metrics, **asdict(diary)})


def _tell(output: Output, found: Outcome) -> None:
    """The best trial, what it reached against the defaults, and what to type next."""
    best, first = found.best, found.trials[0]
    if best is None:
        kept = f" keeps {', '.join(map(str, found.limits))}" if found.limits else " is finished"
        output.line(f"No trial{kept}; see {found.page}.")
        output.line(str(found.folder))
        return
    rows = [(each.setting, str(best.settings.get(each.setting, "default"))) for each in found.axes]
    output.table(("setting", "best"), rows)
    told = f"{found.metric} {number(best.value)} on dev"
    if first.state == "done" and best.number:
        told += f" (the defaults: {number(first.value)})"
    output.line(told)
    for name, share in found.importance.items():
        output.line(f"{100 * share:.0f} % of the differences: {name}")
    output.line(f"report: {found.page}")
    output.line(f"train with it: saccade train DATA --recipe {found.recipe}")
    output.line(str(found.folder))
