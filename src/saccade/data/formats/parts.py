"""A folder with one zip file per part: train.zip, test.zip."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np

from saccade.data.dataset import PARTS, Dataset, choose_task, class_notices, class_table
from saccade.data.formats import folders
from saccade.data.formats.archive import Zip
from saccade.data.tree import Tree, is_picture_name
from saccade.errors import SaccadeError
from saccade.types import Example, Field, Notice, Split


class Several:
    """Zip files side by side; the key of a picture is "train.zip/its/path"."""

    def __init__(self, trees: dict[str, Zip]) -> None:
        self.trees = trees

    def load(self, key: str) -> bytes | np.ndarray:
        name, _, inner = key.partition("/")
        if name not in self.trees:
            raise SaccadeError(f"{key}: no such picture", name="broken-file", files=[key])
        return self.trees[name].load(inner)


def sniff(tree: Tree) -> int:
    """2 where zip files are named as parts and no picture lies beside them."""
    found = _archives(tree)
    plain = not any(is_picture_name(key) for key in tree.files)
    return 2 if "train" in found.values() and plain and Path(tree.root).is_dir() else 0


def _archives(tree: Tree) -> dict[str, Split]:
    return {
        key: PARTS[PurePosixPath(key).stem.casefold()]
        for key in tree.files
        if key.lower().endswith(".zip")
        and "/" not in key
        and PurePosixPath(key).stem.casefold() in PARTS
    }


def read(tree: Tree, task: str | None = None) -> Dataset:
    """Class folders of every archive; the archive's name is the part."""
    tasks = ("classification",)
    choose_task(task, tasks, tree.root)
    examples: list[Example] = []
    notices: list[Notice] = [*tree.notices]
    trees = {name: Zip(Path(tree.root) / name) for name in _archives(tree)}
    for name, part in _archives(tree).items():
        opened = folders.read(trees[name])
        examples += [
            replace(example, key=f"{name}/{example.key}", split=part) for example in opened.examples
        ]
        notices += opened.notices
    field = Field(name="label", kind="label", classes=class_table(examples, "label"))
    return Dataset(
        name=tree.name,
        root=tree.root,
        examples=tuple(examples),
        fields=(field,),
        source=Several(trees),
        notices=(*notices, *class_notices(examples, field)),
        tasks=tasks,
        reason=f"{', '.join(trees)} hold {len(field.classes)} class folders",
    )
