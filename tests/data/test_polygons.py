"""Outlines of COCO and YOLO files as masks, against pycocotools and plain geometry."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from saccade.data.formats.polygons import decode_runs
from saccade.data.open import open_dataset
from saccade.errors import SaccadeError


def write(root: Path, annotations: list[dict[str, object]]) -> None:
    (root / "images").mkdir(parents=True)
    for number in (1, 2):
        Image.new("RGB", (20, 10)).save(root / "images" / f"{number}.png")
    data = {
        "images": [{"id": n, "file_name": f"{n}.png", "width": 20, "height": 10} for n in (1, 2)],
        "categories": [{"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}],
        "annotations": [
            {"id": n, "bbox": [2, 2, 9, 4], "area": 1, "iscrowd": 0, **row}
            for n, row in enumerate(annotations)
        ],
    }
    (root / "annotations.json").write_text(json.dumps(data))


def test_coco_polygons_and_runs(tmp_path: Path) -> None:
    square = [2, 2, 11, 2, 11, 6, 2, 6]
    runs = {"size": [10, 20], "counts": [3, 2, 195]}
    write(tmp_path, [
        {"image_id": 1, "category_id": 3, "segmentation": [square]},
        {"image_id": 1, "category_id": 7, "segmentation": [[4, 3, 6, 3, 6, 5, 4, 5]]},
        {"image_id": 2, "category_id": 7, "segmentation": runs},
    ])  # fmt: skip
    found = open_dataset(tmp_path, task="segmentation")
    classes = found.fields[0].classes
    assert classes == ("background", "cat", "dog") and len(found) == 2
    first = found.source.mask("images/1.png", classes)  # type: ignore[attr-defined]
    assert first.shape == (10, 20)
    # a polygon's pixels are those whose centres lie in it; the smaller one lies on top
    expected = np.zeros((10, 20))
    expected[2:6, 2:11] = 1
    expected[3:5, 4:6] = 2
    assert np.array_equal(first, expected)
    second = found.source.mask("images/2.png", classes)  # type: ignore[attr-defined]
    assert np.argwhere(second == 2).tolist() == [[3, 0], [4, 0]]


def test_compressed_runs_are_those_of_pycocotools() -> None:
    api = pytest.importorskip("pycocotools.mask")
    random = np.random.default_rng(0)
    for _ in range(5):
        mask = np.asfortranarray(random.random((13, 17)) < 0.4, dtype=np.uint8)
        text = api.encode(mask)["counts"].decode()
        runs = decode_runs(text)
        flat = np.repeat(np.arange(len(runs)) % 2, runs)
        assert np.array_equal(flat.reshape(17, 13).T, mask)


def test_yolo_polygons(tmp_path: Path) -> None:
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    for number in (1, 2):
        Image.new("RGB", (20, 10)).save(tmp_path / "images" / f"{number}.png")
        lines = "0 0.1 0.2 0.5 0.2 0.5 0.6 0.1 0.6\n1 0.8 0.5 0.2 0.4\n"
        (tmp_path / "labels" / f"{number}.txt").write_text(lines)
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    found = open_dataset(tmp_path, task="segmentation")
    mask = found.source.mask("images/1.png", found.fields[0].classes)  # type: ignore[attr-defined]
    expected = np.zeros((10, 20))
    expected[2:6, 2:10], expected[3:7, 14:18] = 1, 2
    assert np.array_equal(mask, expected)
    assert "segmentation" not in open_dataset(tmp_path).tasks


def test_runs_of_another_size_are_named(tmp_path: Path) -> None:
    runs = {"size": [5, 5], "counts": [3, 2, 20]}
    write(tmp_path, [{"image_id": 1, "category_id": 3, "segmentation": runs}])
    found = open_dataset(tmp_path, task="segmentation")
    with pytest.raises(SaccadeError, match=r"1.png: .* is 5 x 5 pixels .* 10 x 20"):
        found.source.mask("images/1.png", found.fields[0].classes)  # type: ignore[attr-defined]
