"""Class folders: CLASS/picture, or PART/CLASS/picture with parts such as train, val and test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from saccade.data.dataset import (
    PARTS,
    Dataset,
    choose_task,
    class_notices,
    class_table,
    twin_key,
)
from saccade.data.headers import sniff as sniff_picture
from saccade.data.tree import Tree, children, is_picture_name, shown, suffix
from saccade.errors import SaccadeError
from saccade.types import Example, Field, Notice, Split

_PICTURE_FOLDERS = frozenset({"images", "image", "imgs", "img", "jpegimages"})
_ANSWERS = (
    "masks mask labels label annotations gt groundtruth segmentationclass segmentationobject "
    "semantic_masks polygon_labels"
)
_ANSWER_FOLDERS = frozenset(_ANSWERS.split())
_OTHERS = (
    ".txt .md .csv .tsv .json .xml .yaml .yml .zip .gz .tar .rar .7z .npy .npz .py .ipynb .html "
    ".pdf .doc .docx .xls .xlsx .db .ini .log .mp4 .mov .avi .wav .mp3 .pt .pth .lnk .url"
)
_KNOWN_OTHERS = frozenset(_OTHERS.split())


SOURCES = 8
"""Folders below each class that can be meant as sources."""


@dataclass(frozen=True)
class Layout:
    """How the folders are meant. base: folder that the class or part folders lie in ("" = root).

    parts    folder name -> part, empty where there are no part folders
    unused   folders beside the part folders
    score    2 plain, 1 possible, 0 these are no class folders
    """

    base: str
    parts: dict[str, Split]
    unused: tuple[str, ...]
    score: int


def sniff(tree: Tree) -> int:
    """2 for plain class folders, 1 where they could be meant, 0 where they are not."""
    return layout(tree).score


def layout(tree: Tree) -> Layout:
    """Find the class folders below any wrapping folders."""
    pictures = [key.split("/") for key in tree.files if is_picture_name(key)]
    depth, base = 0, ""
    while True:
        tops = {parts[depth] for parts in pictures if len(parts) > depth + 1}
        loose = any(len(parts) == depth + 1 for parts in pictures)
        if len(tops) != 1 or loose:
            break
        (top,) = tops
        nested = all(len(parts) > depth + 2 for parts in pictures)
        if not nested or top.casefold() in PARTS or _has_empty_sibling(tree, base, top):
            break
        base, depth = f"{base}/{top}" if base else top, depth + 1
    below: dict[str, set[str | None]] = {top: set() for top in tops}
    for parts in pictures:
        if len(parts) > depth + 1:
            below[parts[depth]].add(parts[depth + 1] if len(parts) > depth + 2 else None)
    return _interpret(base, below)


def _has_empty_sibling(tree: Tree, base: str, top: str) -> bool:
    """An empty folder beside the only one with pictures: both were meant as classes."""
    if top.casefold() in _PICTURE_FOLDERS:
        return False
    prefix = f"{base}/" if base else ""
    filled = {key[len(prefix) :].split("/")[0] for key in tree.files if key.startswith(prefix)}
    return any(name not in filled for name in children(tree.folders, base))


def _interpret(base: str, below: dict[str, set[str | None]]) -> Layout:
    """below: folder -> names of its folders with pictures, None among them for direct pictures."""
    parts = {name: PARTS[name.casefold()] for name in below if name.casefold() in PARTS}
    nested = {name for name in parts if below[name] - {None}}
    others = sorted(set(below) - set(parts))
    if parts and not others:
        score = 2 if nested else 0
        return Layout(base, parts, (), score if not base else min(score, 1))
    if len(set(parts.values())) > 1 and len(nested) > 1 and "train" in parts.values():
        shared = set.intersection(*(below[name] - {None} for name in nested))
        if shared:  # the same classes in several parts: the folders beside them are no classes
            return Layout(base, parts, tuple(others), 2)
    if "train" in {parts[name] for name in nested} and not any(below[n] - {None} for n in others):
        inner = set.union(*(below[name] - {None} for name in nested))
        if len(inner) > 1:  # pictures without classes beside them, as competitions give them
            return Layout(base, parts, tuple(others), 2)
    names = {name.casefold() for name in below}
    lone = len(names) == 1 and names <= _PICTURE_FOLDERS  # pictures side by side, no class
    if not below or lone or (names & _PICTURE_FOLDERS and names & _ANSWER_FOLDERS):
        return Layout(base, {}, (), 0)
    odd = base or names & (_PICTURE_FOLDERS | _ANSWER_FOLDERS) or parts
    return Layout(base, {}, (), 1 if odd else 2)


def read(tree: Tree, task: str | None = None) -> Dataset:
    """Classification from class folders; pictures in folders below a class folder count.

    Class names are the folder names, letter for letter. Raises SaccadeError "unknown-class" for a
    class of another part that training lacks, "task-does-not-fit" for another task.
    """
    found = layout(tree)
    tasks = ("classification",)
    choose_task(task, tasks, tree.root)
    examples: list[Example] = []
    loose: list[str] = []
    others: list[str] = []
    prefix = f"{found.base}/" if found.base else ""
    for key in tree.files:
        place = _place(key, prefix, found)
        if place is None:
            loose.append(key)
        elif is_picture_name(key) or _is_picture(tree, key):
            examples.append(Example(key=key, target={"label": place[1]}, split=place[0]))
        else:
            others.append(key)
    _require_classes(tree, examples)
    examples = _with_sources(examples, prefix, found)
    field = Field(name="label", kind="label", classes=class_table(examples, "label"))
    notices = [
        *tree.notices,
        *_loose_notices(loose, others, found),
        *_folder_notices(tree, found, examples),
        *class_notices(examples, field),
        *_nested_parts(examples, found, prefix),
    ]
    return Dataset(
        name=tree.name,
        root=tree.root,
        examples=tuple(examples),
        fields=(field,),
        source=tree,
        notices=tuple(notices),
        tasks=tasks,
        reason=_reason(found, field),
    )


def _with_sources(examples: list[Example], prefix: str, found: Layout) -> list[Example]:
    """CLASS/SOURCE/picture: where every class has the same few folders, they tell the source."""
    inner = []
    for example in examples:
        names = example.key.removeprefix(prefix).split("/")
        start = 2 if found.parts and names[0] in found.parts else 1
        inner.append(names[start] if len(names) == start + 2 else None)
    pairs = {(example.target["label"], name) for example, name in zip(examples, inner, strict=True)}
    names_of: dict[str, set[str | None]] = {}
    for label, name in pairs:
        names_of.setdefault(label, set()).add(name)
    sources = set.union(*names_of.values())
    classes = [sum(name in own for own in names_of.values()) for name in sources]
    if None in sources or not 2 <= len(sources) <= SOURCES or min(classes) < 2:
        return examples
    return [replace(each, source=name) for each, name in zip(examples, inner, strict=True)]


def _place(key: str, prefix: str, found: Layout) -> tuple[Split | None, str] | None:
    """Part and class of a file, None where it lies outside the class folders."""
    if not key.startswith(prefix):
        return None
    names = key[len(prefix) :].split("/")
    if not found.parts:
        return (None, names[0]) if len(names) > 1 else None
    if len(names) < 3 or names[0] not in found.parts:
        return None
    return found.parts[names[0]], names[1]


def _is_picture(tree: Tree, key: str) -> bool:
    """A file without a known ending is a picture where its first bytes say so."""
    if suffix(key) in _KNOWN_OTHERS:
        return False
    try:
        return sniff_picture(tree.head(key, 32)) is not None
    except SaccadeError:
        return False


def _require_classes(tree: Tree, examples: list[Example]) -> None:
    if not examples:
        raise SaccadeError(
            f"{tree.root}: no picture lies in a class folder; expected CLASS/picture.jpg or "
            "train/CLASS/picture.jpg",
            name="no-pictures",
            files=[tree.root],
        )


def _reason(found: Layout, field: Field) -> str:
    where = f" in {found.base}/" if found.base else ""
    parts = f", in the parts {', '.join(sorted(found.parts))}" if found.parts else ""
    return f"each picture lies in one of {len(field.classes)} class folders{where}{parts}"


def _loose_notices(loose: list[str], others: list[str], found: Layout) -> Iterable[Notice]:
    unlabelled = [key for key in loose if is_picture_name(key)]
    strangers = [key for key in loose if not is_picture_name(key)]
    if unlabelled:
        beside = f" (also below {', '.join(found.unused)})" if found.unused else ""
        yield Notice(
            name="picture-without-class",
            severity="warning",
            message=f"{len(unlabelled)} pictures lie outside the class folders{beside} and are "
            f"left out: {shown(unlabelled)}",
            files=tuple(unlabelled),
        )
    if strangers or others:
        files = [*strangers, *others]
        yield Notice(
            name="loose-file",
            severity="info",
            message=f"{len(files)} files are no pictures and are left out: {shown(files)}",
            files=tuple(files),
        )


def _folder_notices(tree: Tree, found: Layout, examples: list[Example]) -> Iterable[Notice]:
    """Class folders without a picture, which are no classes."""
    parents = [f"{found.base}/{part}".strip("/") for part in found.parts] or [found.base]
    used = {_class_folder(example.key, found) for example in examples}
    empty = [
        f"{parent}/{name}".strip("/")
        for parent in parents
        for name in children(tree.folders, parent)
        if f"{parent}/{name}".strip("/") not in used
        and name not in found.unused
        and not (parent == found.base and name in found.parts)
    ]
    if empty:
        yield Notice(
            name="empty-class",
            severity="warning",
            message=f"{len(empty)} class folders hold no picture and are no classes: "
            + shown(empty),
            files=tuple(empty),
        )


def _class_folder(key: str, found: Layout) -> str:
    depth = (found.base.count("/") + 1 if found.base else 0) + (2 if found.parts else 1)
    return "/".join(key.split("/")[:depth])


def _nested_parts(examples: list[Example], found: Layout, prefix: str) -> Iterable[Notice]:
    """CLASS/train/picture: parts below the classes are not understood as parts."""
    if found.parts:
        return
    below = Counter(
        names[1]
        for names in (example.key[len(prefix) :].split("/") for example in examples)
        if len(names) > 2
    )
    parts = [name for name in below if twin_key(name) in PARTS]
    if parts:
        yield Notice(
            name="part-below-class",
            severity="warning",
            message=f"folders {shown(parts)} lie below class folders and are not taken for parts; "
            "put the classes below them (train/CLASS/) if they are meant so",
            files=tuple(parts),
        )
