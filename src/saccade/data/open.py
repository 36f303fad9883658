"""From a path, a sample's name or a user's own dataset object to a `Dataset`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from saccade.data.dataset import Dataset
from saccade.data.formats import folders, idx, objects, parts, table
from saccade.data.formats.archive import Zip
from saccade.data.samples import open_sample
from saccade.data.tree import Folder, Tree, is_picture_name, shown, suffix
from saccade.errors import SaccadeError


@dataclass(frozen=True)
class Format:
    """One layout of files. sniff: 0 not this, 1 possible, 2 plain, 3 certain; the highest wins.

    read makes the data set of a tree; the task is None where it is to be inferred.
    """

    name: str
    sniff: Callable[[Tree], int]
    read: Callable[[Tree, str | None], Dataset]


FORMATS: tuple[Format, ...] = (
    Format("IDX files", idx.sniff, idx.read),
    Format("class folders", folders.sniff, folders.read),
    Format("a table", table.sniff, table.read),
    Format("one zip file per part", parts.sniff, parts.read),
)
"""Ties go to the earlier one."""


def open_dataset(
    path_or_object: Any, *, task: str | None = None, root: Path | None = None
) -> Dataset:
    """Open whatever holds the user's pictures; nothing is prepared, moved or written.

    path_or_object: "sample:digits"; a folder of class folders, with or without part folders
    (train, val ...); a table (.csv, .tsv) or a folder with one; a folder of IDX files; a zip file
    of any of these; or an object with len() and [i] -> (picture, label), as torch's datasets are.
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
        tree = Folder(path.parent if root is None else root)
        return table.read_file(tree, path, task)
    if "ubyte" in path.name.lower():
        return idx.read(Folder(path.parent), task)
    with path.open("rb") as file:
        start = file.read(4)
    if start in (b"PK\x03\x04", b"PK\x05\x06") or suffix(path.name) == ".zip":
        return _open_tree(Zip(path), task)
    raise SaccadeError(
        f"{path}: neither a folder, a table (.csv, .tsv), a zip file nor IDX files; "
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


def _open_tree(tree: Tree, task: str | None) -> Dataset:
    scores = [entry.sniff(tree) for entry in FORMATS]
    best = max(scores)
    archives = [key for key in tree.files if suffix(key) == ".zip"]
    if best == 0 and len(archives) == 1 and isinstance(tree, Folder):
        return _open_tree(Zip(tree.path / archives[0]), task)
    if best == 0:
        raise _not_understood(tree)
    return FORMATS[scores.index(best)].read(tree, task)


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
        f"and label, or IDX files{several}",
        name="no-labels",
        files=[tree.root],
    )
