"""Pictures and masks side by side: images/1.jpg with masks/1.png, in many people's folders."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import yaml

from saccade.data.dataset import PARTS, Dataset, choose_task
from saccade.data.masks import Coding, MaskFiles, find_coding
from saccade.data.read import indices
from saccade.data.tree import Tree, is_picture_name, shown, suffix
from saccade.errors import SaccadeError
from saccade.types import Example, Field, Notice, Split

Role = Literal["picture", "mask"]

_PICTURES = "images image imgs img jpegimages inputs input pictures photos raw tiles patches"
_MASKS = (
    "masks mask labels label annotations annotation annots annot gt gts groundtruth ground_truth "
    "segmentation segmentations segmentationclass segmentationclassraw segmentation_masks "
    "semantic_masks semantic_labels targets target labelids"
)
_ROLES: dict[str, Role] = {
    **dict.fromkeys(_PICTURES.split(), "picture"),
    **dict.fromkeys(_MASKS.split(), "mask"),
}
_MASK_ENDS = re.compile(
    r"[_-](masks?|labels?|gt|seg|segmentation|annotation|p|l|labelids|manual1)$", re.IGNORECASE
)
_NAME_FILES = ("classes", "names", "codes", "class_names", "label_names", "labels", "labelmap")
_INFO_FILES = ("data.yaml", "data.yml", "dataset.yaml", "dataset_info.json", "classes.json")
_MOST_SCANNED = 2000
"""Masks whose numbers are looked through at once to learn which classes there are."""


@dataclass(frozen=True)
class Place:
    """Where a picture file lies: its part, whether it is a mask, and what it has in common."""

    key: str
    part: Split | None
    role: Role | None
    rest: tuple[str, ...]
    stem: str


@dataclass
class Found:
    """Pictures with their masks, by key; and what has no partner."""

    pairs: list[tuple[Place, Place]] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)
    masks: list[str] = field(default_factory=list)


def sniff(tree: Tree) -> int:
    """3 where most masks have a picture of the same name and hold one number per pixel."""
    found = find_pairs(tree)
    if not found.pairs or len(found.pairs) < len(found.masks):
        return 0
    try:
        indices(tree.load(found.pairs[0][1].key))
    except SaccadeError:
        return 1
    return 3


def read(tree: Tree, task: str | None = None) -> Dataset:
    """Segmentation from pictures and masks of the same name.

    Class names come from classes.txt, names.txt, codes.txt, data.yaml and the like. Raises
    SaccadeError where masks cannot be read as numbers.
    """
    choose_task(task, ("segmentation",), tree.root)
    found = find_pairs(tree)
    masks = [mask.key for _, mask in found.pairs]
    names, origin = _names(tree, masks[0])
    numbers, mode = _numbers(tree, masks)
    coding = find_coding(frozenset().union(*numbers.values()), mode, names)
    if len(coding.classes) < 2:
        raise SaccadeError(
            f"{tree.root}: every pixel of {len(masks)} masks is the same "
            f"({', '.join(coding.classes) or 'ignored'}); there is nothing to tell apart",
            name="single-class",
            files=[tree.root],
        )
    examples = [
        Example(key=picture.key, target={"mask": mask.key}, split=picture.part)
        for picture, mask in found.pairs
    ]
    return Dataset(
        name=tree.name,
        root=tree.root,
        examples=tuple(sorted(examples, key=lambda example: example.key)),
        fields=(Field(name="mask", kind="mask", classes=coding.classes),),
        source=MaskFiles(tree, coding, numbers),
        notices=(*tree.notices, *_notices(found, coding, origin)),
        tasks=("segmentation",),
        reason=f"{len(found.pairs)} pictures have a mask of the same name with "
        + _meaning(coding, origin),
    )


def find_pairs(tree: Tree) -> Found:
    """Every picture file with its mask: same part, same folders but for their roles, same name."""
    places = [_place(key) for key in tree.files if is_picture_name(key)]
    masks = [place for place in places if place.role == "mask"]
    exact = {(place.part, place.rest, place.stem): place for place in masks}
    short = {(place.part, place.rest, _MASK_ENDS.sub("", place.stem)): place for place in masks}
    found = Found()
    used: set[str] = set()
    for place in places:
        if place.role == "mask":
            continue
        own = (place.part, place.rest, place.stem)
        mask = exact.get(own) or short.get(own)
        if mask is None:
            found.pictures.append(place.key)
        else:
            found.pairs.append((place, mask))
            used.add(mask.key)
    found.masks = [place.key for place in masks if place.key not in used]
    return found


def _place(key: str) -> Place:
    *folders, name = key.split("/")
    stem = name[: name.rfind(".")] if "." in name else name
    part: Split | None = None
    role: Role | None = None
    rest = []
    for folder in folders:
        own_part, own_role = _folder(folder)
        part, role = own_part or part, own_role or role
        if own_part is None and own_role is None:
            rest.append(folder)
    if role != "mask" and re.search(r"[_-](mask|masks|gt|label|labels)$", stem, re.IGNORECASE):
        role = "mask"
    return Place(key, part, role, tuple(rest), stem)


def _folder(name: str) -> tuple[Split | None, Role | None]:
    """Part and role that a folder's name tells: "train", "masks", "trainannot", "val_images"."""
    plain = name.casefold()
    if plain in _ROLES:
        return None, _ROLES[plain]
    for word, part in sorted(PARTS.items(), key=lambda item: -len(item[0])):
        for other in (plain.removeprefix(word), plain.removesuffix(word)):
            left = other.strip("_- ")
            if other != plain and (not left or left in _ROLES):
                return part, _ROLES.get(left)
    return None, None


def _names(tree: Tree, mask: str) -> tuple[Mapping[int, str] | Sequence[str] | None, str]:
    """Class names and the file they come from; None, "" where there is none."""
    folder = mask.rpartition("/")[0].casefold()
    words = set(re.split(r"[/_\- ]+", folder))

    def rank(key: str) -> tuple[int, int, str] | None:
        name = key.rpartition("/")[2].casefold()
        stem = name.removesuffix(".txt")
        if name in _INFO_FILES:
            return (2, _INFO_FILES.index(name), key)
        if not name.endswith(".txt"):
            return None
        for place, known in enumerate(_NAME_FILES):
            if stem == known:
                return (1, place, key)
            if stem.startswith(known + "_") and words & set(stem.split("_")[1:]):
                return (0, place, key)
        return None

    ranked = sorted((order, key) for key in tree.files if (order := rank(key)) is not None)
    for _, key in ranked:
        names = _parsed(key, tree.load(key))
        if names:
            return names, key
    return None, ""


def _parsed(key: str, data: bytes) -> Mapping[int, str] | Sequence[str] | None:
    text = data.decode("utf-8-sig", "replace")
    if suffix(key) == ".txt":
        return _lines([line.strip() for line in text.splitlines() if line.strip()])
    try:
        values = json.loads(text) if suffix(key) == ".json" else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        raise SaccadeError(
            f"{key}: cannot be read ({error}); expected the names of the classes",
            name="bad-names",
            files=[key],
        ) from error
    for name in ("names", "classes", "id2label", "labels"):
        if isinstance(values, dict) and name in values:
            return _listed(values[name])
    return _listed(values) if isinstance(values, list) else None


def _listed(names: Any) -> Mapping[int, str] | Sequence[str] | None:
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        return names
    if isinstance(names, dict) and all(str(number).isdecimal() for number in names):
        return {int(number): str(name) for number, name in names.items()}
    return None


def _lines(lines: list[str]) -> Mapping[int, str] | Sequence[str] | None:
    """One name a line, with or without its number before it ("0 sky", "0: sky", "0,sky")."""
    numbered = [re.fullmatch(r"(\d+)\s*[:,;\t ]\s*(\S.*)", line) for line in lines]
    if lines and all(numbered):
        return {int(match[1]): match[2].strip() for match in numbered if match}
    return lines or None


def _numbers(tree: Tree, masks: Sequence[str]) -> tuple[dict[str, frozenset[int]], str]:
    """Look through the masks: the numbers that each holds, and the mode of the files."""
    step = max(1, len(masks) // _MOST_SCANNED)
    numbers: dict[str, frozenset[int]] = {}
    modes: set[str] = set()
    fault: SaccadeError | None = None
    for key in masks[::step]:
        try:
            array, mode = indices(tree.load(key))
        except SaccadeError as error:
            fault = fault or error
            continue  # named with all others when masks become numbers
        modes.add(mode)
        numbers[key] = frozenset(np.flatnonzero(np.bincount(array.ravel())).tolist())
    if fault is not None and not modes:
        raise SaccadeError(
            f"{shown(masks[::step])}: {fault.message}; no mask can be read",
            name=fault.name,
            files=list(masks[::step]),
        ) from fault
    return numbers, "P" if "P" in modes else min(modes)


def _meaning(coding: Coding, origin: str) -> str:
    if coding.instances:
        return "one number per thing, read as background and foreground"
    shown_names = ", ".join(coding.classes[:6]) + (" ..." if len(coding.classes) > 6 else "")
    return f"{len(coding.classes)} classes ({shown_names})" + (f" of {origin}" if origin else "")


def _notices(found: Found, coding: Coding, origin: str) -> Iterator[Notice]:
    yield from _lonely("picture-without-mask", found.pictures, "pictures have no mask")
    yield from _lonely("mask-without-picture", found.masks, "masks have no picture")
    ignored = [number for number, index in coding.table.items() if index < 0]
    if ignored and origin:
        told = ", ".join(map(str, ignored))
        message = f"pixels of {told} are ignored: they teach nothing and are not scored ({origin})"
        yield Notice(name="ignored-index", severity="info", message=message)


def _lonely(name: str, keys: Iterable[str], what: str) -> Iterator[Notice]:
    files = tuple(keys)
    if files:
        message = f"{len(files)} {what} of the same name and are left out: {shown(files)}"
        yield Notice(name=name, severity="warning", message=message, files=files)
