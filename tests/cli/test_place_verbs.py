"""Localization and landmarks through every verb, on drawn pictures: one step each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from saccade.cli.main import main

SIDE = 40


@pytest.fixture
def say(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a command line with --json in an empty folder and gives its value."""
    monkeypatch.chdir(tmp_path)

    def run(line: str, code: int = 0) -> Any:
        assert main([*line.split(), "--json"]) == code
        return json.loads(capsys.readouterr().out)

    return run


def drawn(folder: Path, header: str, row: Any) -> Path:
    """Twelve pictures with a square each, and a table of them."""
    rng = np.random.default_rng(0)
    lines = [header]
    for number in range(12):
        image = Image.fromarray(rng.integers(0, 90, (SIDE, SIDE, 3), dtype=np.uint8))
        x, y = rng.integers(0, 20, 2).tolist()
        ImageDraw.Draw(image).rectangle((x, y, x + 15, y + 15), fill="white")
        folder.mkdir(exist_ok=True)
        image.save(folder / f"p{number:02}.png")
        lines.append(f"p{number:02}.png,{row(x, y)}")
    (folder / "table.csv").write_text("\n".join(lines))
    return folder


TINY = "--model resnet20 --epochs 1 --batch 4 --imgsz 32"


def test_localization(say, tmp_path):
    drawn(
        tmp_path / "data",
        "filename,class,xmin,ymin,xmax,ymax",
        lambda x, y: f"square,{x},{y},{x + 15},{y + 15}",
    )
    found = say("check data --task localization")
    assert found["examples"] == 12 and found["classes"] == {"square": 12}
    trained = say(f"train data --task localization {TINY}")
    assert trained["task"] == "localization"
    assert set(trained["metrics"]) == {"mean_iou", "accuracy", "acc_iou50"}
    run = trained["run"]
    assert set(say(f"val {run} --split test")["metrics"]) == set(trained["metrics"])
    (answer,) = say(f"predict {run} data/p00.png --save=out")
    assert answer["label"] in ("square", None) and set(answer["scores"]) == {"square"}
    for box in answer["boxes"]:
        assert 0 <= box[0] <= box[2] <= SIDE and 0 <= box[1] <= box[3] <= SIDE
    with Image.open("out/p00.png") as picture:
        assert picture.height > SIDE
    assert say(f"diagnose {run}")["verdict"]
    say(f"report {run}")
    page = (Path(run) / "report.html").read_text()
    assert "Green: where it is" in page and "data:image/jpeg;base64" in page


def test_landmarks(say, tmp_path):
    drawn(
        tmp_path / "data",
        "image,left_x,left_y,right_x,right_y",
        lambda x, y: f"{x},{y},{x + 15},{y}",
    )
    assert say("check data")["examples"] == 12
    trained = say(f"train data {TINY}")
    assert trained["task"] == "landmarks"
    assert set(trained["metrics"]) == {"nme", "failure_rate"}
    run = trained["run"]
    assert set(say(f"val {run} --split test")["metrics"]) == {"nme", "failure_rate"}
    (answer,) = say(f"predict {run} data/p00.png --save=out")
    assert set(answer["points"]) == {"left", "right"}
    assert say(f"diagnose {run}")["verdict"]
    say(f"report {run}")
    assert "Green: where it is" in (Path(run) / "report.html").read_text()


def test_convert(say, tmp_path):
    drawn(
        tmp_path / "data",
        "filename,class,xmin,ymin,xmax,ymax",
        lambda x, y: f"square,{x},{y},{x + 15},{y + 15}",
    )
    told = say("convert data --to yolo other")
    assert (told["pictures"], told["annotations"], told["left_out"]) == (12, 12, [])
    assert say("check other --task detection")["classes"] == {"square": 12}
    assert say("convert data --to yolo data/inside", code=1)["error"]["name"] == "inside-data"
