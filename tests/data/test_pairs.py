"""Folders of pictures and masks as people have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from saccade.data.batches import encode_targets
from saccade.data.dataset import Dataset
from saccade.data.ingest import ingest
from saccade.data.masks import find_coding, read_as, with_names
from saccade.data.open import open_dataset
from saccade.errors import SaccadeError

COLOURS = np.random.default_rng(0)
PALETTE = [channel for value in range(256) for channel in (value, 255 - value, value // 2)]


def save(path: Path, array: np.ndarray, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)


def picture(path: Path, height: int = 6, width: int = 8) -> None:
    save(path, COLOURS.integers(0, 256, (height, width, 3), dtype=np.uint8))


def mask_of(values: list[int], kind: type = np.uint8) -> np.ndarray:
    """(6, 8): the values one after another, each row alike."""
    return np.tile(np.resize(np.array(values, dtype=kind), 8), (6, 1))


def masks(dataset: Dataset) -> np.ndarray:
    ingested = ingest(dataset, height=6, width=8, channels=3, fit="stretch", workers=0)
    found = encode_targets(dataset, geometry=ingested.geometry, canvas=(6, 8))
    return found["mask"].numpy()


LAYOUTS = {
    "beside": ("images/a.png", "masks/a.png", None),
    "singular": ("image/a.png", "label/a.png", None),
    "parts above": ("train/images/a.png", "train/masks/a.png", "train"),
    "parts below": ("images/val/a.png", "labels/val/a.png", "dev"),
    "camvid": ("train/a.png", "trainannot/a.png", "train"),
    "words": ("val_images/a.png", "val_masks/a.png", "dev"),
    "voc": ("JPEGImages/a.jpg", "SegmentationClass/a.png", None),
    "ending": ("images/a.png", "labels/a_P.png", None),
    "side by side": ("a.jpg", "a_mask.png", None),
    "wrapped": ("data/x/images/a.png", "data/x/masks/a.png", None),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts(tmp_path: Path, name: str) -> None:
    first, second, part = LAYOUTS[name]
    for letter in "ab":
        picture(tmp_path / first.replace("a.", f"{letter}."))
        save(tmp_path / second.replace("a.", f"{letter}.").replace("a_", f"{letter}_"),
             mask_of([0, 255]))  # fmt: skip
    found = open_dataset(tmp_path)
    assert found.tasks == ("segmentation",)
    assert [example.key for example in found.examples] == [first, first.replace("a.", "b.")]
    assert {example.split for example in found.examples} == {part}
    assert found.fields[0].classes == ("background", "foreground")
    assert masks(found)[0, 0].tolist() == [0, 1] * 4


def test_a_folder_of_classes_named_mask_stays_one(tmp_path: Path) -> None:
    for name in ("mask", "no_mask"):
        for letter in "abc":
            picture(tmp_path / name / f"{name}{letter}.png")
    assert open_dataset(tmp_path).tasks == ("classification",)


def test_palette_keeps_indices_and_255_is_ignored(tmp_path: Path) -> None:
    for letter in "ab":
        picture(tmp_path / "images" / f"{letter}.png")
        palette = Image.fromarray(mask_of([0, 2, 255, 1]))
        palette.putpalette(PALETTE)
        (tmp_path / "masks").mkdir(exist_ok=True)
        palette.save(tmp_path / "masks" / f"{letter}.png")
    (tmp_path / "classes.txt").write_text("ground\ncat\ndog\n")
    found = open_dataset(tmp_path)
    assert found.fields[0].classes == ("ground", "cat", "dog")
    assert masks(found)[0, 0].tolist() == [0, 2, -1, 1] * 2


@pytest.mark.parametrize(
    ("values", "mode", "names", "classes", "decoded"),
    [
        ([0, 1], "L", None, ("background", "foreground"), [0, 1]),
        ([0, 255], "L", None, ("background", "foreground"), [0, 1]),
        ([0, 255], "L", ["cell"], ("background", "cell"), [0, 1]),
        ([0, 255], "L", ["membrane", "cell"], ("membrane", "cell"), [0, 1]),
        ([0, 1, 255], "L", None, ("0", "1"), [0, 1, -1]),
        ([0, 128, 255], "L", None, ("0", "128", "255"), [0, 1, 2]),
        ([0, 1, 2], "L", ["cat", "dog"], ("background", "cat", "dog"), [0, 1, 2]),
        ([0, 3, 7], "P", {3: "sky", 7: "sea", 0: "void"}, ("sky", "sea"), [-1, 0, 1]),
        ([0, 900, 7], "I;16", None, ("background", "foreground"), [0, 1, 1]),
        ([0, 2, 1], "I;16", ["a", "b", "c"], ("a", "b", "c"), [0, 2, 1]),
    ],
)
def test_what_numbers_mean(
    values: list[int], mode: str, names: Any, classes: tuple[str, ...], decoded: list[int]
) -> None:
    coding = find_coding(values, mode, names)
    assert coding.classes == classes
    assert coding.decode(np.array([values])).tolist() == [decoded]


def test_unknown_numbers_are_named_with_their_pixels(tmp_path: Path) -> None:
    for letter in "ab":
        picture(tmp_path / "images" / f"{letter}.png")
        save(tmp_path / "masks" / f"{letter}.png", mask_of([0, 1, 9, 1]))
    (tmp_path / "classes.txt").write_text("ground\ncat\n")
    with pytest.raises(SaccadeError, match=r"masks/a.png: has 9 \(12 pixels\).*masks/b") as caught:
        masks(open_dataset(tmp_path))
    assert caught.value.name == "unknown-class"
    assert caught.value.files == ("masks/a.png", "masks/b.png")


def test_masks_of_another_size_are_named(tmp_path: Path) -> None:
    for letter, height in (("a", 6), ("b", 5)):
        picture(tmp_path / "images" / f"{letter}.png")
        save(tmp_path / "masks" / f"{letter}.png", mask_of([0, 1])[:height])
    with pytest.raises(SaccadeError, match=r"masks/b.png: mask is 5 x 8 .* is 6 x 8") as caught:
        masks(open_dataset(tmp_path))
    assert caught.value.files == ("masks/b.png",)


def test_a_blurred_jpeg_mask_is_black_and_white_and_a_coloured_one_refused(tmp_path: Path) -> None:
    for letter in "ab":
        picture(tmp_path / "images" / f"{letter}.png")
        save(tmp_path / "masks" / f"{letter}.jpg", mask_of([0, 0, 0, 0, 255, 255, 255, 255]),
             quality=60)  # fmt: skip
    assert masks(open_dataset(tmp_path))[0, 0].tolist() == [0] * 4 + [1] * 4
    for letter in "ab":
        picture(tmp_path / "masks" / f"{letter}.jpg")
    told = r"masks/a.jpg, masks/b.jpg: is a coloured picture"
    with pytest.raises(SaccadeError, match=told) as caught:
        masks(open_dataset(tmp_path, task="segmentation"))
    assert caught.value.files == ("masks/a.jpg", "masks/b.jpg")


def test_names_can_be_given(tmp_path: Path) -> None:
    for letter in "ab":
        picture(tmp_path / "images" / f"{letter}.png")
        save(tmp_path / "masks" / f"{letter}.png", mask_of([0, 255]))
    plain = open_dataset(tmp_path)
    given = with_names(plain, ["membrane", "cell"])
    assert given.fields[0].classes == ("membrane", "cell")
    assert np.array_equal(masks(given), masks(plain))
    with pytest.raises(SaccadeError, match=r"1 names \(cell\) for 2 classes \(background"):
        with_names(plain, ["cell"])
    (tmp_path / "classes.txt").write_text("ground\nthing\n")
    assert with_names(open_dataset(tmp_path), ["x", "y"]).fields[0].classes == ("ground", "thing")


def test_partnerless_files_are_noticed(tmp_path: Path) -> None:
    for letter in "abc":
        picture(tmp_path / "images" / f"{letter}.png")
        save(tmp_path / "masks" / f"{letter}.png", mask_of([0, 1]))
    (tmp_path / "masks" / "c.png").unlink()
    found = open_dataset(tmp_path)
    assert len(found) == 2
    assert {notice.name: notice.files for notice in found.notices} == {
        "picture-without-mask": ("images/c.png",)
    }


def test_real_sets_open_as_they_are(shared: Path) -> None:
    isbi = open_dataset(shared / "isbi-membrane")
    assert len(isbi) == 30 and isbi.fields[0].classes == ("background", "foreground")
    nuclei = open_dataset(shared / "nuclei-dsb2018")
    assert len(nuclei) == 80 and nuclei.fields[0].classes == ("background", "foreground")
    first = nuclei.examples[0].target["mask"]
    numbers = np.asarray(Image.open(shared / "nuclei-dsb2018" / first))
    assert np.array_equal(nuclei.source.mask(first, nuclei.fields[0].classes), numbers > 0)  # type: ignore[attr-defined]
    assert nuclei.source.instances(first) == len(np.unique(numbers)) - 1  # type: ignore[attr-defined]
    coco = open_dataset(shared / "coco128", task="segmentation")
    assert len(coco) == 72 and coco.fields[0].classes[:2] == ("person", "bicycle")
    assert "unlabeled" not in coco.fields[0].classes


def test_masks_of_other_pictures_are_read_as_those_of_the_training(tmp_path: Path) -> None:
    """Of the numbers 0, 1 and 2 other pictures hold but 0 and 1; 255 is not labelled there."""
    for letter, values in (("a", [0, 1]), ("b", [1, 1])):
        picture(tmp_path / "images" / f"{letter}.png")
        save(tmp_path / "masks" / f"{letter}.png", mask_of(values))
    found = read_as(open_dataset(tmp_path), ("0", "1", "2"))
    mask = found.source.mask("masks/a.png", ("0", "1", "2"))  # type: ignore[attr-defined]
    assert mask[0, :2].tolist() == [0, 1]
    save(tmp_path / "masks" / "b.png", mask_of([1, 255]))
    found = read_as(open_dataset(tmp_path), ("background", "foreground"))
    mask = found.source.mask("masks/b.png", ("background", "foreground"))  # type: ignore[attr-defined]
    assert mask[0, :2].tolist() == [1, -1]
