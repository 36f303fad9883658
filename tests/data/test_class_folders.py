"""Names of classes and parts come out right for any layout, and oddities are reported."""

from __future__ import annotations

import os
import tempfile
import zipfile
from pathlib import Path

import corpus
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.data import read
from saccade.data.dataset import ordered
from saccade.data.formats import folders
from saccade.data.open import open_dataset
from saccade.errors import SaccadeError

PIXEL = corpus.packed(np.zeros((2, 2, 3), np.uint8), "PNG")


def fill(root: Path, *keys: str) -> Path:
    """Empty folders for keys that end in "/", else a picture or, by its ending, a text."""
    for key in keys:
        path = root / key
        if key.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(PIXEL if path.suffix in (".png", ".jpg", "") else b"a,b\n1,2\n")
    return root


def found(root: Path) -> dict[str, tuple]:
    data = open_dataset(root)
    assert {example.key for example in data.examples} <= {
        path.relative_to(root).as_posix() for path in root.rglob("*")
    }
    return {example.key: (example.split, example.target["label"]) for example in data.examples}


def names(notices) -> dict[str, tuple[str, ...]]:
    return {notice.name: notice.files for notice in notices}


TRAIN = st.sampled_from(["train", "Train", "TRAINING"])
DEV = st.sampled_from(["val", "valid", "Validation", "dev", "VAL"])
CLASS = st.text("abcAB éñß漢19-_", min_size=1, max_size=8).filter(
    lambda name: name.strip() and name.casefold() not in folders.PARTS
    and name.casefold() not in folders._PICTURE_FOLDERS | folders._ANSWER_FOLDERS
)  # fmt: skip


@st.composite
def layouts(draw):
    """(files, expected, classes): what lies where, written down before any reader sees it."""
    classes = draw(
        st.one_of(
            st.lists(CLASS, min_size=2, max_size=5, unique=True),
            st.lists(st.integers(0, 30).map(str), min_size=2, max_size=12, unique=True),
        )
    )
    parts = draw(
        st.sampled_from(
            [[], ["train"], ["train", "dev"], ["train", "test"], ["train", "dev", "test"]]
        )
    )
    tops = {"train": draw(TRAIN), "dev": draw(DEV), "test": draw(st.sampled_from(["test", "Test"]))}
    wrapper = draw(st.sampled_from(["", "", "my data/"]))
    expected = {}
    for part in parts or [None]:
        held = classes if part in (None, "train") else draw(st.sets(st.sampled_from(classes)))
        for label in sorted(held):
            for number in range(draw(st.integers(1, 2))):
                nested = draw(st.sampled_from(["", "", "deep/er/"]))
                top = f"{tops[part]}/" if part else ""
                expected[f"{wrapper}{top}{label}/{nested}{number}.png"] = (part, label)
    base = wrapper + (f"{tops['train']}/" if parts else "")
    clutter = draw(
        st.sets(
            st.sampled_from(
                [
                    ".ipynb_checkpoints/x.png",
                    "aaa_empty/",
                    "notes.csv",
                    "__MACOSX/y.png",
                    "Thumbs.db",
                ]
            )
        )
    )
    inside = {"aaa_empty/", ".ipynb_checkpoints/x.png", "__MACOSX/y.png"}
    extra = [(base if name in inside else wrapper) + name for name in clutter]
    return [*expected, *sorted(extra)], expected, classes


@settings(max_examples=220, deadline=None)
@given(layout=layouts(), zipped=st.booleans())
def test_names_are_right_in_any_layout(layout, zipped):
    files, expected, classes = layout
    by_number = all(name.isdigit() for name in classes)
    table = tuple(sorted(classes, key=int) if by_number else sorted(classes))
    with tempfile.TemporaryDirectory() as folder:
        root = fill(Path(folder) / "data", *files)
        if zipped:
            root = packed(root, files)
        data = open_dataset(root)
    seen = {example.key: (example.split, example.target["label"]) for example in data.examples}
    assert seen == expected
    assert data.fields[0].classes == table
    hidden = [key for key in files if ".ipynb" in key or "MACOSX" in key or "Thumbs" in key]
    reported = " ".join(file for notice in data.notices for file in notice.files)
    for key in hidden + [key for key in files if key.endswith(("notes.csv", "aaa_empty/"))]:
        assert key.removesuffix("/x.png").removesuffix("/y.png").removesuffix("/") in reported


def packed(root: Path, files: list[str]) -> Path:
    target = root.parent / "data.zip"
    with zipfile.ZipFile(target, "w") as archive:
        for key in files:
            if key.endswith("/"):
                archive.mkdir(key)
            else:
                archive.write(root / key, key)
    return target


def test_numbers_sort_by_value_and_words_by_letter():
    assert ordered(str(number) for number in range(12)) == tuple(str(n) for n in range(12))
    assert ordered(["s10", "s2", "s1"]) == ("s1", "s10", "s2")
    assert ordered(["10", "9", "a"]) == ("10", "9", "a")
    assert ordered(["01", "1", "-3", "2.5"]) == ("-3", "01", "1", "2.5")


def test_clutter_never_shifts_a_class(tmp_path):
    root = fill(
        tmp_path / "data", "cat/1.png", "dog/1.png", ".ipynb_checkpoints/1.png", "empty/",
        "backup.zip", "cat/thumbs.db", "cat/notes.txt", "labels.csv", "cat/raw",
    )  # fmt: skip
    data = open_dataset(root)
    assert data.fields[0].classes == ("cat", "dog")
    assert [example.key for example in data.examples] == ["cat/1.png", "cat/raw", "dog/1.png"]
    said = names(data.notices)
    assert said["empty-class"] == ("empty",)
    assert set(said["hidden-folder"]) == {".ipynb_checkpoints", "cat/thumbs.db"}
    assert set(said["loose-file"]) == {"backup.zip", "cat/notes.txt", "labels.csv"}


def test_twins_are_told_and_kept_apart(tmp_path):
    data = open_dataset(fill(tmp_path, "Cat/1.png", "cat/1.png", "cat /1.png", "dog/1.png"))
    assert data.fields[0].classes == ("Cat", "cat", "cat ", "dog")
    assert set(names(data.notices)["case-twins"]) == {"Cat", "cat", "cat "}


def test_class_of_another_part_that_training_lacks(tmp_path):
    root = fill(tmp_path, "train/cat/1.png", "train/dog/1.png", "val/Dog/1.png", "val/cat/1.png")
    with pytest.raises(SaccadeError, match=r"'Dog'.* dev part.*'dog'") as caught:
        open_dataset(root)
    assert caught.value.name == "unknown-class"
    assert caught.value.files == ("val/Dog/1.png",)


def test_class_that_only_training_has_is_a_remark(tmp_path):
    data = open_dataset(fill(tmp_path, "train/cat/1.png", "train/dog/1.png", "val/cat/1.png"))
    assert data.fields[0].classes == ("cat", "dog")
    assert data.parts() == {"train": 2, "dev": 1}
    (notice,) = [notice for notice in data.notices if notice.name == "class-missing-in-part"]
    assert (notice.severity, notice.files) == ("info", ("dog",))


def test_folders_beside_the_parts_and_pictures_without_class(tmp_path):
    root = fill(
        tmp_path, "train/a/1.png", "train/b/1.png", "test/a/1.png", "extra/1.png", "train/loose.png"
    )
    assert set(found(root)) == {"train/a/1.png", "train/b/1.png", "test/a/1.png"}
    said = names(open_dataset(root).notices)
    assert set(said["picture-without-class"]) == {"extra/1.png", "train/loose.png"}


def test_a_class_may_be_called_train(tmp_path):
    root = fill(tmp_path, "bus/1.png", "car/1.png", "train/1.png")
    assert open_dataset(root).fields[0].classes == ("bus", "car", "train")


def test_parts_below_classes_are_pointed_out(tmp_path):
    data = open_dataset(fill(tmp_path, "a/train/1.png", "b/train/1.png", "a/test/1.png"))
    assert set(names(data.notices)["part-below-class"]) == {"train", "test"}


def test_wrapping_folders(tmp_path):
    assert set(found(fill(tmp_path / "1", "x/y/train/a/1.png", "x/y/train/b/1.png")).values()) == {
        ("train", "a"),
        ("train", "b"),
    }
    lone = open_dataset(fill(tmp_path / "2", "cats/1.png", "dogs/"))
    assert lone.fields[0].classes == ("cats",)
    assert {"empty-class", "single-class"} <= set(names(lone.notices))


@pytest.mark.parametrize(
    "keys",
    [
        ["1.png", "2.png"],
        ["images/1.png"],
        ["train/1.png", "test/1.png"],
        ["a/notes.txt"],
        [],
    ],
)
def test_no_labels(tmp_path, keys):
    with pytest.raises(SaccadeError, match="no labels found") as caught:
        open_dataset(fill(tmp_path, "data/", *(f"data/{key}" for key in keys)) / "data")
    assert caught.value.name == "no-labels"


def test_links_are_followed_once(tmp_path):
    root = fill(tmp_path / "data", "a/1.png", "b/1.png")
    (root / "a" / "loop").symlink_to(root)
    (root / "a" / "self").symlink_to(".")
    (root / "0_alias").symlink_to("b")
    fill(tmp_path / "elsewhere", "1.png", "2.png")
    (root / "c").symlink_to(tmp_path / "elsewhere")
    data = open_dataset(root)
    keys = [example.key for example in data.examples]
    assert keys == ["a/1.png", "b/1.png", "c/1.png", "c/2.png"]
    assert set(names(data.notices)["repeated-folder"]) == {"0_alias", "a/loop", "a/self"}


def test_names_that_are_no_utf8(tmp_path):
    odd = os.fsdecode(b"caf\xe9")
    fill(tmp_path, f"{odd}/\udcff.png", "plain/\udcff.png")
    data = open_dataset(tmp_path)
    assert data.fields[0].classes == (odd, "plain")
    for example in data.examples:
        assert read.load(data.source, example.key, channels=3).shape == (2, 2, 3)
    (tmp_path / "loose \udcff.txt").write_text("x")
    for notice in open_dataset(tmp_path).notices:
        assert notice.message.encode()


def test_nothing_is_written_and_tasks_are_checked(tmp_path):
    root = fill(tmp_path / "data", "a/1.png", "b/1.png")
    before = sorted((path, path.stat().st_mtime_ns) for path in [root, *root.rglob("*")])
    data = open_dataset(str(root), task="classification")
    read.load(data.source, data.examples[0].key, channels=1)
    assert sorted((path, path.stat().st_mtime_ns) for path in [root, *root.rglob("*")]) == before
    assert data.tasks == ("classification",)
    with pytest.raises(SaccadeError, match="fitting: classification"):
        open_dataset(root, task="regression")


def test_select_keeps_the_class_table(tmp_path):
    data = open_dataset(fill(tmp_path, "a/1.png", "b/1.png"))
    part = data.select([1])
    assert [example.key for example in part.examples] == ["b/1.png"]
    assert part.fields == data.fields
    assert len(part) == 1


def test_what_is_not_there(tmp_path):
    fill(tmp_path, "photos/")
    for name in ("nothing", "a\0b", "sample:nothing"):
        with pytest.raises(SaccadeError):
            open_dataset(name if ":" in name else tmp_path / name)
    with pytest.raises(SaccadeError, match="holds photos"):
        open_dataset(tmp_path / "nothing")
    (tmp_path / "notes.docx").write_bytes(b"hello")
    with pytest.raises(SaccadeError, match="neither a folder"):
        open_dataset(tmp_path / "notes.docx")


def test_sample_digits():
    data = open_dataset("sample:digits")
    assert len(data) == 1797
    assert data.fields[0].classes == tuple("0123456789")
    first = read.load(data.source, data.examples[0].key, channels=1)
    assert first.shape == (8, 8, 1)
    assert first[0, 3, 0] == round(13 * 255 / 16)  # value 13 of 16 in UCI's file
    with pytest.raises(SaccadeError, match="did you mean sample:digits"):
        open_dataset("sample:digit")


def test_real_sets_open_as_they_are(shared):
    ants = open_dataset(shared / "hymenoptera")
    assert ants.parts() == {"train": 244, "dev": 153}
    assert ants.fields[0].classes == ("ants", "bees")
    faces = open_dataset(shared / "orl-faces")
    assert (len(faces), len(faces.fields[0].classes)) == (300, 30)
    assert read.load(faces.source, "s1/1.pgm", channels=1).shape == (112, 92, 1)
    small = open_dataset(shared / "cifar10-jpg" / "train.zip")
    assert small.parts() == {"train": 8000}
    both = open_dataset(shared / "cifar10-jpg")
    assert both.parts() == {"train": 8000, "test": 2000}
    fashion = open_dataset(shared / "fashion-mnist")
    assert fashion.parts() == {"train": 60_000, "test": 10_000}
    assert fashion.fields[0].classes == tuple("0123456789")
    several = open_dataset(shared / "coco128" / "multilabel.csv")
    assert several.tasks == ("multilabel",)
    assert {type(example.target["labels"]) for example in several.examples} == {list}
    for data in (ants, small, both, fashion, several):
        assert read.load(data.source, data.examples[-1].key, channels=3).shape[2] == 3


def test_pictures_without_classes_beside_the_training_part(tmp_path):
    """As competitions give them: the classes are those inside train, not train and test1."""
    root = fill(tmp_path, "train/cat/1.png", "train/dog/1.png", "test1/1.png", "test1/2.png")
    data = open_dataset(root)
    assert data.fields[0].classes == ("cat", "dog") and data.parts() == {"train": 2}
    said = names(data.notices)
    assert set(said["picture-without-class"]) == {"test1/1.png", "test1/2.png"}
