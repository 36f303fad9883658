"""saccade convert DATA"""

from __future__ import annotations

from pathlib import Path

import click

from saccade.cli.keys import json_key, key, verb
from saccade.cli.output import Output, count


@verb()
@click.argument("data")
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@key(
    "--to",
    required=True,
    type=click.Choice(["voc", "coco", "yolo", "csv"]),
    group="Data",
    help="Pascal VOC (XML), COCO (JSON), YOLO (text files and data.yaml), or a table.",
)
@key("--task", group="Data", help="Where several fit: detection, localization or landmarks.")
@json_key
@click.pass_obj
def command(output: Output, data: str, out: Path, to: str, task: str | None) -> None:
    """Write boxes or points of DATA in another format into the new folder OUT, with the pictures.

    Pictures, parts, boxes and the order of the classes stay what they are; the pictures are copied
    byte by byte. Boxes that cannot be used are named and left out, all others are written.
    """
    from saccade.data.convert import convert
    from saccade.data.open import open_dataset

    dataset = open_dataset(data, task=task)
    done = convert(dataset, to, out)
    for notice in dataset.notices:
        output.note(f"{notice.severity}: {notice.message}")
    if done.left_out:
        output.note(f"{len(done.left_out)} pictures cannot be read and are left out")
    output.line(
        f"{count(done.pictures)} pictures with {count(done.annotations)} annotations, written to "
        f"{out}"
    )
    output.value(
        {
            "out": str(out),
            "to": to,
            "pictures": done.pictures,
            "annotations": done.annotations,
            "left_out": list(done.left_out),
        }
    )
