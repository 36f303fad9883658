"""What each kind of table means, and which faults are named."""

from __future__ import annotations

from pathlib import Path

import corpus
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.data import read
from saccade.data.formats.columns import Column, interpret
from saccade.data.formats.rows import parse
from saccade.data.open import open_dataset
from saccade.errors import SaccadeError

PIXEL = corpus.packed(np.zeros((2, 2, 3), np.uint8), "PNG")


@pytest.fixture
def table(tmp_path: Path):
    """Write a table with its pictures 0.png ... 9.png beside it; open it."""

    def write(text: str | bytes, *, name: str = "table.csv", folder: str = "", **options):
        below = tmp_path / folder
        below.mkdir(exist_ok=True)
        for number in range(10):
            (below / f"{number}.png").write_bytes(PIXEL)
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return open_dataset(tmp_path / name, **options)

    return write


def targets(data) -> list[dict]:
    return [dict(example.target) for example in data.examples]


@pytest.mark.parametrize("header", ["path,label", "File,Class", "image,classes", "FILENAME,labels"])
def test_headers(table, header):
    data = table(f"{header}\n0.png,cat\n1.png,dog\n2.png,cat\n")
    assert data.tasks[0] == "classification"
    assert data.fields[0].classes == ("cat", "dog")
    assert targets(data) == [{"label": "cat"}, {"label": "dog"}, {"label": "cat"}]
    assert [example.key for example in data.examples] == ["0.png", "1.png", "2.png"]
    assert read.load(data.source, "0.png", channels=3).shape == (2, 2, 3)


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        ("path,label\nimages/0.png,a\nimages/1.png,b\n", "images"),
        ("path,label\n0.png,a\n1.png,b\n", "images"),
        ("path,label\n./0.png,a\n.\\1.png,b\n", ""),
        ("id,label\n0,a\n1,b\n", "images"),
        ("path;label\r\n0.png;a\r\n1.png;b\r\n", ""),
        ("path\tlabel\n0.png\ta\n1.png\tb\n", ""),
        ('"path","label"\n"0.png","a"\n"1.png","b"\n', ""),
        ("path, label\n0.png, a\n1.png, b\n", ""),
        ("\ufeffpath,label\n0.png,a\n1.png,b\n", ""),
        ("0.png,a\n1.png,b\n", ""),
        (",path,label\n0,0.png,a\n1,1.png,b\n", ""),
        ("path,label\n\n0.png,a\n\n1.png,b\n\n", ""),
        ("path,label\n0.png,a\n1.png,b\n".encode("utf-16"), ""),
    ],
)
def test_ways_to_write_it(table, text, folder):
    data = table(text, folder=folder)
    prefix = f"{folder}/" if folder else ""
    assert [example.key for example in data.examples] == [f"{prefix}0.png", f"{prefix}1.png"]
    assert targets(data) == [{"label": "a"}, {"label": "b"}]


def test_paths_outside_and_absolute(tmp_path):
    for name in ("tables", "photos"):
        (tmp_path / name).mkdir()
    (tmp_path / "photos" / "0.png").write_bytes(PIXEL)
    (tmp_path / "photos" / "1.png").write_bytes(PIXEL)
    text = f"path,label\n../photos/0.png,a\n{tmp_path}/photos/1.png,b\n"
    (tmp_path / "tables" / "t.csv").write_text(text)
    data = open_dataset(tmp_path / "tables" / "t.csv")
    for example in data.examples:
        assert read.load(data.source, example.key, channels=1).shape == (2, 2, 1)
    (tmp_path / "tables" / "t.csv").write_text("path,label\n0.png,a\n1.png,b\n")
    data = open_dataset(tmp_path / "tables" / "t.csv", root=tmp_path / "photos")
    assert [example.key for example in data.examples] == ["0.png", "1.png"]


def test_several_labels(table):
    data = table("file,labels\n0.png,b|a|b\n1.png,\n2.png, c |a\n")
    assert data.tasks == ("multilabel",)
    assert data.fields[0].name == "labels"
    assert data.fields[0].classes == ("a", "b", "c")
    assert targets(data) == [{"labels": ["b", "a"]}, {"labels": []}, {"labels": ["c", "a"]}]


def test_one_column_each(table):
    data = table("image,sun,rain,snow\n0.png,1,0,0\n1.png,1,1,0\n2.png,0,0,0\n")
    assert data.tasks == ("multilabel",)
    assert data.fields[0].classes == ("rain", "snow", "sun")
    assert targets(data) == [{"labels": ["sun"]}, {"labels": ["sun", "rain"]}, {"labels": []}]
    marks = table("image,sun,rain\n0.png,1,\n1.png,1,1\n2.png,,\n")  # blanks mean no
    assert [target["labels"] for target in targets(marks)] == [["sun"], ["sun", "rain"], []]


def test_one_hot_columns_fit_two_tasks(table):
    text = "image,sun,rain\n0.png,1,0\n1.png,0,1\n"
    assert table(text).tasks == ("multilabel", "classification")
    assert targets(table(text, task="classification")) == [{"label": "sun"}, {"label": "rain"}]


def test_numbers(table):
    data = table("path,x,y\n0.png,1.5,2\n1.png,-3e2,\n2.png,0,nan\n")
    assert data.tasks[0] == "regression"
    assert (data.fields[0].name, data.fields[0].kind) == ("values", "values")
    assert data.fields[0].classes == ("x", "y")
    assert [target["values"] for target in targets(data)] == [[1.5, 2], [-300, None], [0, None]]
    comma = table("path;age\n0.png;1,5\n1.png;2,25\n")
    assert [target["values"] for target in targets(comma)] == [[1.5], [2.25]]


def test_whole_numbers_under_label_are_classes(table):
    rows = "".join(f"{number}.png,{(number * 7) % 12}\n" for number in range(10))
    data = table(f"path,label\n{rows}")
    assert data.tasks == ("classification", "regression")
    assert data.fields[0].classes == tuple(sorted(data.fields[0].classes, key=int))
    assert table(f"path,age\n{rows}").tasks == ("regression", "classification")
    assert table(f"path,label\n{rows}", task="regression").fields[0].kind == "values"
    assert table("path,label\n0.png,0.5\n1.png,1.25\n").tasks == ("regression",)
    floats = table("path,label\n0.png,1.0\n1.png,\n2.png,10.0\n3.png,2.0\n")
    assert floats.fields[0].classes == ("1", "2", "10")
    assert [notice.name for notice in floats.notices] == ["missing-label"]


def test_lone_yes_and_no_is_a_class(table):
    data = table("path,defect\n0.png,0\n1.png,1\n2.png,1\n")
    assert data.tasks[0] == "classification"
    assert data.fields[0].classes == ("0", "1")


def test_several_heads_with_gaps(table):
    data = table(
        "image,colour,age,smiles,tags\n0.png,red,3.5,1,a|b\n1.png,blue,,0,\n2.png,red,7,,b\n3.png,,,,\n"
    )
    assert data.tasks == ("multitask", "multilabel")
    assert [(field.name, field.kind, field.classes) for field in data.fields] == [
        ("colour", "label", ("blue", "red")),
        ("age", "values", ("age",)),
        ("smiles", "label", ("0", "1")),
        ("tags", "labels", ("a", "b")),
    ]
    assert targets(data) == [
        {"colour": "red", "age": [3.5], "smiles": "1", "tags": ["a", "b"]},
        {"colour": "blue", "smiles": "0"},
        {"colour": "red", "age": [7.0], "tags": ["b"]},
    ]


def test_group_source_split(table):
    data = table(
        "path,label,group,source,split\n0.png,a,p1,web,train\n1.png,b,p1,,Validation\n2.png,b,,,\n"
        "3.png,a,,,test\n"
    )
    rows = [(e.split, e.group, e.source) for e in data.examples]
    assert rows == [
        ("train", "p1", "web"),
        ("dev", "p1", None),
        (None, None, None),
        ("test", None, None),
    ]


def test_columns_that_are_not_learned(table):
    rows = "".join(f"{n}.png,{'ab'[n % 2]},seen at {n * n},always,{n}\n" for n in range(12))
    data = table("path,label,remark,camera,id\n" + rows)
    assert data.tasks == ("classification",)
    ignored = next(notice for notice in data.notices if notice.name == "ignored-column")
    assert set(ignored.files) == {"remark", "camera", "id"}


def test_parts_by_table(tmp_path):
    for part, names in {"train": "01", "val": "2", "test": "3"}.items():
        rows = "".join(f"{name}.png,{'ab'[int(name) % 2]}\n" for name in names)
        (tmp_path / f"{part}.csv").write_text("path,label\n" + rows)
    for name in "0123":
        (tmp_path / f"{name}.png").write_bytes(PIXEL)
    data = open_dataset(tmp_path)
    assert data.parts() == {"train": 2, "dev": 1, "test": 1}
    (tmp_path / "more.csv").write_text("path,label\n0.png,a\n")
    with pytest.raises(SaccadeError, match="several tables") as caught:
        open_dataset(tmp_path)
    assert len(caught.value.files) == 4


def test_class_folders_win_over_a_table_beside_them(tmp_path):
    for label in "ab":
        (tmp_path / label).mkdir()
        (tmp_path / label / "1.png").write_bytes(PIXEL)
    (tmp_path / "t.csv").write_text("path,label\na/1.png,x\nb/1.png,y\n")
    assert open_dataset(tmp_path).fields[0].classes == ("a", "b")
    assert open_dataset(tmp_path / "t.csv").fields[0].classes == ("x", "y")


def test_repeated_rows(table):
    data = table("path,label\n0.png,a\n1.png,b\n0.png,a\n")
    assert len(data) == 2
    assert [notice.name for notice in data.notices] == ["repeated-row"]
    with pytest.raises(SaccadeError, match=r"line 4: 0\.png was in line 2"):
        table("path,label\n0.png,a\n1.png,b\n0.png,b\n")


def test_missing_pictures(table):
    data = table("path,label\n0.png,a\n1.png,b\n77.png,b\n")
    with pytest.raises(SaccadeError, match=r"77\.png: does not exist") as caught:
        read.load(data.source, data.examples[2].key, channels=3)
    assert caught.value.name == "broken-file"
    with pytest.raises(SaccadeError, match="2 of 3 pictures are not there") as caught:
        table("path,label\n0.png,a\nx/1.png,b\nx/2.png,b\n")
    assert caught.value.name == "missing-files"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"path,label\n0.png,caf\xe9\n", "line 2: byte 0xe9 is no UTF-8"),
        ("path,label\n0.png,a\n1.png,b,c\n", "line 3: 3 cells under 2 columns"),
        ("path,label,label\n0.png,a,b\n", "column 'label' is there twice"),
        ("name,label\n0.png,a\n1.png,b\n", "no column names the pictures"),
        ("path\n0.png\n", "no column to learn from"),
        ("path,group\n0.png,a\n", "no column to learn from"),
        ("path,label\n", "has a header but no row"),
        ("", "is empty"),
        ('path,label\n0.png,"a\n', "line 2"),
        ("path,label,split\n0.png,a,holdout\n", "line 2: split 'holdout' is unknown"),
        ("path,label\n,a\n", "line 2: column 'path' is empty"),
        ("path,label\n0.png,\n1.png,\n", "no column to learn from"),
        ("path,label\n0.png," + "a" * 200_000 + "\n", "field larger"),
        (
            "path,age\n" + "".join(f"{n}.png,{n}.5\n" for n in range(9)) + "9.png,l2\n",
            "line 11: column 'age' holds 'l2' among numbers",
        ),
    ],
)
def test_faults_are_named(table, text, said):
    with pytest.raises(SaccadeError) as caught:
        table(text)
    assert said in caught.value.message
    assert caught.value.name == "bad-table"


def test_unknown_class_of_another_part(table):
    with pytest.raises(SaccadeError, match="class 'c'") as caught:
        table("path,label,split\n0.png,a,train\n1.png,b,train\n2.png,c,val\n")
    assert caught.value.name == "unknown-class"


def test_task_that_does_not_fit(table):
    with pytest.raises(SaccadeError, match="fitting: classification"):
        table("path,label\n0.png,a\n1.png,b\n", task="regression")


CELL = st.text("ab|;,\"' 0159.-é漢\n", max_size=6)


@settings(max_examples=200, deadline=None)
@given(rows=st.lists(st.tuples(CELL, CELL), min_size=1, max_size=8))
def test_any_cells_give_a_meaning_or_a_named_error(rows):
    import csv
    import io

    stream = io.StringIO()
    csv.writer(stream).writerows([("path", "label", "other"), *[("x.png", *row) for row in rows]])
    try:
        parsed = parse(stream.getvalue().encode(), "t.csv")
        assert [tuple(row[1:]) for row in parsed.cells] == rows
        columns = [
            Column(name, [row[place] for row in parsed.cells], parsed.lines)
            for place, name in enumerate(parsed.header)
            if place
        ]
        meaning = interpret(columns, None, "t.csv")
    except SaccadeError as error:
        assert error.name == "bad-table"
    else:
        assert all(len(part.values) == len(rows) for part in meaning.annotations)


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=200))
def test_any_bytes_are_a_table_or_a_named_error(data):
    try:
        rows = parse(data, "t.csv")
    except SaccadeError as error:
        assert error.name == "bad-table"
    else:
        assert all(len(row) == len(rows.header) for row in rows.cells)
