"""Using a trained network: sources of every kind, unreadable ones, damaged and foreign weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import saccade
from saccade.errors import SaccadeError


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of 30 pictures each: dark or light, with noise."""
    root = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for name, level in (("dark", 60), ("light", 190)):
        (root / name).mkdir()
        for number in range(30):
            pixels = np.clip(rng.normal(level, 30, (40, 50, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def run(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> saccade.Trained:
    return saccade.train(
        photos, project=tmp_path_factory.mktemp("runs"), model="convnet", epochs=4, imgsz=32
    )


def test_paths_folders_globs_and_arrays_agree(run: saccade.Trained, photos: Path) -> None:
    one = photos / "dark" / "3.png"
    answers = [
        run.predict(one)[0],
        run.predict(str(photos / "dark" / "[3].png"))[0],
        run.predict(np.asarray(Image.open(one)))[0],
        next(p for p in run.predict(photos) if p.source == str(one)),
    ]
    scores = [answer.result.probabilities.tolist() for answer in answers]
    assert {answer.result.label for answer in answers} == {"dark"}
    np.testing.assert_allclose(scores, [scores[0]] * 4, atol=2e-2)


def test_a_prediction_as_json_has_the_agreed_keys(run: saccade.Trained, photos: Path) -> None:
    value = run.predict(photos / "light" / "0.png")[0].as_dict()
    assert set(value) == {"source", "label", "score", "scores"}
    assert json.loads(json.dumps(value))["scores"].keys() == {"dark", "light"}


def test_an_unreadable_picture_is_named_and_its_neighbours_are_answered(
    run: saccade.Trained, photos: Path, tmp_path: Path
) -> None:
    shutil.copy(photos / "dark" / "0.png", tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"not a picture")
    (tmp_path / "c.png").write_bytes(b"")
    answers = run.predict(tmp_path)
    assert [answer.error is None for answer in answers] == [True, False, False]
    assert "b.png" in str(answers[1].error)


def test_nothing_to_predict_is_an_error(run: saccade.Trained, tmp_path: Path) -> None:
    for source in (tmp_path, tmp_path / "absent.jpg", "nowhere/*.jpg"):
        with pytest.raises(SaccadeError, match="no picture"):
            run.predict(source)


def test_the_folder_can_be_moved_and_the_data_deleted(
    run: saccade.Trained, photos: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "elsewhere"
    shutil.copytree(run.folder.root, moved)
    assert saccade.load(moved).predict(photos / "dark" / "0.png")[0].result.label == "dark"
    weights_only = tmp_path / "alone"
    weights_only.mkdir()
    for name in ("best.safetensors", "card.json"):
        shutil.copy(moved / "weights" / name, weights_only / name)
    from saccade.predict import load

    predictor = load(weights_only / "best.safetensors")
    assert predictor(photos / "light" / "0.png")[0].result.label == "light"


@pytest.mark.parametrize("damage", ["truncate", "text", "card", "no card"])
def test_damaged_weights_are_refused(run: saccade.Trained, tmp_path: Path, damage: str) -> None:
    shutil.copytree(run.folder.root, tmp_path / "run")
    weights = tmp_path / "run" / "weights" / "best.safetensors"
    card = weights.with_name("card.json")
    if damage == "truncate":
        weights.write_bytes(weights.read_bytes()[:100])
    elif damage == "text":
        weights.write_text("hello")
    elif damage == "card":
        card.write_text("{}")
    else:
        card.unlink()
    with pytest.raises(SaccadeError) as caught:
        saccade.load(tmp_path / "run").predict(np.zeros((8, 8), np.uint8))
    assert "weights" in caught.value.message or "card" in caught.value.message


def test_other_data_are_scored_by_class_name(
    run: saccade.Trained, photos: Path, tmp_path: Path
) -> None:
    """A part that lacks a class, in another order, is scored as the network learned the names."""
    shutil.copytree(photos / "light", tmp_path / "light")
    found = run.val(data=tmp_path)
    assert found.examples == 30
    assert found.measures["accuracy"].value == 1.0
    shutil.copytree(photos / "dark", tmp_path / "purple")
    with pytest.raises(SaccadeError, match="purple"):
        run.val(data=tmp_path)


def test_changed_data_are_noticed(photos: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(photos, data)
    run = saccade.train(data, project=tmp_path / "runs", model="convnet", epochs=1, imgsz=32)
    Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(data / "dark" / "0.png")
    again = saccade.load(run.folder.root)
    with pytest.raises(SaccadeError, match=r"dark/0\.png"):
        again.val("dev")


def test_the_users_folder_is_left_as_it_was(photos: Path, tmp_path: Path) -> None:
    def look() -> dict[str, bytes]:
        return {str(p): p.read_bytes() for p in sorted(photos.rglob("*")) if p.is_file()}

    before = look()
    run = saccade.train(photos, project=tmp_path, model="convnet", epochs=1, imgsz=32)
    run.val("dev")
    run.predict(photos)
    assert look() == before
