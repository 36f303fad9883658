"""Dev from another source, from the table to the remedies that were tried."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

import saccade

SETTINGS = {"device": "cpu", "train.health": False, "model": "lenet5_modern", "imgsz": 28}


def write_data(place: Path) -> Path:
    """Digits: 160 from the web to train on, 80 dim and noisy ones from a phone as dev."""
    found, random = load_digits(), np.random.default_rng(0)
    place.mkdir()
    rows = []
    for number in range(240):
        phone = number >= 160
        values = found.images[number] * 15.9
        if phone:
            values = 0.5 * values + random.normal(30, 12, values.shape)
        Image.fromarray(values.clip(0, 255).astype(np.uint8)).resize((16, 16)).save(
            place / f"{number}.png"
        )
        part, source = ("dev", "phone") if phone else ("train", "web")
        rows.append((f"{number}.png", str(found.target[number]), source, part))
    with (place / "digits.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "label", "source", "split"), *rows])
    return place / "digits.csv"


def test_train_dev_is_scored_and_remedies_are_judged(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    before = sorted(path.name for path in data.parent.iterdir())
    run = saccade.train(
        data, project=tmp_path / "runs", epochs=2, batch=16, settings=dict(SETTINGS)
    )
    manifest = run.folder.read_json(run.folder.data)
    assert manifest["parts"] == {"train": 136, "train-dev": 24, "dev": 80}
    rows = run.folder.read_table(run.folder.predictions("train-dev"))
    assert len(rows) == 24
    told = run.diagnose()
    assert "data-mismatch" in told.gaps
    assert told.gaps["data-mismatch"].value == (
        told.errors["dev"].value - told.errors["train-dev"].value
    )
    assert set(told.sources["dev"]) == {"phone"}
    remedies = {each.name: each for each in run.remedies()}
    assert set(remedies) == {"moved", "synthesised"}
    assert "light" in remedies["synthesised"].told
    judged = {each.error.n for each in remedies.values()}
    assert len(judged) == 1 and 20 < judged.pop() < 60
    for each in remedies.values():
        assert each.change.low <= each.change.value <= each.change.high
        # the run with half of dev moved must still choose by the other half alone
        parts = saccade.load(each.run).folder.read_json(Path(each.run) / "data.json")["parts"]
        assert parts["dev"] == each.error.n
    assert sorted(path.name for path in data.parent.iterdir()) == before
