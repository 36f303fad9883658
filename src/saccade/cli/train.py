"""saccade train DATA"""

from __future__ import annotations

import time
from typing import Any

import click

from saccade.cli.keys import Rate, Size, json_key, key, recipe_key, verb
from saccade.cli.output import Output, measures_table, scores_value
from saccade.cli.settings import recipe_of, settings_help


@verb(epilog=settings_help())
@click.argument("data")
@key("--task", group="Data", help="What to learn; inferred from the data when left out.")
@key("--imgsz", type=Size(), group="Data", help="Side, or HEIGHT,WIDTH, of the network input.")
@key("--fraction", type=float, group="Data", help="Share of the training part that is used.")
@key("--labels", group="Data", metavar="FILE", help="Corrected labels, as `labels` writes them.")
@key("--human-error", type=float, group="Data", metavar="SHARE", help="Of people, 0.02 for 2 %.")
@key("--workers", type=int, group="Data", help="Threads that decode pictures.")
@key("--model", group="Model", metavar="NAME", help="One of `saccade models`, or timm/NAME.")
@key("--backbone", group="Model", metavar="NAME", help="Network below the model: yolo, unet.")
@key("--weights", group="Model", metavar="W", help="Start from: imagenet, a weights file, a run.")
@key(
    "--freeze", group="Model", metavar="S", help="Never learn: all (but the head), first N stages."
)
@key("--dropout", type=float, group="Model", help="Probability of dropping a feature.")
@key("--epochs", type=int, group="Training", help="Passes over the training part.")
@key("--batch", type=int, group="Training", help="Examples per update.")
@key("--lr0", type=Rate(), group="Training", help="Highest learning rate; auto looks for one.")
@key("--optimizer", group="Training", metavar="NAME", help="sgd, adam, muon ... (listed below).")
@key("--weight-decay", type=float, group="Training", help="Not applied to norms and biases.")
@key("--patience", type=int, group="Training", help="Stop after N epochs without gain; 0 never.")
@key("--seed", type=int, group="Training", help="Of everything random; 0 when left out.")
@key("--device", group="Training", help="cpu, cuda, cuda:N or mps; the best when left out.")
@key("--devices", type=int, group="Training", help="Processes that share each batch, a GPU each.")
@recipe_key("Training")
@key(
    "--set",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    group="Training",
    help="Any setting listed below, such as --set data.test=0.2. Repeatable.",
)
@key("--project", default="runs", show_default=True, group="Output", help="Folder for runs.")
@key("--name", default="train", show_default=True, group="Output", help="Name of the run.")
@key("--exist-ok", is_flag=True, group="Output", help="Use the name again, not NAME2.")
@key(
    "--resume", is_flag=True, group="Output", help="Go on with that run; start it if there is none."
)
@json_key
@click.pass_obj
def command(
    output: Output,
    /,
    data: str,
    recipe: str | None,
    changes: tuple[str, ...],
    project: str,
    name: str,
    exist_ok: bool,
    resume: bool,
    devices: int | None,
    **keys: Any,
) -> None:
    """Train a network on DATA and write everything about it into a new run folder.

    DATA is a folder with one folder per class (with or without train, val and test above them), a
    CSV table with a path and a label per line, pictures and masks of the same name in images/ and
    masks/, boxes as VOC, COCO or YOLO files have them, IDX files, a zip of any of these, or
    sample:digits.

    The first and the last line printed are the run's folder, between them what it scores on the
    dev part, and in three lines what limits that, how sure it is, and what to type next (see
    `saccade diagnose`). The test part stays untouched for `saccade val RUN --split test`.
    """
    from saccade import api

    start, settings = recipe_of(recipe, changes, keys)
    began = time.perf_counter()
    with output.reporter(first_line=True) as reporter:
        trained = api.train(
            data,
            project=project,
            name=name,
            exist_ok=exist_ok,
            resume=resume,
            devices=devices,
            recipe=start,
            reporter=reporter,
            settings=settings,
        )
    run = trained.folder
    card = run.read_json(run.card)
    measures_table(output, card["metrics"])
    if run.diagnosis.is_file():
        for line in run.read_json(run.diagnosis)["verdict"]["lines"]:
            output.line(line)
    output.line(str(run.root))
    seconds = time.perf_counter() - began
    output.value(scores_value(str(run.root), card["task"], "dev", card["metrics"], seconds))
