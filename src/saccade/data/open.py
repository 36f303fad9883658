"""From a path, a sample's name or a user's own dataset object to a `Dataset`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from saccade.data.dataset import Dataset, choose_task
from saccade.data.formats import (
    boxtable,
    coco,
    folders,
    idx,
    objects,
    pairs,
    parts,
    pointtable,
    polygons,
    table,
    voc,
    yolo,
)
from saccade.data.formats.archive import Zip
from saccade.data.formats.rows import parse
from saccade.data.samples import open_sample
from saccade.data.tree import Folder, Tree, is_picture_name, shown, suffix
from saccade.errors import SaccadeError


@dataclass(frozen=True)
class Format:
    """One layout of files. sniff: 0 not this, 1 possible, 2 plain, 3 certain; the highest wins.

    read makes the data set of a tree; the task is None where it is to be inferred. written: files
    say what a picture shows; where its folder alone does, that gives way to them.
    """

    name: str
    sniff: Callable[[Tree], int]
    read: Callable[[Tree, str | None], Dataset]
    written: bool = True


FORMATS: tuple[Format, ...] = (
    Format("Pascal VOC files", voc.sniff, voc.read),
    Format("COCO files", coco.sniff, coco.read),
    Format("YOLO text files", yolo.sniff, yolo.read),
    Format("a table of boxes", boxtable.sniff, boxtable.read),
    Format("a table of points", pointtable.sniff, pointtable.read),
    Format("IDX files", idx.sniff, idx.read),
    Format("class folders", folders.sniff, folders.read, written=False),
    Format("a table", table.sniff, table.read),
    Format("one zip file per part", parts.sniff, parts.read, written=False),
    Format("pictures and masks", pairs.sniff, pairs.read),
    Format("outlines in COCO files", polygons.sniff_coco, polygons.read_coco, written=False),
    Format("outlines in YOLO files", polygons.sniff_yolo, polygons.read_yolo, written=False),
)
"""Ties go to the earlier one."""

CERTAIN, PLAIN = 3, 2


def open_dataset(
    path_or_object: Any, *, task: str | None = None, root: Path | None = None
) -> Dataset:
    """Open whatever holds the user's pictures; nothing is prepared, moved or written.

    path_or_object: "sample:digits"; a folder of class folders, with or without part folders
    (train, val ...); a table (.csv, .tsv) or a folder with one; boxes as Pascal VOC, COCO (the
    folder or the .json) or YOLO (the folder or its data.yaml) have them; a folder of IDX files; a
    zip file of any of these; or an object with len() and [i] -> (picture, label), as torch's
    datasets are.
    task: instead of the one inferred. root: where the paths of a table start, if elsewhere than
    beside it.
    Raises SaccadeError that says what was found and what is understood.
    """
    if not isinstance(path_or_object, str | Path):
        return objects.read(path_or_object, task)
    text = str(path_or_object)
    if text.startswith("sample:"):
        return replace(open_sample(text.removeprefix("sample:"), task), origin=text)
    path = Path(path_or_object).expanduser().absolute()
    return replace(_open_path(path, task, root), origin=str(path))


def _open_path(path: Path, task: str | None, root: Path | None) -> Dataset:
    _require(path)
    if path.is_dir():
        return _open_tree(Folder(path), task)
    if suffix(path.name) in table.ENDINGS:
        return _open_table(Folder(path.parent if root is None else root), path, task)
    if suffix(path.name) in (".yaml", ".yml"):
        return yolo.read_file(path, task)
    if suffix(path.name) == ".json":
        return coco.read_file(path, task)
    if "ubyte" in path.name.lower():
        return idx.read(Folder(path.parent), task)
    with path.open("rb") as file:
        start = file.read(4)
    if start in (b"PK\x03\x04", b"PK\x05\x06") or suffix(path.name) == ".zip":
        return _open_tree(Zip(path), task)
    raise SaccadeError(
        f"{path}: neither a folder, a table (.csv, .tsv), a COCO .json, a YOLO data.yaml, a zip "
        "file nor IDX files; "
        "give the folder that holds the pictures",
        name="unknown-data",
        files=[str(path)],
    )


def _require(path: Path) -> None:
    try:
        if path.exists():
            return
    except (OSError, ValueError) as error:
        raise SaccadeError(f"{path}: no usable path: {error}", name="no-such-data") from error
    near = ""
    if path.parent.is_dir():
        names = [entry.name for entry in sorted(path.parent.iterdir())]
        near = f"; {path.parent}/ holds {shown(names)}" if names else f"; {path.parent}/ is empty"
    raise SaccadeError(f"{path}: does not exist{near}", name="no-such-data", files=[str(path)])


def _open_table(tree: Folder, path: Path, task: str | None) -> Dataset:
    """A table of boxes, of points, or of labels and numbers, as its header tells."""
    rows = parse(Folder(path.parent).head(path.name, 1 << 16), str(path), whole=False)
    if boxtable.fits(rows):
        return boxtable.read_file(tree, path, task)
    if pointtable.fits(tree, "", rows):
        return pointtable.read_file(tree, path, task)
    return table.read_file(tree, path, task)


def _open_tree(tree: Tree, task: str | None) -> Dataset:
    scores = [entry.sniff(tree) for entry in FORMATS]
    best = max(scores)
    archives = [key for key in tree.files if suffix(key) == ".zip"]
    if best == 0 and len(archives) == 1 and isinstance(tree, Folder):
        return _open_tree(Zip(tree.path / archives[0]), task)
    if best == 0:
        raise _not_understood(tree)
    if best < CERTAIN:
        return FORMATS[scores.index(best)].read(tree, task)
    ranked = sorted(zip(scores, FORMATS, strict=True), key=lambda each: -each[0])
    fitting = [entry for score, entry in ranked if score >= PLAIN]
    sure = sum(score == best for score in scores)
    return _first_fit(tree, fitting, task) if task else _only_one(tree, fitting, sure)


def _first_fit(tree: Tree, fitting: list[Format], task: str) -> Dataset:
    """The first format that has the task."""
    for entry in fitting:
        try:
            return entry.read(tree, task)
        except SaccadeError as error:
            if error.name != "task-does-not-fit":
                raise
    tasks = dict.fromkeys(name for entry in fitting for name in entry.read(tree, None).tasks)
    choose_task(task, tuple(tasks), tree.root)
    raise AssertionError("a task that fits was refused")


def _only_one(tree: Tree, fitting: list[Format], sure: int) -> Dataset:
    """What the annotations say where all of them serve one task, else the user has to choose.

    sure: how many of the formats fit best; what the others make of the files may be wrong.
    """
    opened: list[tuple[Format, Dataset]] = []
    for number, entry in enumerate(fitting):
        if not entry.written:
            continue
        try:
            opened.append((entry, entry.read(tree, None)))
        except SaccadeError:
            if number < sure or not opened:
                raise
    by_task: dict[str, str] = {}
    for entry, dataset in opened:
        if entry is not opened[0][0] and dataset.tasks[0] in opened[0][1].tasks:
            continue  # another reading of the same annotations
        by_task.setdefault(dataset.tasks[0], f"{entry.name}: {dataset.reason}")
    if len(by_task) > 1:
        told = "; ".join(f"--task {name} ({why})" for name, why in by_task.items())
        raise SaccadeError(
            f"{tree.root}: several tasks fit what lies there; say which: {told}",
            name="several-tasks",
            files=[tree.root],
        )
    return opened[0][1]


def _not_understood(tree: Tree) -> SaccadeError:
    pictures = [key for key in tree.files if is_picture_name(key)]
    tables = [key for key in tree.files if suffix(key) in table.ENDINGS]
    found = [
        f"{len(pictures)} pictures ({shown(pictures)})" if pictures else "no picture",
        f"{len(tree.folders)} folders",
        f"{len(tables)} tables ({shown(tables)})" if tables else "no table",
    ]
    several = "; name one of the tables" if len(tables) > 1 else ""
    return SaccadeError(
        f"{tree.root}: no labels found. There: {', '.join(found)}. Expected one folder per class "
        "(cats/1.jpg, dogs/2.jpg), the same below train/ and val/, a table with the columns path "
        "and label, boxes as Pascal VOC, COCO or YOLO files have them, pictures and masks of the "
        "same name in images/ and masks/, or IDX files"
        f"{several}",
        name="no-labels",
        files=[tree.root],
    )
