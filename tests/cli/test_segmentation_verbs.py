"""A training on masks from the command line, and every verb on its run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from saccade.cli.main import main
from saccade.data.open import open_dataset


def draw(root: Path, count: int = 10) -> None:
    random = np.random.default_rng(0)
    y, x = np.mgrid[:48, :64]
    for number in range(count):
        pixels = random.integers(60, 110, (48, 64)).astype(np.uint8)
        mask = np.zeros((48, 64), np.uint16)
        for thing in range(1, 5):
            cy, cx = random.integers(6, 42), random.integers(6, 58)
            disc = (y - cy) ** 2 + (x - cx) ** 2 < 30
            pixels[disc] += 90
            mask[disc] = thing
        for folder, array in (("images", pixels), ("masks", mask)):
            (root / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(root / folder / f"{number}.png")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("masks")
    draw(place / "cells")
    options = ["--set", "model.width=4", "--set", "data.crop=[32,32]", "--set", "data.views=4"]
    # what lies further away must not matter: group norm would look at the whole picture
    options += ["--set", "model.norm=batch"]
    arguments = ["train", str(place / "cells"), "--model", "unet_small", "--epochs", "3"]
    assert main([*arguments, *options, "--project", str(place / "runs")]) == 0
    return place


def value(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    capsys.readouterr()
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_verbs(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(work / "runs" / "segmentation" / "train")
    found = value(capsys, "val", run)
    assert found["task"] == "segmentation"
    names = {"miou", "dice", "pixel_accuracy", "boundary_f", "iou_background", "iou_foreground"}
    assert set(found["metrics"]) == names
    assert found["metrics"]["pixel_accuracy"] > 0.7
    verdict = value(capsys, "diagnose", run)
    assert verdict["errors"]["dev"]["value"] == pytest.approx(1 - found["metrics"]["miou"], abs=0.1)
    page = Path(value(capsys, "report", run)["report"]).read_text()
    assert "Classes, pixel by pixel" in page and "things found" in page
    checked = value(capsys, "check", str(work / "cells"))
    assert checked["examples"] == 10 and checked["classes"] == {"background": 10, "foreground": 10}


def test_masks_of_predictions_can_be_trained_on(
    work: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(work)
    run = str(work / "runs" / "segmentation" / "train")
    (one,) = value(capsys, "predict", run, str(work / "cells" / "images" / "3.png"))
    assert set(one) == {"source", "labels", "mask"}
    with Image.open(one["mask"]) as mask:
        assert mask.mode == "P" and mask.size == (64, 48)
        assert json.loads(mask.text["classes"]) == ["background", "foreground"]  # type: ignore[attr-defined]
        assert set(np.unique(np.asarray(mask))) <= {0, 1}
    value(capsys, "predict", run, str(work / "cells" / "images"), "--save=answers")
    (work / "answers" / "images").mkdir()
    for path in (work / "cells" / "images").iterdir():
        (work / "answers" / "images" / path.name).write_bytes(path.read_bytes())
    again = open_dataset(work / "answers")
    assert again.tasks == ("segmentation",)
    assert again.fields[0].classes == ("background", "foreground")
    large = np.tile(np.asarray(Image.open(work / "cells" / "images" / "3.png")), (3, 3))
    Image.fromarray(large).save(work / "large.png")
    (found,) = value(capsys, "predict", run, "large.png")
    whole = np.asarray(Image.open(found["mask"]))
    assert whole.shape == (144, 192)
    # seen at its own scale: the middle is what the small picture gave, but for its borders
    small = np.asarray(Image.open(one["mask"]))
    assert (whole[48:96, 64:128] == small)[8:-8, 8:-8].mean() > 0.9
    other = value(capsys, "val", run, "--data", str(work / "cells"))
    assert other["examples"] == 10
