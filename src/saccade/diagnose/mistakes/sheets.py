"""The error table as a spreadsheet: CSV always, XLSX where openpyxl is installed."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saccade.diagnose.mistakes.marks import Marked, Marks
from saccade.diagnose.mistakes.table import MistakeTable, Row
from saccade.diagnose.mistakes.traits import TRAITS
from saccade.files import write_atomic

TAG = "tag: "
"""Before the name of a person's tag in the header, so that tags and columns stay apart."""

YES = "x"
FIXED = (
    "key",
    "part",
    "true",
    "predicted",
    "p(true)",
    "p(predicted)",
    "loss",
    "error",
    "wrong",
    "nearest class",
    *TRAITS,
    "thumbnail",
)
"""Columns that saccade fills; what is written there is not read back."""

JUDGED = ("looked at", "label is", "should be")
LABEL_IS = {"accept": "right", "relabel": "wrong", "drop": "drop"}
PICTURE = 72  # pixels of a thumbnail in a cell


@dataclass(frozen=True)
class Sheets:
    """files that were written; edited: what people had written into older ones, set aside."""

    files: list[Path]
    edited: list[Path]


def write_sheets(table: MistakeTable, marks: Marks, *, taken: Path | None = None) -> Sheets:
    """errors.csv, thumbnails and, where openpyxl is installed, errors.xlsx in RUN/errors.

    A sheet that was edited since it was written is set aside as errors.edited1.csv, unless it is
    the one whose marks were `taken` over.
    """
    folder = table.run.root / "errors"
    said = marks.of()
    header = [*FIXED, *JUDGED, *marks.names("cell"), *(TAG + name for name in marks.names("tag"))]
    # whatever a person has said something of stays in the table
    drawn = {row.key for row in table.shown}
    others = (row for row in table.everything if row.key in said and row.key not in drawn)
    rows = [
        _cells(table, row, said.get(row.key, Marked()), header) for row in (*table.shown, *others)
    ]
    for row in table.shown:
        jpeg = table.thumbnails.get(row.index)
        place = folder / thumbnail_name(row)
        if jpeg is not None and not place.is_file():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(jpeg)
    contents = {folder / "errors.csv": _csv(header, rows)}
    if has_openpyxl():
        jpegs = [table.thumbnails.get(table.by_key[str(row["key"])].index) for row in rows]
        contents[folder / "errors.xlsx"] = _xlsx(header, rows, jpegs)
    record = folder / "written.json"
    known = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}
    given = None if taken is None else taken.resolve()
    aside = [_set_aside(place, known) for place in contents if place.resolve() != given]
    for place, content in contents.items():
        write_atomic(place, content)
        known[place.name] = hashlib.sha256(content).hexdigest()
    write_atomic(record, json.dumps(known))
    return Sheets(list(contents), [place for place in aside if place is not None])


def _set_aside(place: Path, known: Mapping[str, str]) -> Path | None:
    """Another name for a sheet that is not as it was written; None where it is."""
    if place.name not in known or not place.is_file():
        return None
    if hashlib.sha256(place.read_bytes()).hexdigest() == known[place.name]:
        return None
    number = 1
    while (other := place.with_stem(f"{place.stem}.edited{number}")).exists():
        number += 1
    return place.rename(other)


def is_taken(name: str) -> bool:
    """Whether a column of that name would not be the person's own."""
    return name in (*FIXED, *JUDGED) or name.startswith(TAG)


def thumbnail_name(row: Row) -> str:
    """Below RUN/errors."""
    return f"thumbnails/{row.index}.jpg"


def has_openpyxl() -> bool:
    """Whether spreadsheets can be written and read (the extra xlsx)."""
    try:
        import openpyxl  # noqa: F401
    except ImportError:
        return False
    return True


def _cells(
    table: MistakeTable, row: Row, said: Marked, header: Sequence[str]
) -> dict[str, str | float]:
    values: dict[str, str | float] = {
        "key": row.key,
        "part": table.part,
        "true": row.true,
        "predicted": row.predicted,
        "p(true)": row.p_true,
        "p(predicted)": row.p_predicted,
        "loss": row.loss,
        "error": row.error,
        "wrong": YES if row.wrong else "",
        "nearest class": row.nearest,
        **{name: YES for name in row.traits},
        "thumbnail": thumbnail_name(row) if row.index in table.thumbnails else "",
        "looked at": YES if said.looked else "",
        "label is": LABEL_IS.get(said.verdict, ""),
        "should be": said.label,
        **said.cells,
        **{TAG + name: YES for name in said.tags},
    }
    return {name: _shown(values.get(name, "")) for name in header}


def _shown(value: str | float) -> str | float:
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else ""
    return value


def _csv(header: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, header, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode("utf-8", "backslashreplace")


def _xlsx(
    header: Sequence[str], rows: Sequence[Mapping[str, Any]], jpegs: Sequence[bytes | None]
) -> bytes:
    from openpyxl import Workbook
    from openpyxl.drawing.image import Image as Drawing
    from openpyxl.utils import get_column_letter

    book = Workbook()
    sheet = book.active
    sheet.title = "errors"
    for column, name in enumerate(header, 1):
        _put(sheet, 1, column, name)
        sheet.column_dimensions[get_column_letter(column)].width = max(9, min(32, len(name) + 3))
    pictures = header.index("thumbnail") + 1
    for number, (row, jpeg) in enumerate(zip(rows, jpegs, strict=True), 2):
        for column, name in enumerate(header, 1):
            _put(sheet, number, column, "" if name == "thumbnail" and jpeg else row[name])
        if jpeg is not None:
            drawing = Drawing(io.BytesIO(jpeg))
            scale = PICTURE / max(drawing.width, drawing.height)
            drawing.width, drawing.height = drawing.width * scale, drawing.height * scale
            sheet.add_image(drawing, f"{get_column_letter(pictures)}{number}")
            sheet.row_dimensions[number].height = 0.75 * PICTURE + 3
    sheet.column_dimensions[get_column_letter(pictures)].width = PICTURE / 7 + 2
    sheet.freeze_panes = "B2"
    sheet.auto_filter.ref = sheet.dimensions
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def _put(sheet: Any, row: int, column: int, value: Any) -> None:
    if value == "":
        return
    cell = sheet.cell(row=row, column=column, value=value)
    if isinstance(value, str):
        cell.data_type = "s"  # a name that begins with = is no formula
