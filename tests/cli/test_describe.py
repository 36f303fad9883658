"""What `saccade describe` tells people below its table of layers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from saccade.cli.main import main


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["describe", *arguments]) == 0
    return capsys.readouterr().out


def test_one_network_by_layer_stage_memory_and_savings(capsys: pytest.CaptureFixture[str]) -> None:
    text = told(capsys, "vgg16")
    assert "138,357,544" in text and "15,470,264,320" in text
    stage = next(line for line in text.splitlines() if line.startswith("stage 0"))
    assert stage.split()[2:] == [
        "64",
        "x",
        "224",
        "x",
        "224",
        "38,720",
        "1,936,392,192",
        "51.38",
        "5",
    ]
    assert "72.75" in text  # MB kept by training
    assert "3x3 and 3x3 and 3x3, against 7x7" in text
    assert "dense layer of the same input and output 4.8e+11" in text


def test_savings_of_bottlenecks_and_separable_convolutions(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "528 -> 160 -> 320 channels, against 3x3" in told(capsys, "googlenet")
    assert "1/1024 + 1/9 = 0.112" in told(capsys, "mobilenet_v1")


def test_efficientnet_tells_the_published_scale_and_the_formula(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = told(capsys, "efficientnet_b1").splitlines()
    assert "published scale: width 1.00, depth 1.10, 240 pixels" in lines
    assert "compound_scale(1): width 1.10, depth 1.20, 258 pixels" in lines


def test_two_networks_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    lines = told(capsys, "resnet20", "mobilenet_v2", "--imgsz", "64").splitlines()
    assert lines[0].split() == ["resnet20", "mobilenet_v2"]
    first = [line.split()[0] for line in lines]
    assert first.index("head:") > max(place for place, word in enumerate(first) if word == "stage")
    assert any(line.startswith("kept by training, MB") for line in lines)


def test_grid_and_anchors_of_a_detector(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "chosen for the boxes of your data" in told(capsys, "yolo")
    given = told(capsys, "yolo", "--set", "model.anchors=[[10, 13], [33, 23], [16, 30]]")
    assert "10 x 13; 16 x 30; 33 x 23" in given
    # two pictures of 100 x 50 pixels, seen at twice their size on 200 x 200
    for name in "ab":
        Image.new("RGB", (100, 50)).save(tmp_path / f"{name}.png")
    rows = ["10,10,30,30", "11,11,31,31", "60,10,80,30", "17,17,21,23"]
    lines = [f"{name}.png,{row},x" for name in "ab" for row in rows]
    (tmp_path / "boxes.csv").write_text("path,x1,y1,x2,y2,label\n" + "\n".join(lines) + "\n")
    data = ("--data", str(tmp_path / "boxes.csv"), "--imgsz", "200")
    one = ("yolo", "--set", "model.scales=1", "--set", "model.anchors=2", *data)
    assert main(["describe", *one, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["grids"] == [[7, 7]]
    assert found["anchors"][0] == [pytest.approx([8, 12]), pytest.approx([40, 40])]
    # three centres in one cell of 32 pixels, one of another shape
    assert (found["objects"], found["same_cell"], found["same_anchor"]) == (8, 4, 2)


def test_what_a_network_has_not_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", "resnet18", "--set", "model.anchors=5"]) == 1
    assert "no option 'anchors'; detectors that have it: yolo" in capsys.readouterr().err
    assert main(["describe", "yolo", "--set", "model.anchors=[[0, 1]]"]) == 1
    assert "model.anchors: Value error, expected 0 to 20, or shapes" in capsys.readouterr().err
    assert main(["describe", "yolo", "--set", "train.epochs=1"]) == 2
