"""Tables of named points (CSV, TSV): one row for each picture, a column pair x, y for each point.

Pairs are known by their names: x0 y0, x_nose y_nose, nose_x nose_y, or 0 1 2 3 ... A blank cell
is a point that is not visible. Points may lie outside their picture.
"""

from __future__ import annotations

import math
import posixpath
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np

from saccade.data.dataset import Dataset, choose_task
from saccade.data.formats import boxtable, table
from saccade.data.formats.finding import missing, parts_of_tables
from saccade.data.formats.rows import Rows, bad, parse
from saccade.data.formats.table import Paths, cell_of, path_column, split_of, tables
from saccade.data.places import turn
from saccade.data.read import header as picture_header
from saccade.data.tree import Folder, Tree, printable, shown
from saccade.errors import SaccadeError
from saccade.types import Example, Field, Notice, Split

FIELD = "points"
ENOUGH = 2
"""Pairs of columns from which a table is taken for one of points."""

_FIRST = re.compile(r"x[ _.-]*(.*)")
_LAST = re.compile(r"(.*?)[ _.-]*x")
_NUMBERED = re.compile(r"(.*\D)[ _-]*\(?\d+\)?")
_NO_POINT = frozenset({"", "nan", "na", "n/a", "null", "none"})
_SIZE = (("image_width", "image_height"), ("img_width", "img_height"), ("width", "height"))
FEW_GROUPS = 5

LEAST = 3
"""Points from which columns 0, 1, 2 ... may be pairs."""

LOOKED_AT = 20
FIRST_PIXELS = 2.0


def pairs(header: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Name of each point -> places of its x and y columns."""
    places = {name.casefold(): place for place, name in enumerate(header)}
    found: dict[str, tuple[int, int]] = {}
    for name, place in places.items():
        for pattern in (_LAST, _FIRST):
            match = pattern.fullmatch(name)
            partner = "y" + name[1:] if pattern is _FIRST else name[:-1] + "y"
            if match is not None and partner in places and partner != name:
                start, end = match.span(1)
                own = header[place][start:end].strip(" _.-") or "point"
                found.setdefault(own, (place, places[partner]))
                break
    return found or _numbered(header)


def _numbered(header: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Columns 0, 1, 2, 3 ...: x and y of one point after the other."""
    numbers = [(int(name), place) for place, name in enumerate(header) if name.isdecimal()]
    expected = list(range(numbers[0][0], numbers[0][0] + len(numbers))) if numbers else []
    if len(numbers) % 2 or len(numbers) < 2 * LEAST or [n for n, _ in numbers] != expected:
        return {}
    return {
        str(point): (numbers[2 * point][1], numbers[2 * point + 1][1])
        for point in range(len(numbers) // 2)
    }


def fits(tree: Tree, base: str, rows: Rows) -> bool:
    """A column of pictures, pairs of coordinates, no box; and where columns have but numbers for
    names, most of the pairs lie in their pictures.
    """
    at, found = path_column(rows.header), pairs(rows.header)
    if at is None or len(found) < ENOUGH or boxtable.columns(rows.header) is not None:
        return False
    return found != _numbered(rows.header) or _inside(Paths(tree, base), rows, at, found)


def _inside(paths: Paths, rows: Rows, at: int, found: dict[str, tuple[int, int]]) -> bool:
    """Of the first pictures, nine points in ten lie inside, and not all in the first pixels."""
    shares = []
    for cells in rows.cells[:LOOKED_AT]:
        key = paths.find(cells[at])
        try:
            points = [[float(cells[x]), float(cells[y])] for x, y in found.values()]
            head = None if key is None else picture_header(paths.tree.load(key))
        except (ValueError, SaccadeError):  # not numbers alone, or no picture
            continue
        if head is not None:
            places = np.array(points)
            within = ((places >= 0) & (places <= (head.width, head.height))).all(axis=1)
            shares.append(within.mean() if places.max() > FIRST_PIXELS else 0.0)
    return bool(shares) and float(np.mean(shares)) >= 0.9


def sniff(tree: Tree) -> int:
    """3 where a table near the root has a column of pictures and pairs of coordinates."""
    return 3 if _found(tree) else 0


def _found(tree: Tree) -> list[str]:
    found = []
    for key in tables(tree):
        try:
            rows = parse(tree.head(key, 1 << 16), key, whole=False)
        except SaccadeError:  # no table of points; whoever takes it for another says what is wrong
            continue
        found += [key] if fits(tree, posixpath.dirname(key), rows) else []
    return found


def read(tree: Tree, task: str | None = None) -> Dataset:
    """The table of points, or those named after parts (train_points.csv, test_points.csv)."""
    found = _found(tree)
    parts = parts_of_tables(tree, found, "points")
    if task == "regression":
        return table.read(tree, task)
    rows = {key: parse(tree.load(key), key) for key in parts or found}
    return _read(tree, rows, dict(parts), task)


def read_file(tree: Tree, path: Path, task: str | None = None) -> Dataset:
    """The table at `path`, its pictures below `tree`."""
    if task == "regression":
        return table.read_file(tree, path, task)
    rows = parse(Folder(path.parent).load(path.name), str(path))
    return _read(tree, {path.name: rows}, {}, task)


def _read(tree: Tree, given: dict[str, Rows], parts: dict[str, Split], task: str | None) -> Dataset:
    tasks = ("landmarks", "regression")
    choose_task(task, tasks, tree.root)
    headers = {rows.header for rows in given.values()}
    if len(headers) != 1:
        raise bad(next(iter(given)), "has other columns than the tables beside it")
    names = tuple(pairs(next(iter(headers))))
    examples: dict[str, Example] = {}
    lost: list[str] = []
    total = 0
    for where, rows in given.items():
        paths = Paths(tree, posixpath.dirname(where) if where in tree.files else "")
        total += len(rows.cells)
        for row in range(len(rows.cells)):
            _add(tree, rows, row, paths, where, parts.get(where), examples, lost)
    notices = [*tree.notices, *missing(tree, lost, total)]
    found, named = _grouped(list(examples.values()))
    return Dataset(
        name=tree.name,
        root=tree.root,
        examples=tuple(found),
        fields=(Field(name=FIELD, kind="points", classes=names),),
        source=tree,
        notices=tuple([*notices, *named]),
        tasks=tasks,
        reason=f"{shown(list(given))} has pairs of columns x, y for {len(names)} points",
    )


def _add(
    tree: Tree,
    rows: Rows,
    row: int,
    paths: Paths,
    where: str,
    part: Split | None,
    examples: dict[str, Example],
    lost: list[str],
) -> None:
    cells, line = rows.cells[row], rows.lines[row]
    at = path_column(rows.header)
    assert at is not None
    key = paths.find(cells[at])
    if key is None:
        lost.append(printable(cells[at]))
        return
    if key in examples:
        raise bad(where, f"line {line}: {printable(key)} was there before; one row per picture")
    roles = {name.casefold(): place for place, name in enumerate(rows.header)}
    points = [_point(cells, x, y, rows, line, where) for x, y in pairs(rows.header).values()]
    examples[key] = Example(
        key=key,
        target={FIELD: _turned(tree, key, points, _size(cells, roles))},
        split=part or split_of(cells, roles, line, where),
        group=cell_of(cells, roles, "group"),
        source=cell_of(cells, roles, "source"),
    )


Point = list[float] | None


def _point(cells: Sequence[str], x: int, y: int, rows: Rows, line: int, where: str) -> Point:
    """Raises SaccadeError "bad-table" for text, and for a coordinate without the other."""
    written = [cells[x].strip(), cells[y].strip()]
    blank = [text.casefold() in _NO_POINT for text in written]
    if all(blank):
        return None
    try:
        values = [float(text) for text in written]
    except ValueError:
        values = [math.nan]
    if any(blank) or not all(map(math.isfinite, values)):
        raise bad(
            where,
            f"line {line}: columns {rows.header[x]!r} and {rows.header[y]!r} hold {written}; "
            "expected two finite numbers, or two blank cells for a point that is not visible",
        )
    return values


def _size(cells: Sequence[str], roles: dict[str, int]) -> tuple[float, float] | None:
    for width, height in _SIZE:
        if width in roles and height in roles:
            try:
                size = float(cells[roles[width]]), float(cells[roles[height]])
            except ValueError:  # blank or "NA": not told
                return None
            return size if min(size) > 0 else None
    return None


def _turned(
    tree: Tree, key: str, points: list[Point], size: tuple[float, float] | None
) -> list[Point]:
    """Points drawn on a picture as it is stored follow its EXIF turn; sizes tell which it was."""
    if size is None:
        return points
    try:
        head = picture_header(tree.load(key))
    except SaccadeError:  # an unreadable picture is named when pictures are decoded
        return points
    stored = (head.height, head.width)
    if head.turned <= 4 or size != stored or size == (head.width, head.height):
        return points
    known = np.array([point or [0.0, 0.0] for point in points])
    moved = turn(known, head.turned, stored).tolist()
    return [None if point is None else there for point, there in zip(points, moved, strict=True)]


def _grouped(examples: list[Example]) -> tuple[list[Example], list[Notice]]:
    """NAME_01.jpg, NAME_02.jpg are taken as one person, where names repeat and no column says."""
    if any(example.group for example in examples):
        return examples, []
    stems = [PurePosixPath(example.key).stem for example in examples]
    matches = [_NUMBERED.fullmatch(stem) for stem in stems]
    groups = [
        match[1].rstrip(" _-(") if match else stem
        for match, stem in zip(matches, stems, strict=True)
    ]
    counts = Counter(groups)
    if len(counts) < FEW_GROUPS or max(counts.values()) < 2:
        return examples, []
    repeated = [name for name, count in counts.items() if count > 1]
    notice = Notice(
        name="groups-from-names",
        severity="info",
        message=f"pictures whose names differ only in a number at the end ({shown(repeated)}) are "
        f"taken as the same person and kept in one part: {len(counts)} in all; a column "
        "group says otherwise",
        files=(),
    )
    named = [replace(own, group=group) for own, group in zip(examples, groups, strict=True)]
    return named, [notice]
