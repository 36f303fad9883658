"""An error table that a person edited, read back: all of it, or nothing."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from saccade.diagnose.mistakes.marks import Kind, Marks
from saccade.diagnose.mistakes.sheets import FIXED, JUDGED, LABEL_IS, TAG, has_openpyxl
from saccade.diagnose.mistakes.table import MistakeTable
from saccade.errors import SaccadeError

MEANT = {"": "", "0": "", "no": "", "false": "", "1": "1", "x": "1", "yes": "1", "true": "1"}
"""What a cell of a tag may hold."""


def import_sheet(path: Path, table: MistakeTable, marks: Marks) -> int:
    """Take over what a person wrote into an exported table; the number of pictures concerned.

    What a column says of a picture replaces what was said there before; pictures and columns that
    are not in the file keep their marks. Columns of one's own whose cells are all x (1, yes) or
    empty become tags. Raises SaccadeError, and changes nothing, where a row or a class is unknown.
    """
    header, rows = _read(path)
    _check(path, header, rows, table)
    own = [name for name in header if name not in (*FIXED, *JUDGED) and name]
    tags = {name for name in own if name.startswith(TAG) or _is_tag(rows, name)}
    # a column of this run that happens to hold nothing but x stays a column
    tags -= {name for name in marks.names("cell") if not name.startswith(TAG)}
    named: list[tuple[Kind, str]] = [
        ("tag", name.removeprefix(TAG)) if name in tags else ("cell", name) for name in own
    ]
    said: list[tuple[str, Kind, str, str]] = []
    for number, row in enumerate(rows, 2):
        key = row["key"]
        if row.get("looked at", ""):
            said.append((key, "seen", "", "1"))
        if "label is" in row or "should be" in row:
            said += _verdict(path, number, row, table)
        for name in own:
            value = row.get(name, "")
            if name in tags:
                meant = _meaning(path, number, name, value)
                said.append((key, "tag", name.removeprefix(TAG), meant))
            else:
                said.append((key, "cell", name, value))
    said += _passed(table, {key for key, *_, value in said if value}, {r["key"] for r in rows})
    marks.put_all(said, named=named)
    return len(rows)


def _passed(
    table: MistakeTable, marked: set[str], there: set[str]
) -> list[tuple[str, Kind, str, str]]:
    """Rows above the last marked one were looked at, and nothing was found to say of them.

    Above in the order in which they were written: a person may have sorted the table since.
    """
    places = [place for place, row in enumerate(table.shown) if row.key in marked]
    passed = table.shown[: max(places, default=-1) + 1]
    return [(row.key, "seen", "", "1") for row in passed if row.key in there]


def _verdict(
    path: Path, number: int, row: Mapping[str, str], table: MistakeTable
) -> list[tuple[str, Kind, str, str]]:
    meant = {word: verdict for verdict, word in LABEL_IS.items()}
    label, written = row.get("should be", ""), row.get("label is", "").lower()
    if written and written not in meant:
        raise _unfit(path, f"row {number}: label is {written!r}, expected {', '.join(meant)}")
    if label and table.classes and label not in table.classes:
        raise _unfit(
            path, f"row {number}: should be {label!r} is no class: {', '.join(table.classes)}"
        )
    verdict = meant.get(written, "relabel" if label else "")
    return [(row["key"], "label", "verdict", verdict), (row["key"], "label", "class", label)]


def _meaning(path: Path, number: int, name: str, value: str) -> str:
    if value.lower() not in MEANT:
        raise _unfit(path, f"row {number}, {name}: {value!r}, expected x or nothing")
    return MEANT[value.lower()]


def _is_tag(rows: Sequence[Mapping[str, str]], name: str) -> bool:
    values = {row.get(name, "").lower() for row in rows}
    return values <= set(MEANT) and values != {""}


def _check(
    path: Path, header: Sequence[str], rows: Sequence[Mapping[str, str]], table: MistakeTable
) -> None:
    if "key" not in header:
        raise _unfit(path, "no column key, which tells the pictures apart")
    keys = [row["key"] for row in rows]
    strangers = sorted(set(keys) - table.by_key.keys())
    if strangers:
        raise _unfit(
            path,
            f"{len(strangers)} rows are of no scored {table.part} picture of this run, such as "
            f"{strangers[0]!r}",
        )
    if len(set(keys)) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise _unfit(path, f"{twice!r} stands in two rows")


def _unfit(path: Path, why: str) -> SaccadeError:
    return SaccadeError(
        f"{path}: {why}. Expected a table that `saccade errors RUN` wrote; nothing was taken over.",
        name="bad-table",
        files=[str(path)],
    )


def _read(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Header and rows as text; empty rows are left out."""
    lines = _xlsx_lines(path) if path.suffix.lower() == ".xlsx" else _csv_lines(path)
    if not lines:
        raise _unfit(path, "the file is empty")
    header = [cell.strip() for cell in lines[0]]
    rows = [
        # a key may begin or end with a space, what a person writes is trimmed
        {n: cell if n == "key" else cell.strip() for n, cell in zip(header, line, strict=False)}
        for line in lines[1:]
        if any(line)
    ]
    return header, [{"key": "", **row} for row in rows]


def _csv_lines(path: Path) -> list[list[str]]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise _unfit(path, f"cannot be read as text in UTF-8 ({error})") from error
    first = text.partition("\n")[0]
    # spreadsheets in many languages separate by semicolon
    separator = max(",;\t", key=first.count)
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))


def _xlsx_lines(path: Path) -> list[list[str]]:
    if not has_openpyxl():
        raise SaccadeError(
            f"{path}: reading it needs openpyxl: pip install 'saccade[xlsx]'. Or save it as CSV.",
            name="missing-extra",
        )
    from openpyxl import load_workbook

    try:
        book = load_workbook(path, read_only=True, data_only=True)
    except (OSError, KeyError, ValueError, BadZipFile) as error:
        raise _unfit(path, f"cannot be read as a spreadsheet ({error})") from error
    lines = [[_text(value) for value in line] for line in book.active.iter_rows(values_only=True)]
    book.close()
    return lines


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
