"""IDX files, zip archives and dataset objects: good ones, damaged ones, hostile ones."""

from __future__ import annotations

import copy
import gzip
import stat
import struct
import threading
import zipfile
from pathlib import Path

import corpus
import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Subset, TensorDataset

from saccade.data import read
from saccade.data.formats.archive import Zip
from saccade.data.open import open_dataset
from saccade.errors import SaccadeError

PICTURES = np.random.default_rng(0).integers(0, 256, (6, 5, 4), dtype=np.uint8)
GOOD = corpus.packed(corpus.scene(), "PNG")


def idx(array: np.ndarray, kind: int = 8) -> bytes:
    shape = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, kind, array.ndim]) + shape + array.tobytes()


def mnist(folder: Path, part: str, rows: slice, *, packed: bool = True) -> None:
    labels = (np.arange(6, dtype=np.uint8) % 3)[rows]
    for name, array in (("images-idx3", PICTURES[rows]), ("labels-idx1", labels)):
        data = idx(array)
        path = folder / f"{part}-{name}-ubyte{'.gz' if packed else ''}"
        path.write_bytes(gzip.compress(data) if packed else data)


@pytest.mark.parametrize("packed", [True, False])
def test_idx(tmp_path, packed):
    mnist(tmp_path, "train", slice(0, 4), packed=packed)
    mnist(tmp_path, "t10k", slice(3, 6), packed=packed)
    data = open_dataset(tmp_path)
    assert data.parts() == {"train": 4, "test": 3}
    assert data.fields[0].classes == ("0", "1", "2")
    by_key = {example.key: example for example in data.examples}
    ending = ".gz" if packed else ""
    key = f"t10k-images-idx3-ubyte{ending}#2"
    assert by_key[key].target == {"label": "2"}
    assert np.array_equal(read.load(data.source, key, channels=1)[..., 0], PICTURES[5])
    first = tmp_path / f"train-images-idx3-ubyte{ending}"
    assert len(open_dataset(first)) == 7
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for path in tmp_path.glob("*ubyte*"):
            archive.write(path, f"mnist/{path.name}")
    assert open_dataset(tmp_path / "all.zip").parts() == data.parts()


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (b"", "expected an IDX header"),
        (b"\0\0\x08", "expected an IDX header"),
        (b"PK\x03\x04aaaa", "expected an IDX header"),
        (b"\0\0\x08\x03\0\0\0\x01", "ends within its header"),
        (idx(PICTURES)[:-3], "but holds 117"),
        (idx(PICTURES) + b"x", "but holds more"),
        (gzip.compress(idx(PICTURES))[:-20], "cannot be unpacked"),
        (b"\x1f\x8b" + b"junk" * 9, "cannot be unpacked"),
        (idx(PICTURES[:5]), "5 pictures; expected one label each"),
        (idx(PICTURES[0]), "expected uint8"),
        (idx(PICTURES.astype(">i4"), 12), "expected uint8"),
        (struct.pack(">IIII", 0x803, 2**31, 2**31, 2**31), "are allowed"),
        (idx(PICTURES[:, :0]), "holds no picture"),
    ],
)
def test_damaged_idx_is_named(tmp_path, images, said):
    mnist(tmp_path, "train", slice(0, 6))
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(images)
    with pytest.raises(SaccadeError) as caught:
        open_dataset(tmp_path)
    assert said in caught.value.message
    assert caught.value.name == "broken-idx"


def archive_of(path: Path, members: dict[str, bytes], **options) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_zip_of_class_folders_parts_and_tables(tmp_path):
    parts = {f"data/{part}/{label}/1.png": GOOD for part in ("train", "val") for label in "ab"}
    hidden = {"__MACOSX/data/._1.png": b"x", "data/.DS_Store": b"x"}
    data = open_dataset(archive_of(tmp_path / "p.zip", {**parts, **hidden}))
    assert data.parts() == {"train": 2, "dev": 2}
    assert np.array_equal(read.load(data.source, "data/val/b/1.png", channels=3), corpus.scene())
    (notice,) = [notice for notice in data.notices if notice.name == "hidden-folder"]
    assert set(notice.files) == {"__MACOSX", "data/.DS_Store"}
    table = {
        "d/t.csv": b"path,label\n1.png,a\n2.png,b\n",
        "d/images/1.png": GOOD,
        "d/images/2.png": GOOD,
    }
    data = open_dataset(archive_of(tmp_path / "t.zip", table))
    assert [example.key for example in data.examples] == ["d/images/1.png", "d/images/2.png"]


def test_folder_of_archives(tmp_path):
    archive_of(tmp_path / "train.zip", {"a/1.png": GOOD, "b/1.png": GOOD})
    archive_of(tmp_path / "test.zip", {"test/a/2.png": GOOD})
    data = open_dataset(tmp_path)
    assert data.parts() == {"train": 2, "test": 1}
    assert read.load(data.source, "test.zip/test/a/2.png", channels=1).shape == (30, 40, 1)
    archive_of(tmp_path / "test.zip", {"c/2.png": GOOD})
    with pytest.raises(SaccadeError, match="class 'c'"):
        open_dataset(tmp_path)


def test_damaged_member_spares_its_neighbours(tmp_path):
    path = tmp_path / "d.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("a/1.png", "a/2.png", "b/1.png"):
            archive.writestr(name, GOOD)
    data = bytearray(path.read_bytes())
    second = data.index(b"a/2.png") + 60
    data[second] ^= 255
    path.write_bytes(data)
    opened = open_dataset(path)
    with pytest.raises(SaccadeError, match="damaged in") as caught:
        read.load(opened.source, "a/2.png", channels=3)
    assert (caught.value.name, caught.value.files) == ("broken-file", ("a/2.png",))
    for key in ("a/1.png", "b/1.png"):
        assert read.load(opened.source, key, channels=3).shape == (30, 40, 3)


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.parametrize(
    "member",
    [
        "../../etc/passwd", "/etc/passwd", "a/../../b.png", "..\\..\\b.png", "C:/b.png",
        "a/..", "a\\..\\..\\b.png", link("a/2.png"),
    ],
)  # fmt: skip
def test_hostile_members_are_refused(tmp_path, member):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a/1.png", GOOD)
        archive.writestr(member, b"/etc/passwd")
    with pytest.raises(SaccadeError) as caught:
        open_dataset(tmp_path / "x.zip")
    assert caught.value.name == "unsafe-zip"
    assert list(tmp_path.parent.glob("**/passwd")) == []


def test_bombs_are_refused_before_unpacking(tmp_path):
    bomb = archive_of(tmp_path / "bomb.zip", {"a/1.png": bytes(64 << 20), "a/2.png": GOOD})
    assert bomb.stat().st_size < 100_000
    with pytest.raises(SaccadeError, match="times its size") as caught:
        open_dataset(bomb)
    assert caught.value.name == "unsafe-zip"
    many = archive_of(tmp_path / "many.zip", {f"a/{n}.png": b"x" for n in range(50)})
    with pytest.raises(SaccadeError, match="50 members; 49"):
        Zip(many, max_members=49)
    with pytest.raises(SaccadeError, match="unpacks to 50 bytes; 49"):
        Zip(many, max_total=49)
    assert len(Zip(many).files) == 50


def test_names_twice_encryption_and_rare_compression(tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/1.png", GOOD)
        archive.writestr("a\\1.png", GOOD)
    with pytest.raises(SaccadeError, match="same name"):
        Zip(path)
    archive_of(path, {"a/1.png": GOOD})
    data = bytearray(path.read_bytes())
    directory = data.index(b"PK\x01\x02")
    data[directory + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(SaccadeError, match="encrypted"):
        Zip(path)
    data[directory + 8] &= 254
    data[directory + 10] = 98
    path.write_bytes(data)
    with pytest.raises(SaccadeError, match="compression 98"):
        Zip(path)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"hello" * 50, b"PK\x05\x06" + bytes(10)])
def test_what_is_no_zip(tmp_path, data):
    (tmp_path / "x.zip").write_bytes(data)
    with pytest.raises(SaccadeError, match=r"x\.zip: no readable zip") as caught:
        open_dataset(tmp_path / "x.zip")
    assert caught.value.name == "broken-zip"


def test_zip_in_threads_and_other_processes(tmp_path):
    names = [f"{'ab'[n % 2]}/{n}.png" for n in range(20)]
    members = {name: corpus.packed(corpus.scene(n), "PNG") for n, name in enumerate(names)}
    source = open_dataset(archive_of(tmp_path / "x.zip", members)).source
    moved = copy.copy(source)  # by its state, as it goes to other processes
    wrong: list[str] = []

    def work() -> None:
        for name in names:
            wrong.extend([name] if moved.load(name) != members[name] else [])

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


class Faces:
    """As torchvision's: names in `classes`, labels in `targets`."""

    classes = ("ann", "bob")
    targets = (1, 0, 1)
    looked = 0

    def __len__(self) -> int:
        return 3

    def __getitem__(self, row: int):
        type(self).looked += 1
        return Image.fromarray(corpus.scene(row)), self.targets[row]


def test_dataset_object():
    data = open_dataset(Faces())
    assert Faces.looked == 0
    assert [example.target["label"] for example in data.examples] == ["bob", "ann", "bob"]
    assert data.fields[0].classes == ("ann", "bob")
    assert np.array_equal(read.load(data.source, "item#2", channels=3), corpus.scene(2))
    part = open_dataset(Subset(Faces(), [1, 2]))
    assert [example.target["label"] for example in part.examples] == ["ann", "bob"]
    assert np.array_equal(read.load(part.source, "item#0", channels=3), corpus.scene(1))


def test_tensors_and_their_labels():
    colour = torch.rand(5, 3, 8, 9)
    data = open_dataset(TensorDataset(colour, torch.tensor([0, 11, 2, 2, 0])))
    assert data.fields[0].classes == ("0", "2", "11")
    found = read.load(data.source, "item#3", channels=3)
    assert np.array_equal(found, np.rint(colour[3].permute(1, 2, 0).numpy() * 255))
    values = open_dataset(TensorDataset(colour, torch.rand(5, 2)))
    assert (values.tasks, values.fields[0].kind) == (("regression",), "values")
    assert len(values.examples[0].target["values"]) == 2
    several = open_dataset(
        TensorDataset(colour, torch.tensor([[0, 1], [1, 1], [0, 0], [1, 0], [0, 1]]))
    )
    assert several.tasks[0] == "multilabel"
    assert several.examples[1].target == {"labels": ["0", "1"]}


@pytest.mark.parametrize(
    ("items", "said"),
    [
        ([], "is empty"),
        ([1, 2], "expected .picture, label."),
        ([(np.zeros((2, 2)), {"a": 1})], "a mapping for a label"),
        ([(0, "a"), (0, [1.0])], "different kinds"),
        (3.5, "has no length"),
    ],
)
def test_bad_objects(items, said):
    with pytest.raises(SaccadeError, match=said) as caught:
        open_dataset(items)
    assert caught.value.name == "bad-dataset"


def test_normalised_and_failing_items():
    data = open_dataset([(np.full((2, 2), -1.5), "a"), (np.zeros((2, 2)), "b")])
    with pytest.raises(SaccadeError, match="leave normalisation") as caught:
        read.load(data.source, "item#0", channels=1)
    assert caught.value.name == "broken-file"
    assert read.load(data.source, "item#1", channels=1).sum() == 0


def test_a_file_and_its_packed_twin_count_once(tmp_path):
    mnist(tmp_path, "train", slice(0, 4), packed=True)
    mnist(tmp_path, "train", slice(0, 4), packed=False)
    assert open_dataset(tmp_path).parts() == {"train": 4}
