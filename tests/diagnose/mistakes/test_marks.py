from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path

import openpyxl
import pytest

from diagnose.made_run import share, write_run
from saccade.diagnose.mistakes import Marked, Marks, import_sheet, mistake_table, write_sheets
from saccade.diagnose.mistakes.table import MistakeTable
from saccade.errors import SaccadeError


@pytest.fixture
def table(tmp_path: Path) -> MistakeTable:
    run = write_run(tmp_path / "run", {"train": share(60, 0.0), "dev": share(60, 0.2)})
    return mistake_table(run, right=10)


@pytest.fixture
def marks(tmp_path: Path) -> Marks:
    return Marks(tmp_path / "run" / "errors" / "marks.sqlite")


def test_marks_are_said_and_taken_back(marks: Marks) -> None:
    marks.put("a", "tag", "foggy", "1")
    marks.put("a", "tag", "dog", "1")
    marks.put("a", "label", "verdict", "relabel")
    marks.put("a", "label", "class", "cat")
    marks.put("b", "cell", "note", "at night")
    marks.put("a", "tag", "dog", "")
    assert marks.of() == {
        "a": Marked(tags=("foggy",), verdict="relabel", label="cat"),
        "b": Marked(cells={"note": "at night"}),
    }
    assert marks.one("c") == Marked()
    assert (marks.names("tag"), marks.names("cell")) == (["foggy", "dog"], ["note"])
    assert marks.tagged() == {"foggy": ["a"], "dog": []}
    assert marks.looked() == {"a", "b"}


WRITER = """
import sys
from saccade.diagnose.mistakes.marks import Marks
from pathlib import Path
marks = Marks(Path(sys.argv[1]))
for number in range(100000):
    marks.put(f"{number}.png", "tag", "foggy", "1")
    print(number, flush=True)
"""


def test_what_was_confirmed_survives_a_kill(tmp_path: Path) -> None:
    place = tmp_path / "marks.sqlite"
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(place)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    confirmed = [int(writer.stdout.readline()) for _ in range(40)]
    os.kill(writer.pid, signal.SIGKILL)
    confirmed += [int(line) for line in writer.stdout]
    writer.wait()
    writer.stdout.close()
    kept = set(Marks(place).tagged()["foggy"])
    assert {f"{number}.png" for number in confirmed} <= kept
    assert len(kept) <= len(confirmed) + 1


def test_what_is_no_database_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "marks.sqlite").write_bytes(b"x" * 4096)
    with pytest.raises(SaccadeError, match="cannot be used as a database of marks"):
        Marks(tmp_path / "marks.sqlite")


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_csv_and_xlsx_hold_the_same(table: MistakeTable, marks: Marks) -> None:
    first = table.shown[0]
    marks.put(first.key, "tag", "foggy", "1")
    marks.put(first.key, "cell", "=note", "=1+1")
    text, book = write_sheets(table, marks).files
    rows = _rows(text)
    assert len(rows) == 12 + 10
    assert rows[0]["key"] == first.key and rows[0]["tag: foggy"] == "x"
    assert (text.parent / rows[0]["thumbnail"]).is_file()
    sheet = openpyxl.load_workbook(book).active
    assert sheet.max_row == 23 and len(sheet._images) == 22
    header = [cell.value for cell in sheet[1]]
    assert header == list(rows[0])
    cell = sheet.cell(row=2, column=header.index("=note") + 1)
    assert (cell.value, cell.data_type) == ("=1+1", "s")


@pytest.mark.parametrize("ending", ["csv", "xlsx"])
def test_an_edited_table_comes_back(table: MistakeTable, marks: Marks, ending: str) -> None:
    one, two, three = (row.key for row in table.shown[:3])
    marks.put(one, "tag", "foggy", "1")
    marks.put(two, "tag", "foggy", "1")
    path = next(p for p in write_sheets(table, marks).files if p.suffix == f".{ending}")
    edit = {
        (one, "tag: foggy"): "",
        (three, "tag: foggy"): "yes",
        (three, "label is"): "wrong",
        (three, "should be"): "b",
    }
    own = {"at night": {one: "X"}, "camera": {two: "phone 3"}}
    if ending == "csv":
        rows = _rows(path)
        for row in rows:
            row.update({name: value for (key, name), value in edit.items() if key == row["key"]})
            row.update({name: cells.get(row["key"], "") for name, cells in own.items()})
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter=";")
            writer.writeheader()
            writer.writerows(rows)
    else:
        book = openpyxl.load_workbook(path)
        sheet = book.active
        header = [cell.value for cell in sheet[1]] + list(own)
        for column, name in enumerate(header, 1):
            sheet.cell(row=1, column=column, value=name)
        for number in range(2, sheet.max_row + 1):
            key = sheet.cell(row=number, column=1).value
            values = {name: value for (k, name), value in edit.items() if k == key}
            values |= {name: cells[key] for name, cells in own.items() if key in cells}
            for name, value in values.items():
                sheet.cell(row=number, column=header.index(name) + 1).value = value or None
        book.save(path)
    assert import_sheet(path, table, marks) == len(table.shown)
    found = marks.of()
    assert found[one].tags == ("at night",)
    assert found[two].tags == ("foggy",) and found[two].cells == {"camera": "phone 3"}
    assert found[three] == Marked(tags=("foggy",), verdict="relabel", label="b", seen=True)


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("key", "other.png", "1 rows are of no scored dev picture"),
        ("should be", "zebra", "row 2: should be 'zebra' is no class: a, b, c"),
        ("label is", "maybe", "row 2: label is 'maybe'"),
        ("tag: foggy", "a bit", "row 2, tag: foggy: 'a bit', expected x or nothing"),
    ],
)
def test_a_bad_table_changes_nothing(
    table: MistakeTable, marks: Marks, column: str, value: str, told: str
) -> None:
    marks.put(table.shown[1].key, "tag", "foggy", "1")
    path = write_sheets(table, marks).files[0]
    rows = _rows(path)
    rows[0][column] = value
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    before = marks.of()
    with pytest.raises(SaccadeError, match=told):
        import_sheet(path, table, marks)
    assert marks.of() == before


def test_without_openpyxl_there_is_csv_alone(
    table: MistakeTable, marks: Marks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    assert [path.suffix for path in write_sheets(table, marks).files] == [".csv"]
    with pytest.raises(SaccadeError, match=r"pip install 'saccade\[xlsx\]'"):
        import_sheet(Path("errors.xlsx"), table, marks)


def test_columns_that_a_table_lacks_keep_their_marks(
    table: MistakeTable, marks: Marks, tmp_path: Path
) -> None:
    key = table.shown[0].key
    marks.put_all(
        [
            (key, "tag", "foggy", "1"),
            (key, "label", "verdict", "drop"),
            (key, "cell", "camera", "phone"),
        ]
    )
    path = tmp_path / "mine.csv"
    path.write_text(f"key,tag: dark\n{key},x\n", encoding="utf-8")
    import_sheet(path, table, marks)
    found = marks.one(key)
    assert set(found.tags) == {"foggy", "dark"}
    assert (found.verdict, found.cells) == ("drop", {"camera": "phone"})


def test_verdicts_of_many_at_once_are_no_look(marks: Marks) -> None:
    marks.put("a", "label", "verdict", "drop")
    assert marks.looked() == set() and not marks.one("a").looked


def test_an_edited_sheet_is_set_aside(table: MistakeTable, marks: Marks) -> None:
    (text, *_) = write_sheets(table, marks).files
    assert write_sheets(table, marks).edited == []
    text.write_text("mine", encoding="utf-8")
    sheets = write_sheets(table, marks)
    assert [place.name for place in sheets.edited] == ["errors.edited1.csv"]
    assert sheets.edited[0].read_text(encoding="utf-8") == "mine"
    text.write_text("taken over", encoding="utf-8")
    assert write_sheets(table, marks, taken=text).edited == []


def test_a_text_file_called_xlsx_is_said(table: MistakeTable, marks: Marks, tmp_path: Path) -> None:
    path = tmp_path / "errors.xlsx"
    path.write_text("key\n", encoding="utf-8")
    with pytest.raises(SaccadeError, match="cannot be read as a spreadsheet"):
        import_sheet(path, table, marks)
