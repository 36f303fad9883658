"""YOLO text files: images/a.jpg with labels/a.txt, a line for each box: class, centre, size.

Centre and size are shares of the picture. data.yaml names classes and parts; without it classes are
named by classes.txt or obj.names, or by their numbers, and parts by folders (images/train). A
picture without text file, or with an empty one, shows no object.
"""

from __future__ import annotations

import math
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from saccade.data.dataset import PARTS, Dataset
from saccade.data.formats.annotated import Boxes, build
from saccade.data.formats.finding import Finder, class_names, missing, part_of_folder
from saccade.data.formats.frames import Annotated, Drawn
from saccade.data.formats.rows import is_number
from saccade.data.places import Reading
from saccade.data.tree import Folder, Tree, is_picture_name, printable, shown, suffix
from saccade.errors import SaccadeError
from saccade.types import Notice, Split

TRIED = 50


def sniff(tree: Tree) -> int:
    """3 where pictures have text files of boxes or a data.yaml names classes, else 0."""
    if settings_file(tree) is not None:
        return 3
    texts = {key for key in tree.files if suffix(key) == ".txt"}
    if not texts:
        return 0
    paired = [key for key in map(label_file, filter(is_picture_name, tree.files)) if key in texts]
    filled = [key for key in paired[:TRIED] if tree.head(key, 4096).strip()]
    return 3 if filled and all(_looks(tree.head(key, 4096)) for key in filled) else 0


def label_file(key: str) -> str:
    """Of a picture: the last folder images becomes labels, else the text file lies beside it."""
    parts = posixpath.splitext(key)[0].split("/")
    for place in range(len(parts) - 2, -1, -1):
        if parts[place] == "images":
            parts[place] = "labels"
            break
    return "/".join(parts) + ".txt"


def _looks(head: bytes) -> bool:
    """The first line is a whole number and four or more others."""
    words = head.decode("utf-8", "replace").splitlines()[0].split()
    return len(words) >= 5 and _whole(words[0]).isdecimal() and all(map(is_number, words))


def settings_file(tree: Tree) -> str | None:
    """A YAML file at the root (or in the only folder) that names classes and a part."""
    for key in tree.files:
        if suffix(key) in (".yaml", ".yml") and key.count("/") <= 1:
            head = tree.head(key, 1 << 16)
            if b"names" in head and (b"train" in head or b"val" in head):
                return key
    return None


def read(tree: Tree, task: str | None = None) -> Dataset:
    """All pictures of a tree, or those that its data.yaml lists."""
    key = settings_file(tree)
    return _read(tree, key, task)


def read_file(path: Path, task: str | None = None) -> Dataset:
    """What the data.yaml at `path` describes; its folder, or the `path` in it, is the root."""
    settings = read_settings(path.read_bytes(), path.name)
    root = Path(str(settings.get("path") or "."))
    root = root if root.is_absolute() else path.absolute().parent / root
    if not root.is_dir():
        root = path.absolute().parent
    return _read(Folder(root), None, task, settings)


def read_settings(data: bytes, key: str) -> dict[str, Any]:
    """What a data.yaml says. Raises SaccadeError "bad-annotations" where it names no classes."""
    try:
        found = yaml.safe_load(data)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _bad(key, f"is no YAML: {error}") from error
    if not isinstance(found, dict) or "names" not in found:
        raise _bad(key, "has no entry 'names'; expected the names of the classes in order")
    return found


def _bad(key: str, reason: str) -> SaccadeError:
    return SaccadeError(f"{printable(key)}: {reason}", name="bad-annotations", files=[key])


def _read(
    tree: Tree, key: str | None, task: str | None, settings: dict[str, Any] | None = None
) -> Dataset:
    if key is not None:
        settings = read_settings(tree.load(key), key)
    parts, lost = listed_pictures(tree, settings or {})
    texts = {name for name in tree.files if suffix(name) == ".txt"}
    lines = {name: read_lines(tree, label_file(name), texts) for name in parts}
    polygons = [name for name, own in lines.items() if any(len(row) > 6 for row in own)]
    names = names_of(settings) or class_names(tree)
    ids = {row[0] for own in lines.values() for row in own if row and row[0].isdecimal()}
    from_one = _from_one({int(one) for one in ids}, names)
    classes = names or tuple(sorted(ids, key=int))
    pictures = [
        Annotated(
            key=name,
            objects=tuple(
                _drawn(row, line, names, int(from_one)) for line, row in enumerate(own, 1) if row
            ),
            split=parts[name],
        )
        for name, own in lines.items()
    ]
    silent = [name for name in parts if label_file(name) not in texts]
    found = Boxes(
        pictures=pictures,
        reading=Reading("cxcywh", relative=True),
        classes=classes,
        reason=f"{len(pictures) - len(silent)} pictures have a text file in the way of YOLO",
        notices=[
            *lost,
            *_strays(tree, texts, list(parts)),
            *_told(silent, polygons, from_one),
        ],
    )
    return build(tree, found, task)


def read_lines(tree: Tree, key: str, texts: set[str]) -> list[list[str]]:
    """The words of each line; no line where there is no file."""
    if key not in texts:
        return []
    lines = tree.load(key).decode("utf-8-sig", "replace").splitlines()
    return [[_whole(word) if n == 0 else word for n, word in enumerate(x.split())] for x in lines]


def _whole(word: str) -> str:
    """A class id as numpy writes it, 1.0, without its zeros."""
    number, point, zeros = word.partition(".")
    return number if point and number.isdecimal() and not zeros.strip("0") else word


def _drawn(row: list[str], line: int, names: Sequence[str] | None, first: int) -> Drawn:
    """One line. More than a box and a confidence is a polygon, of which the bounds are taken."""
    numbers = [float(word) if is_number(word) else math.nan for word in row[1:]]
    label, known = row[0], row[0].isdecimal()
    if names is not None and known:
        place = int(row[0]) - first
        known = 0 <= place < len(names)
        label = names[place] if known else row[0]
    if len(numbers) >= 6 and len(numbers) % 2 == 0:
        xs, ys = numbers[0::2], numbers[1::2]
        box = (
            (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2, max(xs) - min(xs), max(ys) - min(ys)
        )  # fmt: skip
    else:
        x, y, width, height = numbers[:4] if len(numbers) in (4, 5) else [math.nan] * 4
        box = (x, y, width, height)
    return Drawn(box, label, f"line {line}", known)


def names_of(settings: dict[str, Any] | None) -> tuple[str, ...] | None:
    """Class names by id: a list, or a mapping of ids; ids that are left out keep their number."""
    names = (settings or {}).get("names")
    if isinstance(names, Mapping):
        ids = {int(key): str(name) for key, name in names.items() if str(key).isdecimal()}
        return tuple(ids.get(place, str(place)) for place in range(max(ids, default=-1) + 1))
    return tuple(map(str, names)) if isinstance(names, list) else None


def _from_one(ids: set[int], names: Sequence[str] | None) -> bool:
    """Ids count from 1: none is 0, and the last class has the number of classes."""
    return names is not None and bool(ids) and min(ids) == 1 and max(ids) == len(names)


def pictures_by_part(tree: Tree, settings: Mapping[str, Any]) -> dict[str, Split | None]:
    """The pictures that count, with their parts: as data.yaml lists them, else by folder."""
    return listed_pictures(tree, settings)[0]


def listed_pictures(
    tree: Tree, settings: Mapping[str, Any]
) -> tuple[dict[str, Split | None], list[Notice]]:
    """`pictures_by_part`, and what data.yaml lists that is not there."""
    pictures = [key for key in tree.files if is_picture_name(key)]
    listed: dict[str, Split | None] = {}
    lost: list[str] = []
    absent: list[str] = []
    for name, part in PARTS.items():
        places = settings.get(name) or []
        for place in [places] if isinstance(places, str) else places:
            found = _listed(tree, str(place), pictures, settings)
            if found is None:
                absent.append(f"{name}: {place}")
                continue
            lost += found[1]
            for key in found[0]:
                listed.setdefault(key, part)
    gone = list(dict.fromkeys(lost))
    # one part alone may have been fetched
    told = missing(tree, gone, len(listed) + len(gone), most=0.5 if not listed else 1.0)
    if absent and listed:
        message = f"the settings name {', '.join(absent)}, which is not there"
        told.append(Notice(name="missing-folder", severity="warning", message=message))
    if settings.get("val") == settings.get("train"):  # one folder for both: neither is told
        listed = {key: part if part == "test" else None for key, part in listed.items()}
    if listed:
        return listed, told
    texts = {key for key in tree.files if suffix(key) == ".txt"}
    folders = {posixpath.dirname(key) for key in pictures if label_file(key) in texts}
    beside = {key: part_of_folder(key) for key in pictures if posixpath.dirname(key) in folders}
    return beside, told


def _listed(
    tree: Tree, place: str, pictures: Sequence[str], settings: Mapping[str, Any]
) -> tuple[list[str], list[str]] | None:
    """Pictures of one entry: a folder, or a text file with a path in each line.

    With them the lines whose picture is not there; None where the entry itself is not.
    Exports write paths from another machine ("../train/images", "/data/x/images/train"): the
    longest end of the path that is there counts.
    """
    words = [word for word in place.replace("\\", "/").split("/") if word not in ("", ".", "..")]
    prefix = [word for word in str(settings.get("path") or "").split("/") if word not in ("", ".")]
    ends = ["/".join([*prefix, *words][start:]) for start in range(len(prefix) + len(words))]
    for end in dict.fromkeys(ends):
        if end in tree.files and suffix(end) == ".txt":
            finder = Finder(tree)
            text = tree.load(end).decode("utf-8-sig", "replace")
            lines = [line for line in text.splitlines() if line.strip()]
            found = [finder.find(line, near=end) for line in lines]
            there = [key for key in found if key is not None]
            return there, [line for line, key in zip(lines, found, strict=True) if key is None]
        if end in tree.folders:
            return [key for key in pictures if key.startswith(end + "/")], []
    return None


def _has_places(tree: Tree, key: str, texts: set[str]) -> bool:
    """Whether a text file looks like one of a picture: its first line is numbers."""
    first = next((row for row in read_lines(tree, key, texts) if row), [])
    return len(first) >= 5 and all(map(is_number, first))


def _strays(tree: Tree, texts: set[str], pictures: Sequence[str]) -> Iterable[Notice]:
    """Text files beside those of pictures that belong to no picture."""
    used = {label_file(key) for key in pictures}
    folders = {posixpath.dirname(name) for name in used & texts}
    known = used | {label_file(key) for key in tree.files if is_picture_name(key)}
    stray = sorted(
        name
        for name in texts - known
        if posixpath.dirname(name) in folders and _has_places(tree, name, texts)
    )
    if stray:
        yield Notice(
            name="annotation-without-picture",
            severity="warning",
            message=f"{len(stray)} text files belong to no picture: {shown(stray)}",
            files=tuple(stray),
        )


def _told(silent: list[str], polygons: list[str], from_one: bool) -> Iterable[Notice]:
    if silent:
        yield Notice(
            name="picture-without-annotation",
            severity="info",
            message=f"{len(silent)} pictures have no text file and count as showing no object: "
            + shown(silent),
            files=tuple(silent),
        )
    if polygons:
        yield Notice(
            name="polygons",
            severity="info",
            message=f"{len(polygons)} pictures have outlines instead of boxes; the boxes around "
            f"them are taken: {shown(polygons)}",
            files=tuple(polygons),
        )
    if from_one:
        yield Notice(
            name="class-ids-from-one",
            severity="info",
            message="class ids count from 1 here, not from 0: id 1 is the first name",
        )
