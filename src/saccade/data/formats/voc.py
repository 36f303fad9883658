"""Pascal VOC: one XML file for each picture, parts in ImageSets/Main/train.txt and the like.

Numbers are taken as they are written: as corners in pixels from the picture's top left corner.
"""

from __future__ import annotations

import math
import posixpath
from xml.etree import ElementTree

from saccade.data.dataset import PARTS, Dataset
from saccade.data.formats.annotated import Boxes, build
from saccade.data.formats.finding import Finder, class_names, missing, part_of_folder, unlisted
from saccade.data.formats.frames import Annotated, Drawn
from saccade.data.places import Reading
from saccade.data.tree import Tree, printable, suffix
from saccade.errors import SaccadeError
from saccade.types import Split

CORNERS = ("xmin", "ymin", "xmax", "ymax")


def sniff(tree: Tree) -> int:
    """3 where the first XML files are annotations."""
    files = _files(tree)[:3]
    return 3 if files and all(b"<annotation" in tree.head(key, 4096) for key in files) else 0


def _files(tree: Tree) -> list[str]:
    return [key for key in tree.files if suffix(key) == ".xml"]


def read(tree: Tree, task: str | None = None) -> Dataset:
    """Every XML file and its picture. Raises SaccadeError "bad-annotations" for a damaged file."""
    finder = Finder(tree)
    parts = _image_sets(tree)
    pictures, lost = [], []
    files = _files(tree)
    for key in files:
        root = _parse(tree.load(key), key)
        if root.tag != "annotation":
            continue
        name = posixpath.splitext(posixpath.basename(key))[0]
        picture = _picture(root, name, key, finder)
        if picture is None:
            lost.append(key)
            continue
        pictures.append(
            Annotated(
                key=picture,
                objects=tuple(
                    _drawn(item, place) for place, item in enumerate(root.iter("object"), 1)
                ),
                split=parts.get(name) if parts else part_of_folder(key),
                size=_size(root),
            )
        )
    used = [picture.key for picture in pictures]
    found = Boxes(
        pictures=pictures,
        reading=Reading("xyxy"),
        classes=_listed(tree, pictures),
        reason=f"{len(pictures)} pictures have a Pascal VOC file (XML)",
        notices=[
            *missing(tree, lost, len(files)),
            *unlisted(tree, used, "have no XML file"),
        ],
    )
    return build(tree, found, task)


def _parse(data: bytes, key: str) -> ElementTree.Element:
    if b"<!ENTITY" in data:
        raise _bad(key, "declares entities, which no annotation needs")
    try:
        return ElementTree.fromstring(data)  # noqa: S314 - entities are refused above
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise _bad(key, f"is no whole XML: {error}") from error


def _bad(key: str, reason: str) -> SaccadeError:
    return SaccadeError(f"{printable(key)}: {reason}", name="bad-annotations", files=[key])


def _picture(root: ElementTree.Element, name: str, key: str, finder: Finder) -> str | None:
    """By the XML file's own name, as exports often keep an old one inside; else by <filename>."""
    part = part_of_folder(key)
    inside = (root.findtext("filename") or "").strip()
    if posixpath.splitext(inside)[0] == name:
        name = inside
    found = finder.find(name, near=key, part=part)
    return finder.find(inside, near=key, part=part) if found is None and inside else found


def _size(root: ElementTree.Element) -> tuple[float, float] | None:
    """Width and height as stated; tools that do not know them write 0."""
    width, height = (_number(root.findtext(f"size/{side}")) for side in ("width", "height"))
    return (width, height) if width > 0 and height > 0 else None


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


def _drawn(item: ElementTree.Element, place: int) -> Drawn:
    x1, y1, x2, y2 = (_number(item.findtext(f"bndbox/{name}")) for name in CORNERS)
    label = (item.findtext("name") or "").strip() or None
    return Drawn((x1, y1, x2, y2), label, f"object {place}")


def _image_sets(tree: Tree) -> dict[str, Split]:
    """Name of a picture -> its part; trainval counts where there is no train.

    Of several folders of lists Main counts, which are those of boxes.
    """
    lists: dict[Split, list[str]] = {}
    whole: list[str] = []
    texts = [key for key in tree.files if suffix(key) == ".txt"]
    keys = [key for key in texts if "imagesets" in posixpath.dirname(key).casefold().split("/")]
    main = [key for key in keys if posixpath.basename(posixpath.dirname(key)).casefold() == "main"]
    for key in main or keys:
        stem = posixpath.splitext(posixpath.basename(key))[0].casefold()
        words = tree.load(key).decode("utf-8-sig", "replace").splitlines()
        names = [line.split()[0] for line in words if line.strip()]
        if stem in PARTS:
            lists.setdefault(PARTS[stem], []).extend(names)
        elif stem == "trainval":
            whole = names
    if whole and "train" not in lists:
        held = {name for names in lists.values() for name in names}
        lists["train"] = [name for name in whole if name not in held]
    return {name: part for part, names in lists.items() for name in names}


def _listed(tree: Tree, pictures: list[Annotated]) -> tuple[str, ...] | None:
    """The order of classes.txt where it names every class."""
    names = class_names(tree)
    seen = {item.label for picture in pictures for item in picture.objects} - {None}
    return names if names is not None and seen <= set(names) else None
