"""saccade split DATA"""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from saccade.cli.keys import json_key, key, verb
from saccade.cli.output import Output, count
from saccade.errors import SaccadeError
from saccade.files import check_outside, write_atomic

if TYPE_CHECKING:
    from saccade.data.dataset import Dataset
    from saccade.types import Example, Field


PLACED = ("box", "boxes", "points", "mask")
"""Kinds of annotation that no cell of a table holds."""


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

    check_outside(out, data, "--out")
    if out.exists():
        raise SaccadeError(
            f"--out {out}: is there already, and may have been edited. Name another file, or "
            "remove that one.",
            name="exists",
            files=[str(out)],
        )
    settings = {"data.dev": dev, "data.test": test, "data.seed": seed}
    with output.reporter() as reporter:
        checked = api.check(data, task=task, settings=settings, reporter=reporter)
    if checked.fault is not None:
        raise checked.fault
    found = checked.prepared
    placed = [field.kind for field in found.dataset.fields if field.kind in PLACED]
    if placed and out.suffix != ".json":
        raise SaccadeError(
            f"--out {out}: a table has no place for {placed[0]} annotations; name a .json file for "
            "the manifest, or use `saccade convert`.",
            name="no-table",
        )
    # what a training sets aside to look for mismatch is training data
    part = ["train" if name == "train-dev" else name for name in found.part.tolist()]
    if out.suffix == ".json":
        text = json.dumps(found.manifest, ensure_ascii=False, indent=1)
    else:
        text = _table(found.dataset, part, out.absolute().parent)
    write_atomic(out, text.encode("utf-8", "surrogateescape"))
    counts = {name: part.count(name) for name in ("train", "dev", "test") if name in part}
    output.table(("part", "examples"), [(name, count(n)) for name, n in counts.items()])
    output.line(f"{found.method}; written to {out}")
    output.value({"splits": counts, "method": found.method, "out": str(out)})


def _table(dataset: Dataset, part: list[str], folder: Path) -> str:
    """A CSV that saccade itself reads: path below or beside `folder`, targets, part."""
    columns = ["path"]
    for field in dataset.fields:
        columns += field.classes if field.kind == "values" else [field.name]
    extra = [name for name in ("group", "source") if any(vars(e)[name] for e in dataset.examples)]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*columns, *extra, "split"])
    for example, own in zip(dataset.examples, part, strict=True):
        cells = [cell for field in dataset.fields for cell in _cells(example, field)]
        others = [vars(example)[name] or "" for name in extra]
        writer.writerow([_path(dataset.root, example.key, folder), *cells, *others, own])
    return text.getvalue()


def _path(root: str, key: str, folder: Path) -> str:
    """From `folder` to the picture; the key alone where it is no file of its own."""
    place = Path(root).absolute()
    for start in (place, place.parent, place.parent / "images"):
        if (start / key).is_file():
            return os.path.relpath(start / key, folder)
    return key


def _cells(example: Example, field: Field) -> list[str]:
    value = example.target.get(field.name)
    if field.kind == "values":
        numbers = value or [None] * len(field.classes)
        return ["" if number is None else repr(number) for number in numbers]
    if field.kind == "labels":
        return ["|".join(value or ())]
    return [value if isinstance(value, str) else "" if value is None else json.dumps(value)]
