"""Between formats and back: counts, boxes, classes in order, parts and pictures stay."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from boxed import SIZE, WRITERS, picture
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.data.convert import FORMATS, convert
from saccade.data.dataset import Dataset
from saccade.data.open import open_dataset
from saccade.errors import SaccadeError

SPLITS = st.sampled_from(["train", "dev", "test"])


def same(one: Dataset, other: Dataset) -> None:
    assert one.fields == other.fields
    for left, right in itertools.zip_longest(in_order(one), in_order(other)):
        assert Path(left.key).stem == Path(right.key).stem
        assert left.split == right.split
        assert one.source.load(left.key) == other.source.load(right.key)
        ours, theirs = left.target["objects"], right.target["objects"]
        assert [item["label"] for item in ours] == [item["label"] for item in theirs]
        for mine, yours in zip(ours, theirs, strict=True):
            assert mine["box"] == pytest.approx(yours["box"], abs=1e-5)


def in_order(dataset: Dataset) -> Iterator:
    return iter(sorted(dataset.examples, key=lambda example: Path(example.key).stem))


SIDES = [st.floats(0, side, allow_subnormal=False) for side in SIZE]
NAMES = st.sampled_from(["cat", "dog & co", "süß <3", "Zebra", "ant"])


@st.composite
def boxes(draw: st.DrawFn) -> tuple[str, tuple[float, ...]]:
    x = sorted(draw(st.tuples(SIDES[0], SIDES[0])))
    y = sorted(draw(st.tuples(SIDES[1], SIDES[1])))
    x[1], y[1] = max(x[1], x[0] + 1.0), max(y[1], y[0] + 1.0)
    shift_x, shift_y = max(0.0, x[1] - SIZE[0]), max(0.0, y[1] - SIZE[1])
    return draw(NAMES), (x[0] - shift_x, y[0] - shift_y, x[1] - shift_x, y[1] - shift_y)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("converted")
    return (folder / str(number) for number in itertools.count())


@settings(max_examples=12, deadline=None)
@given(pictures=st.lists(st.lists(boxes(), max_size=4), min_size=1, max_size=4))
def test_round_trips(fresh, pictures):
    """From a table to every format, on to the next, and back."""
    named = {f"p{number}": own for number, own in enumerate(pictures)}
    named["sure"] = [("cat", (1, 2, 30, 40))]
    first = open_dataset(WRITERS["csv"](next(fresh), named))
    seen = first
    for to in (*FORMATS, "voc"):
        out = next(fresh)
        done = convert(seen, to, out)
        assert done.pictures == len(named)
        assert done.annotations == sum(map(len, named.values()))
        seen = open_dataset(out)
        assert not seen.notices
        same(first, seen)


@pytest.mark.parametrize("name", ["facemask-coco", "coco128"])
def test_real_sets_keep_counts_ids_and_parts(shared, tmp_path, name):
    first = open_dataset(shared / name, task="detection")
    seen = first
    for to in FORMATS:
        convert(seen, to, tmp_path / to)
        seen = open_dataset(tmp_path / to)
        assert seen.parts() == first.parts()
        same(first, seen)


def test_points(shared, tmp_path):
    first = open_dataset(shared / "face-landmarks68")
    done = convert(first, "csv", tmp_path / "out")
    assert (done.pictures, done.annotations) == (420, 420 * 68)
    again = open_dataset(tmp_path / "out")
    assert again.fields == first.fields
    assert [example.target for example in again.examples] == [
        example.target for example in first.examples
    ]
    assert [example.group for example in again.examples] == [
        example.group for example in first.examples
    ]
    with pytest.raises(SaccadeError, match="--to csv"):
        convert(first, "voc", tmp_path / "voc")


def test_pictures_of_one_name_in_two_folders(tmp_path):
    for part in ("train", "val"):
        picture(tmp_path / "set" / part / "a.jpg")
    table = "filename,class,xmin,ymin,xmax,ymax,split\n"
    rows = [f"{part}/a.jpg,cat,1,2,{30 + len(part)},40,{part}" for part in ("train", "val")]
    (tmp_path / "set" / "boxes.csv").write_text(table + "\n".join(rows))
    for to in FORMATS:
        convert(open_dataset(tmp_path / "set"), to, tmp_path / to)
        seen = open_dataset(tmp_path / to)
        assert sorted(
            (example.split, example.target["objects"][0]["box"][2]) for example in seen.examples
        ) == [("dev", 33), ("train", 35)]


def test_nothing_is_overwritten(tmp_path):
    root = WRITERS["voc"](tmp_path / "set", {"a": [("cat", (1, 2, 30, 40))]})
    with pytest.raises(SaccadeError, match="never writes to"):
        convert(open_dataset(root), "yolo", root / "yolo")
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").touch()
    with pytest.raises(SaccadeError, match="a new folder"):
        convert(open_dataset(root), "yolo", tmp_path / "there")


@pytest.mark.parametrize("to", ["voc", "yolo"])
def test_pictures_of_one_name_and_two_endings(tmp_path, to):
    """An annotation file is called as its picture is but for the ending."""
    for name in ("a.jpg", "a.png"):
        picture(tmp_path / "set" / "images" / name)
    rows = [f"images/a.{ending},cat,1,2,{30 + 9 * len(ending)},40" for ending in ("jpg", "png")]
    rows[1] = rows[1].replace(",57,", ",60,")
    header = "filename,class,xmin,ymin,xmax,ymax\n"
    (tmp_path / "set" / "boxes.csv").write_text(header + "\n".join(rows))
    convert(open_dataset(tmp_path / "set"), to, tmp_path / to)
    seen = open_dataset(tmp_path / to)
    rights = sorted(each.target["objects"][0]["box"][2] for each in seen.examples)
    assert rights == pytest.approx([57, 60])
