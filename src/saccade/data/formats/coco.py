"""COCO JSON: pictures, categories and boxes (x, y, width, height) in one file for each part."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from saccade.data.dataset import Dataset
from saccade.data.formats.annotated import Boxes, build
from saccade.data.formats.finding import Finder, missing, part_of, unlisted
from saccade.data.formats.frames import Annotated, Drawn
from saccade.data.places import Reading
from saccade.data.tree import Folder, Tree, printable, shown, suffix
from saccade.errors import SaccadeError
from saccade.types import Notice, Split

_KEYS = (b'"images"', b'"annotations"', b'"categories"', b'"info"', b'"licenses"')


def sniff(tree: Tree) -> int:
    """3 where a JSON file begins as COCO's do."""
    return 3 if annotation_files(tree) else 0


def annotation_files(tree: Tree) -> list[str]:
    """JSON files that begin as COCO's do."""
    return [key for key in tree.files if suffix(key) == ".json" and _looks(tree.head(key, 1 << 16))]


def _looks(head: bytes) -> bool:
    return head.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"{") and (
        sum(key in head for key in _KEYS) >= 2
    )


def read(tree: Tree, task: str | None = None) -> Dataset:
    """Every COCO file of the tree; with several, each is the part that its name tells."""
    return _read(tree, _with_boxes(tree, annotation_files(tree)), task)


def read_file(path: Path, task: str | None = None) -> Dataset:
    """The one file at `path`; its pictures below its folder or, from annotations/, beside that."""
    folder = path.absolute().parent
    root = folder.parent if folder.name.casefold() == "annotations" else folder
    key = path.absolute().relative_to(root).as_posix()
    return _read(Folder(root), {key: parse(Folder(root).load(key), key)}, task)


def _with_boxes(tree: Tree, files: Sequence[str]) -> dict[str, dict[str, Any]]:
    """COCO has files of captions and key points too, whose annotations have no boxes."""
    parsed = {key: parse(tree.load(key), key) for key in files}
    boxed = {
        key: data
        for key, data in parsed.items()
        # a file of pictures without objects is one of boxes too
        if not data["annotations"] or any("bbox" in item for item in data["annotations"][:100])
    }
    instances = {key: data for key, data in boxed.items() if "keypoint" not in key.casefold()}
    return instances or boxed or parsed


def parse(data: bytes, key: str) -> dict[str, Any]:
    """The lists of a file, checked. Raises SaccadeError "bad-annotations" naming it."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _bad(key, f"is no whole JSON: {error}") from error
    for name in ("images", "annotations", "categories"):
        rows = found.get(name) if isinstance(found, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise _bad(key, f"has no list {name!r}; expected images, annotations and categories")
    for name, needed in (("images", "file_name"), ("categories", "name")):
        lame = [row for row in found[name] if needed not in row or "id" not in row]
        if lame:
            raise _bad(key, f"{len(lame)} of {name!r} lack an id or a {needed}")
    listed = {(str(row["id"]), str(row["file_name"])) for row in found["images"]}
    ids = Counter(number for number, _ in listed)
    twice = [number for number, count in ids.items() if count > 1]
    if twice:
        raise _bad(
            key,
            f"{len(twice)} ids stand for several pictures, such as {twice[0]}: it cannot be told "
            "whose boxes are whose; give every picture an id of its own",
        )
    parsed: dict[str, Any] = found
    return parsed


def _bad(key: str, reason: str) -> SaccadeError:
    return SaccadeError(f"{printable(key)}: {reason}", name="bad-annotations", files=[key])


def _read(tree: Tree, files: Mapping[str, dict[str, Any]], task: str | None) -> Dataset:
    finder = Finder(tree)
    pictures: list[Annotated] = []
    lost: list[str] = []
    crowds: list[str] = []
    total = 0
    for key, data in files.items():
        part = part_of(key)
        finder.claim(str(row["file_name"]) for row in data["images"])
        objects, crowd = _objects(data)
        total += len(data["images"])
        for row in data["images"]:
            name = str(row["file_name"])
            found = finder.find(name, near=key, part=part)
            if found is None:
                lost.append(name)
                continue
            crowds += [found] if row["id"] in crowd else []
            pictures.append(_picture(found, row, objects[row["id"]], part))
    classes, parents = _classes(list(files.values()))
    return build(
        tree,
        Boxes(
            pictures=pictures,
            reading=Reading("xywh"),
            classes=classes,
            reason=f"COCO files ({shown(list(files))}) name {total} pictures",
            notices=[
                *missing(tree, lost, total),
                *unlisted(tree, [picture.key for picture in pictures], "are in no COCO file"),
                *_orphans(files),
                *_told("crowd", crowds, "have boxes around crowds, which are no single objects"),
                *_told("unused-parent-class", parents, "are names above other classes"),
            ],
        ),
        task,
    )


def _picture(
    key: str, row: dict[str, Any], objects: Sequence[Drawn], part: Split | None
) -> Annotated:
    size = (_number(row.get("width")), _number(row.get("height")))
    return Annotated(
        key=key,
        objects=tuple(objects),
        split=part,
        size=size if min(size) > 0 else None,
    )


def _number(value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else math.nan


def _objects(data: dict[str, Any]) -> tuple[dict[Any, list[Drawn]], set[Any]]:
    """Boxes by the picture's id; and the ids of pictures with crowds."""
    names = {row["id"]: str(row["name"]) for row in data["categories"]}
    objects: dict[Any, list[Drawn]] = defaultdict(list)
    crowd = set()
    for place, row in enumerate(data["annotations"], 1):
        picture = row.get("image_id")
        if row.get("iscrowd"):
            crowd.add(picture)
            continue
        box = row.get("bbox")
        numbers = [_number(value) for value in box] if isinstance(box, list) else []
        x, y, width, height = numbers if len(numbers) == 4 else [math.nan] * 4
        category = row.get("category_id")
        label = names.get(category, "" if category is None else str(category)) or None
        known = category is None or category in names
        where = f"annotation {row.get('id', place)}"
        objects[picture].append(Drawn((x, y, width, height), label, where, known))
    return objects, crowd


def _classes(files: Sequence[dict[str, Any]]) -> tuple[tuple[str, ...], list[str]]:
    """Names by category id; and parents without a box of their own, which are no classes.

    Every file has ids of its own: names are what holds across files.
    """
    ids: dict[str, Any] = {}
    parents: set[str] = set()
    used: set[str] = set()
    for data in files:
        names = {row["id"]: str(row["name"]) for row in data["categories"]}
        for row in data["categories"]:
            ids.setdefault(str(row["name"]), row["id"])
            if row.get("supercategory") not in (None, row["name"]):
                parents.add(str(row["supercategory"]))
        used.update(names.get(row.get("category_id"), "") for row in data["annotations"])
    top = {name for name in ids if name in parents and name not in used}

    def place(name: str) -> tuple[bool, int, str]:
        number = isinstance(ids[name], int)
        return not number, ids[name] if number else 0, "" if number else str(ids[name])

    return tuple(sorted((name for name in ids if name not in top), key=place)), sorted(top)


def _orphans(files: Mapping[str, dict[str, Any]]) -> list[Notice]:
    """Annotations of pictures that the file does not list."""
    lost = 0
    for data in files.values():
        ids = {row["id"] for row in data["images"]}
        lost += sum(row.get("image_id") not in ids for row in data["annotations"])
    message = f"{lost} annotations belong to pictures that their file does not list; dropped"
    notice = Notice(name="box-without-picture", severity="warning", message=message,
                    files=tuple(files))  # fmt: skip
    return [notice] if lost else []


def _told(name: str, files: Sequence[str], what: str) -> list[Notice]:
    message = f"{len(files)} {what}, and are left out: {shown(files)}"
    return [Notice(name=name, severity="info", message=message, files=tuple(files))] * bool(files)
