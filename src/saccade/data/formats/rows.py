"""Tables as text: encoding, delimiter, quotes. Every fault is named with its line."""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import dataclass

from saccade.data.tree import is_picture_name, printable
from saccade.errors import SaccadeError

LARGEST_TABLE = 256 << 20
"""Bytes; some three million pictures."""

_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))


@dataclass(frozen=True)
class Rows:
    """header: stripped names; cells: one list per row, as long as the header; lines: from 1."""

    header: tuple[str, ...]
    cells: list[list[str]]
    lines: list[int]
    delimiter: str


def parse(data: bytes, name: str, *, whole: bool = True) -> Rows:
    """Read a table. whole: False where `data` is only its beginning, cut at any byte.

    Delimiters "," ";" and tab are told apart by the first line. Raises SaccadeError "bad-table".
    """
    if len(data) > LARGEST_TABLE:
        raise bad(name, f"has {len(data):,} bytes; {LARGEST_TABLE:,} are allowed: split it")
    text = _text(data, name, whole)
    if not whole:
        text = text[: text.rfind("\n") + 1] or text
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = _delimiter(first)
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=delimiter,
        strict=whole,
        skipinitialspace=delimiter + " " in first,
    )
    table: list[tuple[int, list[str]]] = []
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                table.append((reader.line_num, row))
    except csv.Error as error:
        raise bad(name, f"line {reader.line_num}: {error}") from error
    if not table:
        raise bad(name, "is empty; expected a first line such as path,label")
    return _rows(table, name, delimiter)


def is_number(word: str) -> bool:
    """Whether a word can be read as a float."""
    try:
        float(word)
    except ValueError:
        return False
    return True


def bad(name: str, reason: str) -> SaccadeError:
    return SaccadeError(f"{printable(name)}: {reason}", name="bad-table", files=[name])


def _text(data: bytes, name: str, whole: bool) -> str:
    encoding = "utf-8"
    for mark, marked in _MARKS:
        if data.startswith(mark):
            data, encoding = data[len(mark) :], marked
            break
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        if not whole and error.start > len(data) - 4:  # a character cut in two
            return data[: error.start].decode(encoding)
        line = data.count(b"\n", 0, error.start) + 1
        guess = data[max(0, error.start - 12) : error.start + 12].decode("latin-1")
        raise bad(
            name,
            f"line {line}: byte 0x{data[error.start]:02x} is no {encoding.upper()} "
            f"(near {printable(guess)!r}); save the table as UTF-8",
        ) from error


def _delimiter(line: str) -> str:
    """The most frequent of the three outside quotes."""
    outside = "".join(line.split('"')[::2])
    counts = Counter({mark: outside.count(mark) for mark in ",;\t"})
    return max(",;\t", key=lambda mark: counts[mark])


def _rows(table: list[tuple[int, list[str]]], name: str, delimiter: str) -> Rows:
    first = [cell.strip() for cell in table[0][1]]
    if len(first) == 2 and is_picture_name(first[0]):
        first, body = ["path", "label"], table  # two columns that need no names
    else:
        body = table[1:]
    header = tuple(first)
    twice = [column for column, count in Counter(header).items() if column and count > 1]
    if twice:
        raise bad(name, f"line {table[0][0]}: column {twice[0]!r} is there twice")
    width = len(header)
    cells = []
    for line, row in body:
        if any(cell.strip() for cell in row[width:]):
            raise bad(name, f"line {line}: {len(row)} cells under {width} columns; quote cells "
                      f"that hold a {delimiter!r}")  # fmt: skip
        cells.append(row[:width] + [""] * (width - len(row)))
    return Rows(header, cells, [line for line, _ in body], delimiter)
