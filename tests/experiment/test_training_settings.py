"""Whole trainings with settings of optimisers, regularisation and health, and what they leave."""

from __future__ import annotations

import io
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import saccade
from saccade.errors import SaccadeError
from saccade.experiment.assemble import _task
from saccade.experiment.defaults import Facts, complete
from saccade.recipe import make_recipe
from saccade.training.checkpoint import load_checkpoint
from saccade.training.device import choose
from saccade.training.health import COLUMNS
from saccade.training.rules.table import OPTIMISERS
from saccade.types import Field

FAST = {"model": "convnet", "epochs": 1, "batch": 128, "device": "cpu", "fraction": 0.4}


def train(project: Path, settings: dict[str, Any], **keys: Any) -> saccade.Trained:
    return saccade.train("sample:digits", project=project, settings=settings, **{**FAST, **keys})


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> saccade.Trained:
    return train(tmp_path_factory.mktemp("runs"), {}, epochs=2)


def test_health_tells_every_layer_at_the_start_and_after_every_epoch(
    plain: saccade.Trained,
) -> None:
    lines = plain.folder.read_health()
    layers = ["conv1", "conv2", "fc3", "fc4", "softmax"]
    assert [(line["epoch"], line["layer"]) for line in lines] == [
        (epoch, layer) for epoch in (0, 1, 2) for layer in layers
    ]
    assert all("update_ratio" not in line for line in lines[: len(layers)])
    for line in lines[len(layers) :]:
        known = set(COLUMNS) - {"saturated"} - ({"dead"} if line["layer"] == "softmax" else set())
        assert set(line) == known | {"epoch", "layer"}
        assert 1e-4 < line["update_ratio"] < 0.1
        assert line["twins"] == 0


def test_watching_changes_nothing(plain: saccade.Trained, tmp_path: Path) -> None:
    blind = train(tmp_path, {"train.health": False}, epochs=2)
    assert not blind.folder.health.is_file()
    for name in ("weights/best.safetensors", "results.csv"):
        assert (blind.folder.root / name).read_bytes() == (plain.folder.root / name).read_bytes(), (
            name
        )


def test_zero_initialisation_shows_as_twins(tmp_path: Path) -> None:
    run = train(tmp_path, {"model.init": "zeros"})
    lines = [line for line in run.folder.read_health() if line["layer"] != "softmax"]
    assert all(line["twins"] == 1 for line in lines)


@pytest.mark.parametrize("name", ["muon", "delta_bar_delta"])
def test_an_optimiser_by_name_with_its_own_rate(tmp_path: Path, name: str) -> None:
    run = train(tmp_path, {}, optimizer=name)
    assert run.folder.read_args()["optimizer"]["name"] == name
    assert math.isfinite(run.folder.read_results()[-1]["train/loss"])


def test_every_optimiser_has_a_default_rate() -> None:
    from saccade.experiment.defaults import _rate

    assert all(0 < _rate(name, "resnet18", 64) <= 1 for name in OPTIMISERS)


def test_the_kept_network_is_the_average(tmp_path: Path) -> None:
    run = train(tmp_path, {"optimizer.ema": 0.8})
    state = load_checkpoint(run.folder.last)
    assert state is not None
    kept, _ = run.folder.read_best()
    assert all(torch.equal(kept[name], value) for name, value in state.tensors["average"].items())
    assert not torch.equal(kept["conv1.weight"], state.tensors["model"]["conv1.weight"])


def test_l1_leaves_exact_zeros_in_the_kept_network(tmp_path: Path) -> None:
    run = train(tmp_path, {"optimizer.l1": 0.1}, epochs=3)
    weights = [value for name, value in run.folder.read_best()[0].items() if value.ndim >= 2]
    zeros = sum(int((value == 0).sum()) for value in weights)
    assert zeros / sum(value.numel() for value in weights) > 0.2


def test_rate_by_a_sweep_is_written_down(tmp_path: Path) -> None:
    run = train(tmp_path, {}, lr0="auto")
    rate = run.folder.read_args()["optimizer"]["lr0"]
    assert 1e-3 < rate < 1
    assert f"learning rate {rate:g}" in run.folder.log.read_text()


def test_little_memory_cuts_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("saccade.experiment.settle.free_memory", lambda device: 4_000_000)
    run = train(tmp_path, {})
    pieces = run.folder.read_args()["train"]["accumulate"]
    assert 1 < pieces < 64
    assert f"in {pieces} pieces" in run.folder.log.read_text()


def test_mixing_and_replacement_learn(tmp_path: Path) -> None:
    settings = {"augment.mixup": 0.2, "augment.cutmix": 1.0, "data.sampling": "replacement"}
    run = train(tmp_path, {**settings, "optimizer.schedule": "plateau"}, epochs=3, fraction=1.0)
    assert run.folder.read_results()[-1]["metrics/accuracy"] > 0.5


def test_mixing_is_refused_where_a_task_cannot_learn_from_it() -> None:
    from saccade.experiment.settle import check_fits_task

    check_fits_task(make_recipe({"task": "multilabel", "augment.mixup": 0.2}))
    with pytest.raises(SaccadeError, match=r"augment\.mixup"):
        check_fits_task(make_recipe({"task": "detection", "augment.mixup": 0.2}))


def test_views_belong_to_the_finished_network(tmp_path: Path) -> None:
    run = train(tmp_path, {"train.views": "mirror+shift"})
    assert run.predictor.task.views == "mirror+shift"  # type: ignore[attr-defined]
    kept = run.predictor.card.metrics["accuracy"]["value"]
    assert run.val("dev").measures["accuracy"].value == pytest.approx(kept)


def test_views_are_refused_where_a_task_sees_one() -> None:
    from saccade.experiment.settle import check_fits_task

    with pytest.raises(SaccadeError, match=r"train\.views.*classification"):
        check_fits_task(make_recipe({"task": "detection", "train.views": "mirror"}))


@pytest.mark.parametrize("batch", [1, 10_000])
def test_single_sample_and_whole_batch_descent(tmp_path: Path, batch: int) -> None:
    settings = {"optimizer.name": "descent", "data.fraction": 0.1}
    run = train(tmp_path, settings, batch=batch)
    steps = load_checkpoint(run.folder.last)
    assert steps is not None and math.isfinite(run.folder.read_results()[0]["train/loss"])


def facts_of(
    task: str, examples: int, side: int, channels: int = 3, fit: Any = "pad", mirrors: bool = False
) -> Facts:
    """What defaults are settled by, of square pictures on a CPU."""
    return Facts(
        task=task,
        examples=examples,
        height=side,
        width=side,
        channels=channels,
        fit=fit,
        mean=(0.5,) * channels,
        std=(0.25,) * channels,
        hardware=choose("cpu"),
        mirrors=mirrors,
    )


@pytest.mark.parametrize("task", ["localization", "landmarks"])
def test_a_voting_head_from_scratch_is_not_left_to_small_gradients(task: str) -> None:
    facts = facts_of(task, 200, 96, mirrors=True)
    decided = complete(make_recipe({}), facts)
    assert decided.optimizer.name == "adamw" and decided.augment.mirror == 0.5
    asked = complete(make_recipe({"optimizer": "sgd"}), facts)
    assert asked.optimizer.name == "sgd" and asked.optimizer.lr0 != decided.optimizer.lr0


def test_a_detectors_rate_suits_its_network_and_the_optimiser_that_was_asked_for() -> None:
    facts = facts_of("detection", 200, 320)
    usual = complete(make_recipe({"model": "yolo"}), facts).optimizer
    proposing = complete(make_recipe({"model": "faster_rcnn"}), facts).optimizer
    assert (usual.name, usual.lr0, usual.ema) == ("adamw", 2e-3, 0.998)
    assert (proposing.name, proposing.lr0, proposing.ema) == ("adamw", 4e-4, 0.998)
    asked = complete(make_recipe({"model": "faster_rcnn", "optimizer": "sgd"}), facts).optimizer
    # 0.1 for 256 examples in proportion, and no decay meant for AdamW
    assert asked.lr0 == pytest.approx(0.1 * 8 / 256) and asked.weight_decay == 5e-4


def test_effort_scales_the_passes_that_were_not_asked_for() -> None:
    facts = facts_of("classification", 20_000, 28, channels=1, fit="stretch")
    usual = complete(make_recipe({}), facts).train.epochs
    assert usual is not None
    assert complete(make_recipe({"train.effort": 0.5}), facts).train.epochs == round(usual / 2)
    assert complete(make_recipe({"train.effort": 0.001}), facts).train.epochs == 1
    assert complete(make_recipe({"train.effort": 0.5, "epochs": 7}), facts).train.epochs == 7
    with pytest.raises(SaccadeError, match=r"train.effort"):
        make_recipe({"train.effort": 0})


def test_a_batch_of_one_is_refused_where_batch_norm_cannot_learn(tmp_path: Path) -> None:
    settings = {"train.batch": 1, "data.fraction": 0.05}
    with pytest.raises(SaccadeError, match=r"model\.norm=group") as caught:
        saccade.train("sample:digits", project=tmp_path, settings=settings, epochs=1)
    assert caught.value.name == "batch-of-one"


def test_a_sweep_is_not_done_again_on_a_trained_network(tmp_path: Path) -> None:
    first = train(tmp_path, {"optimizer.lr0": "auto"}, epochs=1)
    rate = first.folder.read_args()["optimizer"]["lr0"]
    again = train(tmp_path, {"optimizer.lr0": "auto"}, epochs=2, resume=True)
    assert again.folder.read_args()["optimizer"]["lr0"] == rate


def test_another_recipe_is_not_passed_over_on_resume(tmp_path: Path) -> None:
    train(tmp_path, {}, epochs=1)
    file = tmp_path / "mine.yaml"
    file.write_text("loss:\n  label_smoothing: 0.3\n")
    with pytest.raises(SaccadeError, match=r"loss\.label_smoothing"):
        train(tmp_path, {}, epochs=2, resume=True, recipe=file)


def test_runs_are_not_written_into_the_data(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for place in range(8):
            shade = 20 * place + 9 * ord(name)
            Image.new("L", (16, 16), shade % 256).save(tmp_path / name / f"{place}.png")
    with pytest.raises(SaccadeError, match="Name a place outside") as caught:
        saccade.train(tmp_path, project=tmp_path / "runs", epochs=1)
    assert caught.value.name == "inside-data" and not (tmp_path / "runs").exists()


def test_weights_of_classes_are_refused_where_a_task_has_none() -> None:
    dataset: Any = SimpleNamespace(fields=(Field(name="age", kind="values", classes=("age",)),))
    with pytest.raises(SaccadeError, match=r"data\.class_weights"):
        _task(make_recipe({"data.class_weights": "balanced"}), dataset, "regression")


def test_without_anchors_only_the_cell_of_the_centre_answers() -> None:
    """Sizes in cells reach any object; an anchor of a cell's size would leave large ones out."""
    facts = facts_of("detection", 200, 320)
    assert (
        complete(make_recipe({"model": "yolo", "model.anchors": 0}), facts).model.rule == "centre"
    )
    assert complete(make_recipe({"model": "yolo"}), facts).model.rule is None


def test_pictures_as_large_as_in_training_are_taken_in_use(tmp_path: Path) -> None:
    """What a training was told to decode its network must not refuse afterwards."""
    trained = train(tmp_path, {"data.max_pixels": 90}, epochs=1)
    for side, known in ((9, True), (10, False)):
        Image.new("L", (side, side)).save(tmp_path / f"{side}.png")
        (answer,) = trained.predict(tmp_path / f"{side}.png")
        assert (answer.result is not None) == known


def test_thumbnails_show_what_the_network_sees(tmp_path: Path) -> None:
    """Masks and places are told in the input, which is the middle of a larger canvas."""
    for name in ("a", "b"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for place in range(10):
            pixels = np.random.default_rng([place, ord(name)]).integers(0, 200, (40, 40), np.uint8)
            pixels[10:30, 10:30] = 255
            Image.fromarray(pixels).save(tmp_path / "data" / name / f"{place}.png")
    settings = {"data.fit": "crop", "data.margin": 2.0, "data.imgsz": [20, 20]}
    trained = saccade.train(
        tmp_path / "data", project=tmp_path / "runs", settings=settings, model="convnet", epochs=1
    )
    jpegs = trained.folder.read_table(trained.folder.thumbnails("dev"))["jpeg"].to_pylist()
    for jpeg in jpegs:
        seen = np.asarray(Image.open(io.BytesIO(jpeg)))
        assert seen.shape == (20, 20) and seen.min() > 240
