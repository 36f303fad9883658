"""Pictures of annotation files that name them loosely: by name, by a path from elsewhere."""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from saccade.data.dataset import PARTS
from saccade.data.tree import Tree, is_picture_name, printable, shown
from saccade.errors import SaccadeError
from saccade.types import Notice, Split

_WORD = re.compile(r"[a-z]+")


def part_of(path: str) -> Split | None:
    """The part that a folder or the file itself is named after: "train2017/a.xml", "val.json"."""
    for name in reversed(PurePosixPath(path).with_suffix("").parts):
        for word in _WORD.findall(name.casefold()):
            if word in PARTS:
                return PARTS[word]
    return None


def parts_of_tables(tree: Tree, found: Sequence[str], content: str) -> dict[str, Split]:
    """The tables named after parts (train_labels.csv), with their parts; none for a single one.

    Raises SaccadeError where several could be meant. content: what the tables hold, in a word.
    """
    if len(found) < 2:
        return {}
    parts = {key: part for key in found if (part := part_of(posixpath.basename(key))) is not None}
    if "train" in parts.values():
        return parts
    raise SaccadeError(
        f"{tree.root}: several tables of {content} could be meant ({shown(found)}); give the path "
        "of one",
        name="several-tables",
        files=list(found),
    )


def part_of_folder(key: str) -> Split | None:
    """As `part_of`, by whole names of folders alone: a picture may be called train-1.jpg."""
    for name in reversed(PurePosixPath(key).parts[:-1]):
        plain = re.sub(r"[\d_-]+$", "", name.casefold())
        if plain in PARTS:
            return PARTS[plain]
    return None


class Finder:
    """The pictures of a tree, by what an annotation calls them."""

    def __init__(self, tree: Tree) -> None:
        self._by_name: dict[str, list[str]] = defaultdict(list)
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        self._claimed: dict[str, str] = {}
        for key in tree.files:
            if is_picture_name(key):
                name = posixpath.basename(key)
                self._by_name[name].append(key)
                self._by_stem[posixpath.splitext(name)[0]].append(key)

    def claim(self, names: Iterable[str]) -> None:
        """Names whose whole path is there: no other name is given those pictures then.

        Else cam2/1.jpg, which is not there, would be found as cam1/1.jpg, and its boxes put there.
        """
        for name in names:
            plain = _plain(name)
            if "/" in plain:
                for key in self._by_name.get(posixpath.basename(plain), ()):
                    if key == plain or key.endswith(f"/{plain}"):
                        self._claimed[key] = plain

    def find(self, name: str, *, near: str, part: Split | None = None) -> str | None:
        """Key of the picture called `name` (a path or a name, with or without ending), or None.

        Of several with that name: the one whose path ends as `name` says, then the one in a folder
        of `part`, then the one nearest to `near`, the annotation's own key.
        """
        name = _plain(name)
        base = posixpath.basename(name)
        found = self._by_name.get(base) or self._by_stem.get(base, [])
        found = [key for key in found if self._claimed.get(key, name) == name]
        if len(found) <= 1:
            return found[0] if found else None

        def rank(key: str) -> tuple[int, bool, int, str]:
            return (
                -_common(name.split("/")[::-1], key.split("/")[::-1]),
                part is not None and part_of_folder(key) != part,
                -_common(near.split("/"), key.split("/")),
                key,
            )

        return min(found, key=rank)


def _plain(name: str) -> str:
    return name.replace("\\", "/").strip().removeprefix("./")


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """How many places agree from the first on."""
    count = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        count += 1
    return count


def missing(tree: Tree, names: Sequence[str], total: int, *, most: float = 0.5) -> list[Notice]:
    """Pictures that annotations name and that are not there.

    Raises SaccadeError where more than the share `most` is missing.
    """
    if not names:
        return []
    told = f"{len(names)} of {total} annotated pictures are not there, such as {shown(names)}"
    if len(names) > most * total:
        raise SaccadeError(
            f"{printable(tree.root)}: {told}; give the folder that holds pictures and annotations",
            name="missing-files",
            files=names[:20],
        )
    return [
        Notice(
            name="missing-files",
            severity="error",
            message=f"{told}; they are left out",
            files=tuple(names),
        )
    ]


def unlisted(tree: Tree, used: Sequence[str], what: str) -> list[Notice]:
    """Pictures beside the annotated ones that no annotation names."""
    known = set(used)
    folders = {posixpath.dirname(key) for key in known}
    left = [
        key
        for key in tree.files
        if is_picture_name(key) and key not in known and posixpath.dirname(key) in folders
    ]
    if not left:
        return []
    message = f"{len(left)} pictures {what} and are left out: {shown(left)}"
    return [Notice(name="picture-without-annotation", severity="warning", message=message,
                   files=tuple(left))]  # fmt: skip


CLASS_FILES = ("classes", "obj", "labels", "names", "class_names", "classes_detection")


def class_names(tree: Tree) -> tuple[str, ...] | None:
    """Names of a file such as classes.txt or obj.names at the root, one a line; None = no such."""
    for stem in CLASS_FILES:
        for ending in (".txt", ".names"):
            if stem + ending in tree.files:
                lines = tree.load(stem + ending).decode("utf-8-sig", "replace").splitlines()
                return tuple(line.strip() for line in lines if line.strip())
    return None
