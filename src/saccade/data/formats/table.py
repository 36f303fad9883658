"""A table of pictures: one row each, with its labels or numbers (CSV, TSV).

Columns are known by their header, in any case: the path (path, file, image, filename and the
like), optional group, source and split, and what is to be learned. `columns.py` tells what that is.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from saccade.data.dataset import PARTS, Dataset, class_notices, class_table, ordered
from saccade.data.formats.columns import Annotation, Column, Meaning, interpret
from saccade.data.formats.rows import Rows, bad, parse
from saccade.data.tree import Folder, Tree, is_picture_name, printable, shown, suffix
from saccade.errors import SaccadeError
from saccade.types import Example, Field, Notice, Split

ENDINGS = frozenset({".csv", ".tsv"})
_PATH_NAMES = (
    "path file image filename filepath file_path file_name image_path image_name img_path img "
    "image_id id"
)
_PATHS = _PATH_NAMES.split()
_ROLES = frozenset({"group", "source", "split"})
_BOXES = frozenset({"xmin", "ymin", "xmax", "ymax"})
_FOLDERS = ("images", "image", "imgs", "img", "Images", "JPEGImages")
_SUFFIXES = ("", ".jpg", ".png", ".jpeg", ".JPG", ".PNG", ".tif", ".webp", ".bmp")


def sniff(tree: Tree) -> int:
    """2 for one table (or one per part) whose paths lead to pictures, 1 where it may be meant."""
    found = [key for key in tables(tree) if _usable(tree, key)]
    if not found:
        return 0
    return 2 if len(found) == 1 or len(_by_part(found)) == len(found) else 1


def tables(tree: Tree) -> list[str]:
    """The tables nearest to the root."""
    keys = [key for key in tree.files if suffix(key) in ENDINGS]
    depth = min((key.count("/") for key in keys), default=0)
    return [key for key in keys if key.count("/") == depth]


def _by_part(keys: Iterable[str]) -> dict[str, Split]:
    """Tables named train.csv, val.csv ... -> their part."""
    stems = {key: PurePosixPath(key).stem.casefold() for key in keys}
    return {key: PARTS[stem] for key, stem in stems.items() if stem in PARTS}


def _usable(tree: Tree, key: str) -> bool:
    """The beginning of the table has a path column, something to learn, and pictures it names."""
    try:
        rows = parse(tree.head(key, 1 << 16), key, whole=False)
    except SaccadeError:
        return True  # read() will say what is wrong with it
    names = {name.casefold() for name in rows.header}
    at = path_column(rows.header)
    if at is None or names >= _BOXES or not names - _ROLES - {rows.header[at].casefold()}:
        return False
    paths = Paths(tree, posixpath.dirname(key))
    return any(paths.find(cells[at]) for cells in rows.cells[:20])


def read(tree: Tree, task: str | None = None) -> Dataset:
    """The one table of a tree, or its tables by part."""
    found = [key for key in tables(tree) if _usable(tree, key)]
    parts = _by_part(found)
    if len(found) > 1 and len(parts) < len(found):
        raise SaccadeError(
            f"{tree.root}: several tables could be meant ({shown(found)}); give the path of one",
            name="several-tables",
            files=found,
        )
    rows = [(key, parse(tree.load(key), key)) for key in found]
    if len(found) == 1:
        parts = {}
    base = posixpath.dirname(found[0])
    return _dataset(tree, rows, base, parts, task)


def read_file(tree: Tree, path: Path, task: str | None = None) -> Dataset:
    """The table at `path`, its pictures below `tree` or below images/ in it."""
    data = Folder(path.parent).load(path.name)
    return _dataset(tree, [(path.name, parse(data, str(path)))], "", {}, task)


@dataclass
class Paths:
    """Finds pictures beside a table. base: the table's folder."""

    tree: Tree
    base: str
    hint: tuple[str, str] = ("", "")

    def find(self, cell: str) -> str | None:
        """Key of the picture that a cell names, None where there is none."""
        name = cell.strip().replace("\\", "/")
        if not name:
            return None
        if name.startswith("/"):
            name = self._below_root(name)
        endings = ("",) if is_picture_name(name) else _SUFFIXES
        tries = [(folder, ending) for ending in endings for folder in ("", *_FOLDERS)]
        for folder, ending in [self.hint, *tries]:
            key = self.key(posixpath.join(folder, name) + ending)
            if self.tree.exists(key):
                self.hint = (folder, ending)
                return key
        exact = self.key(cell.replace("\\", "/"))  # a name that begins or ends with a space
        return exact if self.tree.exists(exact) else None

    def key(self, name: str) -> str:
        return posixpath.normpath(posixpath.join(self.base, name))

    def _below_root(self, name: str) -> str:
        """An absolute path as a relative one where it leads below the root."""
        root = os.path.abspath(self.tree.root)  # noqa: PTH100
        return os.path.relpath(name, root) if name.startswith(root + "/") else name


def path_column(header: Sequence[str]) -> int | None:
    """Place of the column that names the pictures."""
    names = [name.casefold() for name in header]
    return next((names.index(name) for name in _PATHS if name in names), None)


def _dataset(
    tree: Tree,
    given_tables: list[tuple[str, Rows]],
    base: str,
    parts: dict[str, Split],
    task: str | None,
) -> Dataset:
    where, rows = given_tables[0]
    for name, other in given_tables[1:]:
        if other.header != rows.header:
            raise bad(
                name, f"has the columns {', '.join(other.header)}; {where} has others: "
                f"{', '.join(rows.header)}"
            )  # fmt: skip
    given = [parts.get(name) for name, table in given_tables for _ in table.cells]
    cells = [row for _, table in given_tables for row in table.cells]
    lines = [line for _, table in given_tables for line in table.lines]
    rows = Rows(rows.header, cells, lines, rows.delimiter)
    keys = _keys(rows, Paths(tree, base), where)
    meaning = interpret(_target_columns(rows), task, where)
    examples, notices = _examples(rows, keys, given, meaning, where)
    fields = tuple(_field(examples, annotation) for annotation in meaning.annotations)
    for field in fields:
        notices += class_notices(examples, field) if field.kind != "values" else []
    return Dataset(
        name=tree.name,
        root=tree.root,
        examples=tuple(examples),
        fields=fields,
        source=tree,
        notices=tuple(notices),
        tasks=meaning.tasks,
        reason=meaning.reason,
    )


def _target_columns(rows: Rows) -> list[Column]:
    at = path_column(rows.header)
    others = {name for name in _PATHS if name not in ("image_id", "id")}
    return [
        Column(name, [row[place] for row in rows.cells], rows.lines, comma=rows.delimiter != ",")
        for place, name in enumerate(rows.header)
        if place != at and name.casefold() not in _ROLES | others
    ]


def _keys(rows: Rows, paths: Paths, where: str) -> list[str]:
    """The key of each row's picture; a missing one keeps its name and is named when loaded."""
    at = path_column(rows.header)
    if at is None:
        raise bad(
            where,
            f"no column names the pictures; found {', '.join(rows.header)}, expected one of "
            f"{', '.join(_PATHS[:4])}",
        )
    if not rows.cells:
        raise bad(where, "has a header but no row")
    keys, missing = [], []
    for row, line in zip(rows.cells, rows.lines, strict=True):
        if not row[at].strip():
            raise bad(where, f"line {line}: column {rows.header[at]!r} is empty")
        key = paths.find(row[at])
        if key is None:
            missing.append(row[at])
        keys.append(paths.key(row[at].strip()) if key is None else key)
    if len(missing) * 2 > len(keys):
        raise SaccadeError(
            f"{printable(where)}: {len(missing)} of {len(keys)} pictures are not there, such as "
            f"{shown(missing)}; looked beside the table and in images/. Give the folder that the "
            "paths start from",
            name="missing-files",
            files=missing[:20],
        )
    return keys


def _examples(
    rows: Rows, keys: list[str], given: list[Split | None], meaning: Meaning, where: str
) -> tuple[list[Example], list[Notice]]:
    roles = {name.casefold(): place for place, name in enumerate(rows.header)}
    examples: dict[str, Example] = {}
    first: dict[str, int] = {}
    repeated, unlabelled = [], []
    for row, key in enumerate(keys):
        cells, line = rows.cells[row], rows.lines[row]
        target = {
            part.name: part.values[row]
            for part in meaning.annotations
            if part.values[row] is not None
        }
        example = Example(
            key=key,
            target=target,
            split=given[row] or split_of(cells, roles, line, where),
            group=cell_of(cells, roles, "group"),
            source=cell_of(cells, roles, "source"),
        )
        if not target:
            unlabelled.append(key)
        elif examples.setdefault(key, example) == example:
            repeated += [key] if key in first else []
            first.setdefault(key, line)
        else:
            raise bad(
                where,
                f"line {line}: {printable(key)} was in line {first[key]} with other annotations; "
                "one row per picture is expected, several labels joined by |",
            )
    return list(examples.values()), [
        *meaning.notices,
        *_notice("repeated-row", repeated, "rows say again what an earlier row says"),
        *_notice("missing-label", unlabelled, "rows have no label and are left out"),
    ]


def _notice(name: str, keys: list[str], what: str) -> Iterable[Notice]:
    if keys:
        message = f"{len(keys)} {what}: {shown(keys)}"
        yield Notice(name=name, severity="warning", message=message, files=tuple(keys))


def cell_of(cells: Sequence[str], roles: dict[str, int], role: str) -> str | None:
    """What the column called `role` says in a row, None where it is blank or not there."""
    return cells[roles[role]].strip() or None if role in roles else None


def split_of(cells: Sequence[str], roles: dict[str, int], line: int, where: str) -> Split | None:
    """The part that a row names. Raises SaccadeError "bad-table" for an unknown one."""
    written = cell_of(cells, roles, "split")
    if written is None:
        return None
    part = PARTS.get(written.casefold())
    if part is None:
        raise bad(
            where, f"line {line}: split {written!r} is unknown; expected {', '.join(sorted(PARTS))}"
        )
    return part


def _field(examples: Sequence[Example], annotation: Annotation) -> Field:
    classes: Any = annotation.columns
    if annotation.kind != "values":
        learned = class_table(examples, annotation.name)
        classes = ordered(classes) if classes else learned
    return Field(name=annotation.name, kind=annotation.kind, classes=classes)
