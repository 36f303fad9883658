"""Boxes as VOC, COCO, YOLO and tables have them: the same boxes, whatever the format."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from boxed import SIZE, WRITERS, coco, picture, table, voc, yolo

from saccade.data.dataset import Dataset
from saccade.data.open import open_dataset
from saccade.errors import SaccadeError

NAN = math.nan

GOOD = {
    "a": [("cat", (10, 10, 40, 50)), ("dog", (50, 5, 90, 70))],
    "b": [("dog", (0, 0, 100, 80))],
    "empty": [],
    "c": [("cat", (1, 2, 30, 40)), ("cat", (60, 40, 99, 79)), ("dog", (5, 40, 45, 75))],
    "d": [("dog", (20, 20, 60, 60)), ("cat", (30, 10, 70, 50)), ("dog", (40, 30, 90, 75))],
}


def boxes(dataset: Dataset) -> dict[str, list[tuple[str, tuple[float, ...]]]]:
    """Class and box, rounded to a thousandth of a pixel, by the picture's bare name."""
    return {
        Path(example.key).stem: [
            (item["label"], tuple(round(number, 3) for number in item["box"]))
            for item in example.target["objects"]
        ]
        for example in dataset.examples
    }


def names(dataset: Dataset) -> set[str]:
    return {notice.name for notice in dataset.notices}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_every_format_tells_the_same(tmp_path, write):
    dataset = open_dataset(write(tmp_path / "set", GOOD))
    expected = {name: [(label, box) for label, box in own] for name, own in GOOD.items()}
    assert boxes(dataset) == expected
    assert dataset.fields[0].kind == "boxes"
    assert set(dataset.fields[0].classes) == {"cat", "dog"}
    assert dataset.tasks[0] == "detection"
    assert not dataset.notices


FAULTS = {
    "box-not-a-number": ("cat", (NAN, 10, 40, 50)),
    "box-zero-size": ("cat", (10, 10, 10, 50)),
    "box-outside": ("cat", (50, 10, 120, 50)),
    "box-clipped": ("cat", (90, 10, 100.8, 50)),
    "box-wrong-order": ("cat", (40, 50, 10, 10)),
    "box-negative-size": ("cat", (40, 50, 10, 10)),
}
REPAIRED = {"box-clipped": (90, 10, 100, 50), "box-wrong-order": (10, 10, 40, 50)}
SIZED = {"coco", "yolo"}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_planted_faults_are_named_and_change_no_neighbour(tmp_path, write):
    """Each fault stands between two sound boxes of its picture; all of them in one data set."""
    sized = write.__name__ in SIZED
    planted = {
        f: own
        for f, own in FAULTS.items()
        if f != ("box-wrong-order" if sized else "box-negative-size")
    }
    before, after = ("dog", (5, 5, 20, 20)), ("cat", (30, 30, 80, 70))
    found = open_dataset(
        write(
            tmp_path / "set",
            {**GOOD, **{fault: [before, own, after] for fault, own in planted.items()}},
        )
    )
    told = boxes(found)
    assert {name: told[name] for name in GOOD} == GOOD
    by_name = {notice.name: notice for notice in found.notices}
    assert set(by_name) == set(planted)
    for fault in planted:
        middle = [("cat", REPAIRED[fault])] if fault in REPAIRED else []
        assert told[fault] == [before, *middle, after]
        assert [Path(key).stem for key in by_name[fault].files] == [fault]
        assert by_name[fault].message.startswith("1 box ")


def test_class_ids_out_of_range(tmp_path):
    root = yolo(tmp_path / "set", GOOD)
    labels = root / "labels" / "a.txt"
    labels.write_text("7 0.5 0.5 0.2 0.2\n" + labels.read_text() + "\nx 0.5 0.5 0.2 0.2\n")
    found = open_dataset(root)
    assert boxes(found) == GOOD
    (notice,) = found.notices
    assert notice.name == "box-unknown-class" and "line 1" in notice.message
    assert notice.message.startswith("2 boxes")


def test_coco_category_without_name_and_annotations_without_picture(tmp_path):
    root = coco(tmp_path / "set", GOOD)
    data = json.loads((root / "instances.json").read_text())
    data["annotations"] += [
        {"id": 91, "image_id": 0, "category_id": 77, "bbox": [1, 1, 5, 5]},
        {"id": 92, "image_id": 55, "category_id": 1, "bbox": [1, 1, 5, 5]},
        {"id": 93, "image_id": 0, "bbox": [1, 1, 5, 5]},
        {"id": 94, "image_id": 0, "category_id": 1, "bbox": None},
    ]
    (root / "instances.json").write_text(json.dumps(data))
    found = open_dataset(root)
    assert boxes(found) == GOOD
    expected = {"box-unknown-class", "box-without-picture", "box-without-class", "box-not-a-number"}
    assert names(found) == expected


@pytest.mark.parametrize("first", [0, 1])
def test_ids_count_from_zero_or_one(tmp_path, first):
    assert boxes(open_dataset(coco(tmp_path / "coco", GOOD, first=first))) == GOOD
    found = open_dataset(yolo(tmp_path / "yolo", GOOD, first=first))
    assert boxes(found) == GOOD
    assert names(found) == ({"class-ids-from-one"} if first else set())


def test_unused_parent_class_is_no_class(tmp_path):
    root = coco(tmp_path / "set", GOOD)
    data = json.loads((root / "instances.json").read_text())
    for row in data["categories"]:
        row["supercategory"] = "pets"
    data["categories"].insert(0, {"id": 0, "name": "pets", "supercategory": "none"})
    (root / "instances.json").write_text(json.dumps(data))
    found = open_dataset(root)
    assert found.fields[0].classes == ("cat", "dog")
    assert names(found) == {"unused-parent-class"}


def test_corners_in_coco_are_guessed_and_said(tmp_path):
    found = open_dataset(coco(tmp_path / "set", GOOD, corners=True))
    assert boxes(found) == GOOD
    assert names(found) == {"box-format-guessed"}


def test_not_one_usable_box_is_refused(tmp_path):
    with pytest.raises(SaccadeError, match="has no width or no height") as caught:
        open_dataset(voc(tmp_path / "set", {"a": [("cat", (5, 5, 5, 5))], "b": []}))
    assert caught.value.name == "bad-boxes"


@pytest.mark.parametrize("drawn_on", ["stored", "displayed"])
@pytest.mark.parametrize("orientation", [6, 8])
def test_boxes_follow_exif(tmp_path, drawn_on, orientation):
    """The size that the annotation states tells on which picture the box was drawn."""
    root = voc(tmp_path / "set", {**GOOD, "turned": [("cat", (10, 20, 30, 60))]})
    picture(root / "JPEGImages" / "turned.jpg", orientation=orientation)
    file = root / "Annotations" / "turned.xml"
    width, height = SIZE
    if drawn_on == "displayed":
        text = file.read_text().replace(f"<width>{width}", f"<width>{height}")
        file.write_text(text.replace(f"<height>{height}", f"<height>{width}"))
    found = open_dataset(root)
    turned = {6: (20, 10, 60, 30), 8: (20, 70, 60, 90)}[orientation]
    # a quarter turn clockwise puts (x, y) at (height - y, x)
    stored = {6: (height - 60, 10, height - 20, 30), 8: (20, width - 30, 60, width - 10)}
    expected = stored[orientation] if drawn_on == "stored" else (10, 20, 30, 60)
    assert boxes(found)["turned"] == [("cat", tuple(map(float, expected)))]
    assert len(turned) == 4
    assert names(found) == ({"boxes-turned"} if drawn_on == "stored" else set())


def test_annotated_at_half_size_is_scaled(tmp_path):
    root = voc(tmp_path / "set", GOOD)
    picture(root / "JPEGImages" / "b.jpg", size=(200, 160))
    found = open_dataset(root)
    assert boxes(found)["b"] == [("dog", (0, 0, 200, 160))]
    assert names(found) == {"annotated-at-other-size"}


def test_localization_takes_the_largest_object(tmp_path):
    many = {f"p{number}": [("cat", (10, 10, 40, 50))] for number in range(9)}
    root = table(tmp_path / "set", {**many, "two": GOOD["a"], "none": []})
    assert open_dataset(root).tasks == ("detection", "localization")
    found = open_dataset(root, task="localization")
    targets = {Path(example.key).stem: example.target["objects"] for example in found.examples}
    assert found.fields[0].kind == "box"
    assert targets["two"] == {"box": [50, 5, 90, 70], "label": "dog"}
    assert targets["none"]["box"] is None
    assert names(found) == {"several-objects"}
    with pytest.raises(SaccadeError, match="fitting: detection"):
        open_dataset(voc(tmp_path / "many", GOOD), task="localization")


def test_image_sets_name_the_parts(tmp_path):
    root = voc(tmp_path / "set", GOOD)
    (root / "ImageSets" / "Main").mkdir(parents=True)
    for name, pictures in {"trainval": "a\nb\nempty\nc", "val": "b", "test": "d"}.items():
        (root / "ImageSets" / "Main" / f"{name}.txt").write_text(pictures)
    parts = {Path(example.key).stem: example.split for example in open_dataset(root).examples}
    assert parts == {"a": "train", "b": "dev", "empty": "train", "c": "train", "d": "test"}


@pytest.mark.parametrize("prefix", ["", "../", "/content/somewhere/else/"])
def test_data_yaml(tmp_path, prefix):
    """Exports write paths of another machine; the folder and the file itself both open."""
    root = tmp_path / "set"
    for part, name in (("train", "a"), ("train", "b"), ("valid", "c")):
        yolo(tmp_path / name, {name: GOOD[name]})
        for kind in ("images", "labels"):
            (root / part / kind).mkdir(parents=True, exist_ok=True)
            for file in (tmp_path / name / kind).iterdir():
                file.rename(root / part / kind / file.name)
    (root / "valid" / "labels" / "c.txt").unlink()
    (root / "data.yaml").write_text(
        f"train: {prefix}train/images\nval: {prefix}valid/images\nnc: 2\nnames: [cat, dog]\n"
    )
    for found in (open_dataset(root), open_dataset(root / "data.yaml")):
        parts = {Path(example.key).stem: example.split for example in found.examples}
        assert parts == {"a": "train", "b": "train", "c": "dev"}
        assert boxes(found)["a"] == GOOD["a"] and boxes(found)["c"] == []
        assert names(found) == {"picture-without-annotation"}


def test_outlines_become_the_boxes_around_them(tmp_path):
    root = yolo(tmp_path / "set", GOOD)
    (root / "labels" / "b.txt").write_text("1 0.1 0.1 0.5 0.2 0.3 0.9\n")
    found = open_dataset(root)
    assert boxes(found)["b"] == [("dog", (10, 8, 50, 72))]
    assert names(found) == {"polygons"}


def test_real_sets_open_as_they_are(shared):
    expected = {
        "bccd": (364, 4886, {"box-zero-size"}),
        "facemask-coco": (220, 1109, set()),
        "raccoon": (200, 217, set()),
        "raccoon/raccoon_labels.csv": (200, 217, set()),
    }
    for name, (pictures, count, told) in expected.items():
        found = open_dataset(shared / name)
        assert (len(found), sum(map(len, boxes(found).values()))) == (pictures, count)
        assert names(found) == told
    assert open_dataset(shared / "bccd").parts() == {"train": 205, "dev": 87, "test": 72}
    asked = open_dataset(shared / "coco128", task="detection")
    assert sum(map(len, boxes(asked).values())) == 597 and len(asked.fields[0].classes) == 80


def test_the_task_is_asked_for_where_several_fit(shared):
    with pytest.raises(SaccadeError, match=r"--task detection.*--task multilabel") as caught:
        open_dataset(shared / "coco128")
    assert caught.value.name == "several-tasks"


def test_points_of_real_faces(shared):
    found = open_dataset(shared / "face-landmarks68")
    assert found.tasks[0] == "landmarks"
    assert len(found) == 420 and len(found.fields[0].classes) == 68
    assert len({example.group for example in found.examples}) == 113
    lowest = min(min(point) for e in found.examples for point in e.target["points"])
    assert lowest == -23


def test_points_by_name_with_blanks(tmp_path):
    for name in ("a", "b"):
        picture(tmp_path / f"{name}.jpg")
    text = "image,left_eye_x,left_eye_y,x_nose,y_nose\na.jpg,1,2,30.5,4\nb.jpg,,,3,-7\n"
    (tmp_path / "points.csv").write_text(text)
    found = open_dataset(tmp_path)
    assert found.fields[0].classes == ("left_eye", "nose")
    points = [example.target["points"] for example in found.examples]
    assert points == [[[1, 2], [30.5, 4]], [None, [3, -7]]]
    (tmp_path / "points.csv").write_text(text.replace("30.5", ""))
    with pytest.raises(SaccadeError, match=r"line 2.*'x_nose'"):
        open_dataset(tmp_path)


def test_boxes_never_go_to_a_picture_of_the_same_name_elsewhere(tmp_path):
    """cam2/a.jpg is not there, and its box must not land on cam1/a.jpg."""
    root = coco(tmp_path / "set", {"a": [("cat", (1, 2, 30, 40))], "b": [("cat", (5, 5, 20, 20))]})
    (file,) = root.rglob("*.json")
    told = json.loads(file.read_text())
    folder = next(root.rglob("a.jpg")).parent
    (folder / "cam1").mkdir()
    (folder / "a.jpg").rename(folder / "cam1" / "a.jpg")
    told["images"][0]["file_name"] = "cam1/a.jpg"
    told["images"].append({**told["images"][0], "id": 77, "file_name": "cam2/a.jpg"})
    told["annotations"].append({**told["annotations"][0], "id": 78, "image_id": 77})
    file.write_text(json.dumps(told))
    found = open_dataset(root)
    assert [len(each.target["objects"]) for each in found.examples] == [1, 1]
    assert "missing-files" in names(found)


def test_parts_that_call_different_pictures_by_one_name(tmp_path):
    """The val folder is absent: its boxes must not land on the training picture of that name."""
    root = tmp_path / "set"
    for part, box in (("train", (1, 2, 30, 40)), ("val", (50, 50, 70, 70))):
        made = coco(tmp_path / part, {"a": [("cat", box)], part: [("cat", box)]})
        (file,) = made.rglob("*.json")
        (root / "annotations").mkdir(parents=True, exist_ok=True)
        file.rename(root / "annotations" / f"instances_{part}.json")
        pictures = root / "train"
        pictures.mkdir(exist_ok=True)
        for each in made.rglob("*.jpg"):
            if part == "train":
                each.rename(pictures / each.name)
    found = open_dataset(root)
    boxes_of = {Path(each.key).stem: each.target["objects"] for each in found.examples}
    assert [each["box"] for each in boxes_of["a"]] == [[1, 2, 30, 40]]
    assert "picture-of-another-part" in names(found)


def test_two_pictures_with_one_id_are_refused(tmp_path):
    root = coco(tmp_path / "set", {"a": [("cat", (1, 2, 30, 40))], "b": [("cat", (5, 5, 20, 20))]})
    (file,) = root.rglob("*.json")
    told = json.loads(file.read_text())
    told["images"][1]["id"] = told["images"][0]["id"]
    file.write_text(json.dumps(told))
    with pytest.raises(SaccadeError, match="1 ids stand for several pictures"):
        open_dataset(root)


def test_classes_of_several_coco_files_are_told_by_name(tmp_path):
    """Each file numbers its categories itself; a file without boxes counts as well."""
    root = tmp_path / "set"
    for part, own in (
        ("train", [("cat", (1, 2, 30, 40)), ("dog", (1, 2, 30, 40))]),
        ("val", [("dog", (1, 2, 30, 40)), ("zebra", (5, 5, 20, 20))]),
        ("test", []),
    ):
        made = coco(tmp_path / part, {part: own})
        (file,) = made.rglob("*.json")
        (root / "annotations").mkdir(parents=True, exist_ok=True)
        file.rename(root / "annotations" / f"instances_{part}.json")
        (root / part).mkdir()
        for each in made.rglob("*.jpg"):
            each.rename(root / part / each.name)
    found = open_dataset(root)
    assert set(found.fields[0].classes) == {"cat", "dog", "zebra"}
    labels = {
        each.split: [item["label"] for item in each.target["objects"]] for each in found.examples
    }
    assert labels == {"train": ["cat", "dog"], "dev": ["dog", "zebra"], "test": []}


def test_data_yaml_says_what_is_not_there(tmp_path):
    root = yolo(tmp_path / "set", {name: GOOD[name] for name in ("a", "b", "c")})
    (root / "labels" / "gone.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (root / "list.txt").write_text("images/a.jpg\nimages/b.jpg\nimages/lost.jpg\n")
    (root / "data.yaml").write_text("train: list.txt\nval: images/val\nnc: 2\nnames: [cat, dog]\n")
    told = names(open_dataset(root))
    assert {"missing-files", "missing-folder", "annotation-without-picture"} <= told


def test_a_test_part_stays_where_train_and_val_are_one_folder(tmp_path):
    root = yolo(tmp_path / "set", {name: GOOD[name] for name in ("a", "b", "c")})
    (root / "test").mkdir()
    (root / "images" / "c.jpg").rename(root / "test" / "c.jpg")
    (root / "labels" / "c.txt").rename(root / "test" / "c.txt")
    (root / "data.yaml").write_text(
        "train: images\nval: images\ntest: test\nnc: 2\nnames: [cat, dog]\n"
    )
    parts = {Path(each.key).stem: each.split for each in open_dataset(root).examples}
    assert parts == {"a": None, "b": None, "c": "test"}


def test_a_size_that_is_no_number_is_not_told(tmp_path):
    for name in ("a", "b"):
        picture(tmp_path / f"{name}.jpg")
    (tmp_path / "points.csv").write_text(
        "image,width,height,eye_x,eye_y,tail_x,tail_y\n"
        "a.jpg,NA,80,1,2,3,4\nb.jpg,100,80px,1,2,3,4\n"
    )
    assert open_dataset(tmp_path).examples[0].target["points"] == [[1, 2], [3, 4]]


def test_sizes_of_boxes_and_of_pictures_beside_each_other(tmp_path):
    for name in GOOD:
        picture(tmp_path / f"{name}.jpg")
    rows = ["filename,width,height,class,xmin,ymin,w,h"]
    for name, own in GOOD.items():
        for label, (x1, y1, x2, y2) in own:
            rows.append(f"{name}.jpg,100,80,{label},{x1},{y1},{x2 - x1},{y2 - y1}")
    (tmp_path / "boxes.csv").write_text("\n".join(rows) + "\n")
    found = open_dataset(tmp_path, task="detection")
    assert boxes(found) == {name: own for name, own in GOOD.items() if own}


def test_class_ids_as_numpy_writes_them(tmp_path):
    root = yolo(tmp_path / "set", GOOD)
    expected = boxes(open_dataset(root))
    for path in root.rglob("labels/**/*.txt"):
        lines = [line.split(" ", 1) for line in path.read_text().splitlines()]
        path.write_text("".join(f"{number}.000 {rest}\n" for number, rest in lines))
    assert boxes(open_dataset(root)) == expected


@pytest.mark.parametrize("sides", ["width,height", "w,h"])
@pytest.mark.parametrize("form", ["[{}, {}, {}, {}]", "({} {} {} {})"])
def test_four_numbers_in_one_cell(tmp_path, form, sides):
    for name in GOOD:
        picture(tmp_path / f"{name}.jpg")
    rows = [f"image_id,{sides},bbox,class"]
    for name, own in GOOD.items():
        for label, (x1, y1, x2, y2) in own:
            rows.append(f'{name},100,80,"{form.format(x1, y1, x2 - x1, y2 - y1)}",{label}')
    rows.append("empty,100,80,,")
    (tmp_path / "boxes.csv").write_text("\n".join(rows) + "\n")
    found = open_dataset(tmp_path)
    assert boxes(found) == GOOD and found.tasks[0] == "detection"
