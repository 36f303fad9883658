"""A data set: examples, the names of their classes, and where their pictures lie."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from saccade.errors import SaccadeError
from saccade.protocols import Source
from saccade.types import Example, Field, Notice, Split

_NUMBER = re.compile(r"-?\d+(\.\d+)?")

PARTS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "dev",
    "valid": "dev",
    "validation": "dev",
    "dev": "dev",
    "test": "test",
    "testing": "test",
}
"""What people call the parts of their data, in lower case -> what we call them."""


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Examples of one data set, in a fixed order (that of their keys or of the user's table).

    name      short, shown to the user;  root: where its keys start
    origin    what it was opened from, so that it can be opened again; "" for a user's own object
    fields    annotations; class names come from the training part and never change by selection
    source    loads the picture of `Example.key`
    notices   what the reader found worth saying
    tasks     every task that fits, best first;  reason: why the first one does, one sentence
    """

    name: str
    root: str
    examples: tuple[Example, ...]
    fields: tuple[Field, ...]
    source: Source
    notices: tuple[Notice, ...] = ()
    tasks: tuple[str, ...] = ()
    reason: str = ""
    origin: str = ""

    def __len__(self) -> int:
        return len(self.examples)

    def select(self, rows: Iterable[int]) -> Dataset:
        """The examples of `rows`, in that order; class table and all else unchanged."""
        return replace(self, examples=tuple(self.examples[row] for row in rows))

    def parts(self) -> dict[str, int]:
        """Examples in each part that the user's own files name; the unassigned are not counted."""
        counts = Counter(example.split for example in self.examples)
        return {part: counts[part] for part in ("train", "dev", "test") if counts[part]}


def ordered(names: Iterable[str]) -> tuple[str, ...]:
    """Class names in index order: all numbers by value, anything else by code point."""
    unique = set(names)
    if all(_NUMBER.fullmatch(name) for name in unique):
        return tuple(sorted(unique, key=lambda name: (float(name), name)))
    return tuple(sorted(unique))


def learned(examples: Sequence[Example]) -> list[Example]:
    """The examples whose labels may name classes: the training part, else all there is."""
    training = [example for example in examples if example.split in (None, "train")]
    return training or list(examples)


def class_table(examples: Sequence[Example], name: str) -> tuple[str, ...]:
    """Class names of field `name` (of kind label or labels), from the training part.

    Raises SaccadeError "unknown-class" where another part holds a class that training lacks, and
    "no-labels" where no training example has one.
    """
    known: set[str] = set()
    for example in learned(examples):
        known.update(_names(example, name))
    if not known:
        raise SaccadeError(
            f"field {name!r}: not one training example has a label, so there is nothing to learn",
            name="no-labels",
        )
    strangers: dict[str, list[Example]] = {}
    for example in examples:
        for label in _names(example, name):
            if label not in known:
                strangers.setdefault(label, []).append(example)
    if strangers:
        raise _unknown_class(strangers, known)
    return ordered(known)


def _names(example: Example, name: str) -> Iterable[str]:
    target = example.target.get(name)
    if target is None:
        return ()
    return (target,) if isinstance(target, str) else target


def _unknown_class(strangers: dict[str, list[Example]], known: set[str]) -> SaccadeError:
    label, examples = next(iter(sorted(strangers.items())))
    twin = next((name for name in sorted(known) if twin_key(name) == twin_key(label)), None)
    hint = (
        f"training has {twin!r}: give both the same spelling"
        if twin is not None
        else "add training examples of it or take it out of that part"
    )
    more = f" (and {len(strangers) - 1} more such classes)" if len(strangers) > 1 else ""
    return SaccadeError(
        f"class {label!r}{more} is in the {examples[0].split} part, {len(examples)} examples, "
        f"but not in training; {hint}",
        name="unknown-class",
        files=[example.key for example in examples[:20]],
    )


def twin_key(name: str) -> str:
    """Equal for names that a person would take for one: "Cat", "cat " and "CAT"."""
    return " ".join(name.casefold().split())


def class_notices(examples: Sequence[Example], field: Field) -> list[Notice]:
    """Twins among the class names, classes that a given part lacks, a class that is alone."""
    notices = [*_twins(field.classes), *_absent(examples, field)]
    if field.kind == "label" and len(field.classes) == 1:
        message = f"every example is of class {field.classes[0]!r}: there is nothing to tell apart"
        notices.append(Notice(name="single-class", severity="warning", message=message))
    return notices


def _twins(classes: Sequence[str]) -> list[Notice]:
    by_key: dict[str, list[str]] = {}
    for name in classes:
        by_key.setdefault(twin_key(name), []).append(name)
    return [
        Notice(
            name="case-twins",
            severity="warning",
            message=f"classes {', '.join(map(repr, names))} differ only in case or spaces; they "
            "are kept apart: rename one if they mean the same",
            files=tuple(names),
        )
        for names in by_key.values()
        if len(names) > 1
    ]


def _absent(examples: Sequence[Example], field: Field) -> list[Notice]:
    present: dict[str, set[str]] = {}
    for example in examples:
        if example.split in ("dev", "test"):
            present.setdefault(example.split, set()).update(_names(example, field.name))
    notices = []
    for part, names in sorted(present.items()):
        missing = [name for name in field.classes if name not in names]
        if missing:
            shown = ", ".join(map(repr, missing[:10])) + (" ..." if len(missing) > 10 else "")
            notices.append(
                Notice(
                    name="class-missing-in-part",
                    severity="info",
                    message=f"the {part} part has no example of {shown}; "
                    "nothing can be measured for it there",
                    files=tuple(missing),
                )
            )
    return notices


def choose_task(task: str | None, fitting: Sequence[str], where: str) -> str:
    """The asked-for task, or the best fitting one; SaccadeError where it does not fit."""
    if task is None:
        return fitting[0]
    if task not in fitting:
        raise SaccadeError(
            f"{where}: the task {task!r} does not fit these annotations; "
            f"fitting: {', '.join(fitting)}",
            name="task-does-not-fit",
        )
    return task
