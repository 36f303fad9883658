"""train, val, predict and report of a detection run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from saccade.cli.main import main


def made(root: Path, count: int = 20) -> Path:
    """Grey noise with a bright square each; the table tells where."""
    random = np.random.default_rng(0)
    lines = ["path,x1,y1,x2,y2,label"]
    for place in range(count):
        pixels = random.integers(0, 90, (64, 64, 3), dtype=np.uint8)
        x, y = random.integers(2, 34, 2)
        pixels[y : y + 24, x : x + 24, place % 2] = 230
        Image.fromarray(pixels).save(root / f"{place}.png")
        kind = ("red", "green")[place % 2]
        lines.append(f"{place}.png,{x},{y},{x + 24},{y + 24},{kind}")
    (root / "boxes.csv").write_text("\n".join(lines) + "\n")
    return root / "boxes.csv"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict | list:
    code = main([*arguments, "--json"])
    out = capsys.readouterr().out
    assert code == 0, out
    return json.loads(out)


def test_a_detection_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data").mkdir()
    table = made(tmp_path / "data")
    found = run(
        capsys,
        *("train", str(table), "--task", "detection", "--imgsz", "64", "--epochs", "1"),
        *("--backbone", "mobilenet_v2_035", "--project", str(tmp_path / "runs")),
        *("--set", "train.health=false", "--set", "data.test=0.2"),
        *("--set", "model.anchors=[[20, 20], [24, 24], [40, 30]]"),
    )
    assert found["task"] == "detection"
    assert set(found["metrics"]) == {"map50", "map"}
    folder = Path(found["run"])
    card = json.loads((folder / "weights" / "card.json").read_text())
    assert len(card["decision"]["thresholds"]) == 2
    assert "anchors in pixels, width x height: 20 x 20" in (folder / "log.txt").read_text()
    described = run(capsys, "describe", str(folder))
    assert described["grids"] == [[16, 16], [8, 8], [4, 4]]  # a small stem
    assert described["anchors"][2] == [[40.0, 30.0]]
    assert described["objects"] > 8
    assert 'id="objects"' in (folder / "report.html").read_text()
    scored = run(capsys, "val", str(folder), "--split", "test")
    assert scored["split"] == "test"
    answers = run(capsys, "predict", str(folder), str(tmp_path / "data" / "0.png"))
    assert set(answers[0]) == {"source", "labels", "scores", "boxes"}
    some = ("predict", str(folder), str(tmp_path / "data" / "0.png"))
    every = run(capsys, *some, "--conf", "0", "--iou", "0.99", "--tiles", "--tile", "32")
    assert len(every[0]["boxes"]) > len(answers[0]["boxes"])
    assert card["data"]["side"] == 64
    assert main([*some, "--tile", "32"]) == 2
