"""What the columns of a table mean: classes, sets of classes, numbers, or several of these."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from saccade.data.dataset import choose_task
from saccade.data.formats.rows import bad
from saccade.data.tree import shown
from saccade.types import FieldKind, Notice

LABELS = frozenset({"label", "labels", "class", "classes", "category", "categories", "tag", "tags"})
_PLURAL = frozenset({"labels", "classes", "categories", "tags"})
_KEPT_BESIDE = (
    "id index width height depth channels url md5 sha1 sha256 comment comments note notes date "
    "time timestamp license licence"
)
_BOOKKEEPING = frozenset({*_KEPT_BESIDE.split(), "", "unnamed: 0"})
_YES = frozenset({"1", "1.0", "true", "yes"})
_NO = frozenset({"0", "0.0", "false", "no"})
_MISSING = frozenset({"", "nan", "na", "n/a", "null", "none"})
_INTEGER = re.compile(r"[+-]?\d+")

FEW = 20
"""Distinct whole numbers that are taken for class ids even where each is rare."""


@dataclass(frozen=True)
class Column:
    """One column. cells: as written; lines: of each cell; comma: decimal commas are possible."""

    name: str
    cells: Sequence[str]
    lines: Sequence[int]
    comma: bool = False

    @cached_property
    def filled(self) -> list[str]:
        return [cell for cell in self.cells if cell.strip()]

    @cached_property
    def numbers(self) -> list[float | None] | None:
        """Each cell as a number, None where it is missing; None where one is no number."""
        values = [_number(cell, self.comma) for cell in self.cells]
        if any(value == math.inf for value in values) or all(value is None for value in values):
            return None
        return values

    @cached_property
    def binary(self) -> bool:
        """Nothing but yes and no, blanks aside; -1 and 1 count where no 0 is."""
        found = {cell.strip().casefold() for cell in self.filled}
        return bool(found) and (found <= (_YES | _NO) or found in ({"1", "-1"}, {"1.0", "-1.0"}))

    @cached_property
    def only_yes(self) -> bool:
        """Blanks mean no, as nothing else says no."""
        return {cell.strip().casefold() for cell in self.filled} <= _YES

    @cached_property
    def several(self) -> bool:
        """Cells with more than one class."""
        return any("|" in cell for cell in self.cells)

    @cached_property
    def ids(self) -> bool:
        """Whole numbers few enough to be class ids."""
        values = [value for value in self.numbers or () if value is not None]
        whole = bool(values) and all(value.is_integer() for value in values)
        return whole and len(set(values)) <= max(FEW, len(values) // 2)

    @cached_property
    def numeric(self) -> bool:
        """Numbers to be predicted, not ids of classes."""
        return self.numbers is not None and (self.kind == "values" or not self.called_label)

    @property
    def called_label(self) -> bool:
        return self.name.casefold() in LABELS

    @cached_property
    def kind(self) -> FieldKind:
        """As a field of its own."""
        if self.several:
            return "labels"
        if self.numbers is None or self.binary or (self.called_label and self.ids):
            return "label"
        return "values"

    def classes(self) -> list[str | None]:
        """Each cell's class; 3.0 is class 3 where all cells are whole numbers."""
        whole = self.ids and not all(_INTEGER.fullmatch(cell.strip()) for cell in self.filled)
        if whole:
            return [None if value is None else str(int(value)) for value in self.numbers or ()]
        return [cell if cell.strip() else None for cell in self.cells]

    def sets(self) -> list[list[str] | None]:
        """Each cell's classes, None where it is blank."""
        split = [[part.strip() for part in cell.split("|") if part.strip()] for cell in self.cells]
        return [list(dict.fromkeys(names)) or None for names in split]

    def flags(self) -> list[bool | None]:
        blank = False if self.only_yes else None
        return [
            blank if not cell.strip() else cell.strip().casefold() in _YES for cell in self.cells
        ]


@dataclass(frozen=True)
class Annotation:
    """A field before its class table. values: one per row, None where missing.

    columns: class or target names where the columns name them, else empty.
    """

    name: str
    kind: FieldKind
    values: Sequence[Any]
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Meaning:
    """annotations, every fitting task best first, the reason for the best, notices."""

    annotations: list[Annotation]
    tasks: tuple[str, ...]
    reason: str
    notices: list[Notice]


def interpret(columns: Sequence[Column], task: str | None, where: str) -> Meaning:
    """What there is to learn. Raises SaccadeError where nothing is, or `task` does not fit."""
    used, notices = _usable(columns)
    for column in used:
        _check_numbers(column, where)
    if not used:
        raise bad(where, "has no column to learn from; expected label, labels or target columns")
    tasks, reason = _tasks(used)
    chosen = choose_task(task, tasks, where)
    if chosen != tasks[0]:
        reason = f"the task {chosen} was asked for"
    return Meaning(_annotations(chosen, used, where), tasks, reason, notices)


def _usable(columns: Sequence[Column]) -> tuple[list[Column], list[Notice]]:
    """The columns that can be learned; bookkeeping, free text and constants are left out."""
    filled = [column for column in columns if column.filled]
    kept = [column for column in filled if column.name.casefold() not in _BOOKKEEPING]
    if not kept:
        kept = [column for column in filled if column.name]
    if len(kept) > 1:
        kept = [column for column in kept if column.called_label or not _idle(column)] or kept
    dropped = [column.name or "(no name)" for column in columns if column not in kept]
    message = f"columns {shown(dropped)} are not learned: bookkeeping, free text, constant or empty"
    notice = Notice(name="ignored-column", severity="info", message=message, files=tuple(dropped))
    return kept, [notice] if dropped else []


def _check_numbers(column: Column, where: str) -> None:
    """A column of numbers with a slip in it is not meant as hundreds of classes."""
    if column.numbers is not None or column.binary or column.several or column.called_label:
        return
    slips = [
        (line, cell)
        for line, cell in zip(column.lines, column.cells, strict=True)
        if _number(cell, column.comma) == math.inf
    ]
    if len(slips) * 10 <= len(column.filled):
        line, cell = slips[0]
        raise bad(
            where,
            f"line {line}: column {column.name!r} holds {cell!r} among numbers "
            f"({len(slips)} such cells); expected a finite number or an empty cell",
        )


def _idle(column: Column) -> bool:
    """Text that nearly never repeats, or always says the same."""
    if column.numbers is not None or column.binary or column.several:
        return False
    distinct, filled = len(set(column.filled)), len(column.filled)
    return distinct == 1 or distinct > max(FEW, filled // 2) or distinct == filled > FEW // 2


def _tasks(columns: Sequence[Column]) -> tuple[tuple[str, ...], str]:
    if len(columns) == 1:
        return _single_tasks(columns[0])
    labelled = [column for column in columns if column.called_label]
    names = shown([column.name for column in columns])
    gaps = any(None in column.flags() for column in columns if column.binary)
    if not labelled and all(column.binary for column in columns) and not gaps:
        one_hot = all(sum(map(bool, row)) == 1 for row in _across(columns))
        also = ("classification",) if one_hot else ()
        return ("multilabel", *also), f"the {len(columns)} columns {names} hold 0 and 1"
    if all(column.numeric for column in columns) and not all(column.binary for column in columns):
        return ("regression", "multitask"), f"the {len(columns)} columns {names} hold numbers"
    alone = _single_tasks(labelled[0])[0][:1] if len(labelled) == 1 else ()
    return ("multitask", *alone), f"the {len(columns)} columns {names} are one head each"


def _across(columns: Sequence[Column]) -> list[tuple[bool | None, ...]]:
    return list(zip(*(column.flags() for column in columns), strict=True))


def _single_tasks(column: Column) -> tuple[tuple[str, ...], str]:
    name = repr(column.name)
    if column.several:
        return ("multilabel",), f"column {name} holds several classes joined by |"
    if column.numbers is None:
        also = ("multilabel",) if column.name.casefold() in _PLURAL else ()
        return ("classification", *also), f"column {name} holds one class for each picture"
    if column.kind == "label":
        return ("classification", "regression"), f"column {name} holds few whole numbers, as ids do"
    also = ("classification",) if column.ids else ()
    return ("regression", *also), f"column {name} holds numbers"


def _annotations(task: str, columns: Sequence[Column], where: str) -> list[Annotation]:
    labelled = [column for column in columns if column.called_label]
    column = labelled[0] if labelled else columns[0]
    if task == "multitask":
        return [_head(column, where) for column in columns]
    if task == "regression":
        rows = zip(*(_finite(column, where) for column in columns), strict=True)
        values = [None if all(value is None for value in row) else list(row) for row in rows]
        return [Annotation("values", "values", values, tuple(column.name for column in columns))]
    if task == "multilabel" and not labelled and len(columns) > 1:
        names = tuple(column.name for column in columns)
        sets = [
            [name for name, yes in zip(names, row, strict=True) if yes] for row in _across(columns)
        ]
        return [Annotation("labels", "labels", sets, names)]
    if task == "multilabel":
        return [Annotation("labels", "labels", [names or [] for names in column.sets()])]
    if not labelled and len(columns) > 1:
        hot = [columns[row.index(True)].name for row in _across(columns)]
        return [Annotation("label", "label", hot)]
    return [Annotation("label", "label", column.classes())]


def _head(column: Column, where: str) -> Annotation:
    if column.kind == "values":
        values = [None if value is None else [value] for value in _finite(column, where)]
        return Annotation(column.name, "values", values, (column.name,))
    if column.kind == "labels":
        return Annotation(column.name, "labels", column.sets())
    return Annotation(column.name, "label", column.classes())


def _finite(column: Column, where: str) -> list[float | None]:
    values = column.numbers
    if values is None:
        raise bad(where, f"column {column.name!r} holds text among its numbers")
    return values


def _number(cell: str, comma: bool) -> float | None:
    """A finite number, None where it is missing, infinity where it is anything else."""
    text = cell.strip()
    if text.casefold() in _MISSING:
        return None
    if comma and "," in text and "." not in text:
        text = text.replace(",", ".")
    try:
        value = float(text)
    except ValueError:
        return math.inf
    return value if math.isfinite(value) and "_" not in text else math.inf
