"""The recipe: known keys, typed values, unknown keys named with a near one."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from saccade import recipes
from saccade.errors import SaccadeError
from saccade.recipe import KEYS, Recipe, all_keys, make_recipe, parse_setting, read_recipe


def test_known_keys_reach_their_place() -> None:
    recipe = make_recipe({"lr0": 0.3, "model": "resnet18", "epochs": 7, "imgsz": [96, 128]})
    assert recipe.optimizer.lr0 == 0.3
    assert recipe.model.name == "resnet18"
    assert recipe.train.epochs == 7
    assert recipe.data.imgsz == (96, 128)
    assert set(KEYS.values()) <= set(all_keys())


def test_settings_change_a_recipe_and_leave_the_rest() -> None:
    first = make_recipe({"seed": 3, "augment.rotate": 10})
    second = make_recipe({"augment.rotate": 5}, first)
    assert (second.train.seed, second.augment.rotate, first.augment.rotate) == (3, 5, 10)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"learning_rate": 1}, "Known|mean"),
        ({"optimizer.lr": 1}, "optimizer.lr0"),
        ({"epochs": 0}, "train.epochs"),
        ({"epochs": "many"}, "train.epochs"),
        ({"data.test": 1.5}, "data.test"),
        ({"lr0": float("nan")}, "optimizer.lr0"),
    ],
)
def test_what_is_wrong_is_named(settings: dict[str, object], message: str) -> None:
    with pytest.raises(SaccadeError, match=message):
        make_recipe(settings)


def test_settings_of_the_command_line_are_typed() -> None:
    assert parse_setting("data.test=0.2") == ("data.test", 0.2)
    assert parse_setting("augment.scale=[0.5, 1]") == ("augment.scale", [0.5, 1])
    assert parse_setting("model.init=zeros") == ("model.init", "zeros")
    for wrong in ("data.test", "=1", "a=[1"):
        with pytest.raises(SaccadeError):
            parse_setting(wrong)


def test_a_recipe_file_reads_back_as_itself(tmp_path: Path) -> None:
    recipe = make_recipe({"lr0": 0.01, "augment.scale": (0.5, 1.0), "imgsz": 64})
    path = tmp_path / "args.yaml"
    path.write_text(yaml.safe_dump({**recipe.as_dict(), "run": {"data": "x"}}))
    assert read_recipe(path) == recipe
    path.write_text("train: {epochs: 3, epoch: 4}")
    with pytest.raises(SaccadeError, match=r"train.epoch"):
        read_recipe(path)
    path.write_text("a: [")
    with pytest.raises(SaccadeError, match="YAML"):
        read_recipe(path)


def test_recipes_of_our_own_have_names() -> None:
    assert recipes.names() == ["small-accurate", "small-fast"]
    for name in recipes.names():
        recipe = read_recipe(name)
        assert recipe.optimizer.name == "muon"
        assert recipe.train.views == "mirror+shift"
    with pytest.raises(SaccadeError, match=r"small-fsat: .* \(small-accurate, small-fast\)"):
        read_recipe("small-fsat")


def test_a_file_comes_before_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("small-fast").write_text("train: {epochs: 3}")
    assert read_recipe("small-fast").train.epochs == 3


def test_recipes_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Recipe().train.epochs = 3  # type: ignore[misc]
