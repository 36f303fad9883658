"""What `saccade describe` tells people below its table of layers."""

from __future__ import annotations

import pytest

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
