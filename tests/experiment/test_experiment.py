"""Whole trainings, small: what they leave, how they stop, go on and fail."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import saccade
from saccade.errors import SaccadeError, Stopped
from saccade.experiment.prepare import Reporter
from saccade.training.checkpoint import load_checkpoint
from saccade.training.run import latest_run

FAST = {"model": "convnet", "epochs": 2, "batch": 128, "device": "cpu"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> saccade.Trained:
    return saccade.train("sample:digits", project=tmp_path_factory.mktemp("runs"), **FAST)


def test_the_run_folder_holds_what_it_promises(run: saccade.Trained) -> None:
    root = run.folder.root
    assert root.parts[-2:] == ("classification", "train")
    for name in [
        *("args.yaml", "results.csv", "results.png", "confusion_matrix.png", "report.html"),
        *("train_batch0.jpg", "val_batch0_pred.jpg", "data.json", "data.parquet", "log.txt"),
        *("weights/best.safetensors", "weights/card.json", "dynamics.parquet", "environment.json"),
        *("predictions/dev.parquet", "predictions/train.parquet", "health.csv"),
    ]:
        assert (root / name).is_file(), name
    rows = run.folder.read_results()
    assert [row["epoch"] for row in rows] == [1, 2]
    assert set(rows[0]) >= {
        "train/loss",
        "train/accuracy",
        "metrics/accuracy",
        "val/loss",
        "lr/pg0",
    }
    assert rows[1]["train/loss"] < rows[0]["train/loss"]
    complete = run.folder.read_args()
    undecided = [
        f"{part}.{key}"
        for part, values in complete.items()
        if isinstance(values, dict)
        for key, value in values.items()
        if value is None
    ]
    allowed = {"model.weights", "model.freeze", "model.norm", "model.act", "model.init"}
    allowed |= {
        "model.dropout",
        "model.stem",
        "model.pretrain_epochs",
        "loss.binary",
        "loss.name",
        "data.dev",
        "data.test",
        "data.labels",
        "data.human_error",
    }
    allowed |= {"model.stochastic_depth", "loss.box_weight", "loss.pairs", "loss.normalise_by"}
    allowed |= {"data.crop", "data.views", "loss.gaps", "loss.gap_width"}  # of masks
    allowed |= {"model.backbone", "model.upsampling", "model.width", "data.train_dev"}
    allowed |= {"model.anchors", "model.scales", "model.rule"}  # of detectors
    allowed |= {"optimizer.last_rate"}  # the schedule's own
    assert set(undecided) <= allowed


def test_dynamics_hold_every_training_example_and_agree_with_the_loss(run: saccade.Trained) -> None:
    table = run.folder.read_table(run.folder.dynamics)
    losses = np.array(table["epoch_1"])
    assert len(losses) == 1078 and np.isfinite(losses).all()
    assert losses.mean() == pytest.approx(run.folder.read_results()[0]["train/loss"], rel=1e-5)


def test_val_agrees_with_the_recorded_predictions(run: saccade.Trained) -> None:
    found = run.val("dev")
    table = run.folder.read_table(run.folder.predictions("dev"))
    errors = np.array(table["error"])
    assert found.measures["accuracy"].value == pytest.approx(1 - errors.mean())
    assert found.examples == len(errors) == 360
    low, high = found.as_dict()["intervals"]["accuracy"]
    assert low < found.measures["accuracy"].value < high


def test_every_look_at_the_test_part_is_counted(run: saccade.Trained) -> None:
    assert not run.folder.looks.is_file()
    for _ in range(2):
        run.val("test")
    assert len(json.loads(run.folder.looks.read_text())) == 2


def test_predictions_do_not_depend_on_the_batch(run: saccade.Trained) -> None:
    data = saccade.open("sample:digits")
    pictures = [data.source.load(example.key) for example in data.examples[:5]]
    together = [prediction.result for prediction in run.predict(pictures)]
    alone = [run.predict(picture)[0].result for picture in pictures]
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a.probabilities, b.probabilities, rtol=0, atol=2e-2)


def test_a_finished_run_goes_on_for_more_epochs(tmp_path: Path) -> None:
    keys = {**FAST, "epochs": 1}
    first = saccade.train("sample:digits", project=tmp_path, name="a", **keys)
    before = load_checkpoint(first.folder.last)
    longer = saccade.train("sample:digits", project=tmp_path, name="a", resume=True, epochs=3)
    assert longer.folder.root == first.folder.root
    assert [row["epoch"] for row in longer.folder.read_results()] == [1, 2, 3]
    assert before is not None and before.state["epoch"] == 1
    with pytest.raises(SaccadeError, match="batch"):
        saccade.train("sample:digits", project=tmp_path, name="a", resume=True, batch=7)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_the_resumed_run_equals_the_unbroken(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    keys = {**FAST, "project": tmp_path, "dropout": 0.5}
    saccade.train("sample:digits", name="unbroken", **keys)

    def interrupt(stage: str, done: int, total: int) -> None:
        if stage == "training" and done == 12:  # in the second of two epochs of nine
            os.kill(os.getpid(), number)

    with pytest.raises(Stopped) as caught:
        saccade.train("sample:digits", name="b", reporter=Reporter(progress=interrupt), **keys)
    assert caught.value.exit_code == code
    resumed = saccade.train("sample:digits", name="b", resume=True, **keys)
    for name in ("weights/best.safetensors", "results.csv", "predictions/dev.parquet"):
        unbroken = tmp_path / "classification" / "unbroken" / name
        assert (resumed.folder.root / name).read_bytes() == unbroken.read_bytes(), name


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_diverging_run_stops_and_names_step_pictures_and_layer(tmp_path: Path) -> None:
    with pytest.raises(SaccadeError) as caught:
        saccade.train(
            "sample:digits",
            project=tmp_path,
            lr0=1e20,
            settings={"train.precision": "fp32"},
            **FAST,
        )
    assert caught.value.name == "non-finite-loss"
    assert "step" in caught.value.message and "--lr0" in caught.value.message
    assert caught.value.files
    run = latest_run(tmp_path, "classification", "train")
    assert run is not None
    assert caught.value.message in run.log.read_text(encoding="utf-8")
    assert {line["epoch"] for line in run.read_health()} == {0}


def test_class_weights_and_balanced_sampling_run(tmp_path: Path) -> None:
    for setting in ({"data.class_weights": "balanced"}, {"data.sampling": "balanced"}):
        run = saccade.train("sample:digits", project=tmp_path, settings=setting, **FAST)
        assert run.folder.read_results()[-1]["metrics/accuracy"] > 0.2


class Tiny(nn.Module):
    """A network of a user's own."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.body(inputs)
        return out


def test_a_users_own_module_and_dataset(tmp_path: Path) -> None:
    digits = saccade.open("sample:digits")
    pairs = [
        (digits.source.load(example.key), str(example.target["label"]))
        for example in digits.examples[:600]
    ]
    run = saccade.train(pairs, module=Tiny(), project=tmp_path, epochs=2, batch=64, device="cpu")
    assert run.val("dev").measures["accuracy"].value > 0.3
    again = saccade.load(run.folder.root, module=Tiny())
    assert again.predict(pairs[0][0])[0].result.label in digits.fields[0].classes
    with pytest.raises(SaccadeError, match="module="):
        saccade.load(run.folder.root).predict(pairs[0][0])


def test_names_are_never_used_twice_unless_asked(tmp_path: Path, run: saccade.Trained) -> None:
    keys = {**FAST, "epochs": 1, "project": tmp_path, "name": "x"}
    names = [saccade.train("sample:digits", **keys).folder.root.name for _ in range(2)]
    assert names == ["x", "x2"]
    again = saccade.train("sample:digits", exist_ok=True, **keys)
    assert again.folder.root.name == "x" and len(again.folder.read_results()) == 1
