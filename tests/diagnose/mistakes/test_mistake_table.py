from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from diagnose.made_run import RECIPE, share, write_run
from saccade.diagnose.mistakes import automatic_slices, mistake_table, tag_slices
from saccade.diagnose.mistakes.table import mistaken
from saccade.diagnose.mistakes.words import result_words, target_words
from saccade.errors import SaccadeError
from saccade.training.run import RunFolder


def made(root: Path, wrong: float = 0.1) -> RunFolder:
    return write_run(root, {"train": share(300, 0.01), "dev": share(200, wrong, seed=1)})


def test_every_mistake_and_a_drawn_sample_of_the_right(tmp_path: Path) -> None:
    table = mistake_table(made(tmp_path / "run"), right=30)
    assert (table.mistakes, len(table.everything), len(table.shown)) == (20, 200, 50)
    assert [row.wrong for row in table.shown] == [True] * 20 + [False] * 30
    assert [row.key for row in table.shown] == [
        row.key for row in mistake_table(table.run, right=30).shown
    ]
    row = table.shown[0]
    assert row.true != row.predicted and row.p_true < row.p_predicted
    assert row.loss == pytest.approx(-np.log(row.p_true), rel=1e-5)
    # embeddings of the made run lie where the answers are
    assert sum(row.nearest == row.predicted for row in table.everything) > 150


def test_traits_are_what_was_planted(tmp_path: Path) -> None:
    run = made(tmp_path / "run")
    images = run.read_table(run.images).to_pydict()
    images["mean"][310] = 5.0
    images["sharpness"][311] = 1.0
    images["width"][312], images["height"][313] = 40, 2
    images["pixel_hash"][314] = images["pixel_hash"][0]
    run.write_table(run.images, images)
    by_index = {row.index: row.traits for row in mistake_table(run).everything}
    wanted = ["dark", "blurred", "odd aspect", "small", "near-duplicate"]
    assert all(name in by_index[place] for place, name in zip(range(310, 315), wanted, strict=True))


def _square(box: tuple[int, int, int, int]) -> bytes:
    picture = Image.new("L", (40, 40), 250)
    ImageDraw.Draw(picture).rectangle(box, fill=10)
    file = io.BytesIO()
    picture.save(file, "JPEG")
    return file.getvalue()


def test_objects_cut_by_the_border_are_tagged(tmp_path: Path) -> None:
    run = made(tmp_path / "run")
    table = run.read_table(run.thumbnails("dev")).to_pydict()
    cut, whole = _square((0, 10, 20, 30)), _square((10, 10, 30, 30))
    table["jpeg"] = [cut if place < 20 else whole for place in range(200)]
    run.write_table(run.thumbnails("dev"), table)
    tagged = [
        place
        for place, row in enumerate(mistake_table(run).everything)
        if "at the border" in row.traits
    ]
    assert tagged == list(range(20))


def test_ceiling_is_what_a_recount_gives(tmp_path: Path) -> None:
    table = mistake_table(made(tmp_path / "run"))
    for item in automatic_slices(table):
        if item.kind != "class":
            continue
        left = [row.error for row in table.everything if row.true != item.name]
        assert item.ceiling.value == pytest.approx(sum(left) / 200)
        assert item.share.low <= item.share.value <= item.share.high
        assert item.ceiling.low <= item.ceiling.value <= item.ceiling.high


def test_tags_of_some_mistakes_stand_for_all(tmp_path: Path) -> None:
    table = mistake_table(made(tmp_path / "run"))
    looked = [row.key for row in table.shown[:10]]
    (foggy,) = tag_slices(table, {"foggy": looked[:4]}, looked)
    assert (foggy.mistakes, foggy.looked) == (4, 10)
    # 10 % error, 39 % of it foggy in the notes' words; here 40 % of what was looked at
    assert foggy.ceiling.value == pytest.approx(0.1 * 0.6)
    assert foggy.sentence(0.1, percent=True) == "all foggy right: 10.0 % -> 6.0 % at best"


def test_a_part_that_was_not_scored_is_named(tmp_path: Path) -> None:
    with pytest.raises(SaccadeError, match="test has not been scored; scored parts: train, dev"):
        mistake_table(made(tmp_path / "run"), "test")


def test_numbers_count_their_worst_fifth() -> None:
    errors = np.linspace(0.1, 1.0, 100)
    wrong, rule = mistaken(errors)
    assert wrong.sum() == 20 and wrong[-20:].all()
    assert rule.startswith("the 20% with the largest error")
    assert mistaken(np.array([0, 1, 0, np.nan]))[0].tolist() == [False, True, False, False]


def test_regression_has_a_table_too(tmp_path: Path) -> None:
    run = made(tmp_path / "run")
    run.write_args({**RECIPE, "task": "regression"})
    random = np.random.default_rng(0)
    for part in ("train", "dev"):
        rows = run.read_table(run.predictions(part)).to_pydict()
        count = len(rows["key"])
        values = random.normal(0, 1, (count, 1))
        kept = {name: rows[name] for name in ("index", "key", "loss", "embedding")}
        run.write_table(
            run.predictions(part),
            {
                **kept,
                "target": [json.dumps([0.5])] * count,
                "error": np.abs(values[:, 0] - 0.5),
                "values": values.tolist(),
            },
        )
    table = mistake_table(run)
    assert table.mistakes == 40
    assert table.shown[0].true == "0.5" and float(table.shown[0].predicted)
    looked = [row.key for row in table.shown[:20]]
    (tag,) = tag_slices(table, {"odd": looked[:10]}, looked)
    assert 0 < tag.ceiling.value < table.error.value


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("cat", "cat"),
        ("7", "7"),
        ('["hat", "scarf"]', "hat|scarf"),
        ("[1.5, null]", "1.5, "),
        ('[{"box": [0, 0, 1, 1], "label": "car"}, {"box": [1, 1, 2, 2], "label": "car"}]', "2 car"),
        ('{"box": null, "label": "cat"}', "cat"),
        ('{"kind": "cat", "age": [3.0]}', "kind: cat; age: 3"),
        (None, ""),
        ("null", ""),
    ],
)
def test_targets_in_words(target: str | None, told: str) -> None:
    assert target_words(target) == told


def test_results_in_words() -> None:
    classes = ("car", "dog")
    assert result_words({"label": "dog"}, classes) == "dog"
    assert result_words({"label": None, "labels": []}, classes) == ""
    assert result_words({"labels": ["car", "dog"]}, classes) == "car|dog"
    assert result_words({"labels": [0, 0, 1]}, classes) == "2 car, 1 dog"
    assert result_words({"result": json.dumps({"kind": {"label": "dog"}})}, classes) == "kind: dog"
