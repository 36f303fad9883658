"""One run, nursed: what is decided at a pause, and that a killed nursing ends the same."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

import saccade
from kills import fork
from saccade import api
from saccade.experiment.prepare import Reporter
from saccade.recipe import make_recipe
from saccade.training.run import RunFolder
from saccade.tune.panda import LOWERED, RAISED, Diary, judged, nurse

KEYS = {"model": "convnet", "epochs": 4, "fraction": 0.2, "batch": 32, "seed": 2}


def row(accuracy: float, loss: float) -> dict[str, float]:
    return {"metrics/accuracy": accuracy, "val/loss": loss}


def test_decisions() -> None:
    start = Diary(metric="accuracy", rate=0.1)
    good = judged(start, [row(0.5, 1.0), row(0.6, 0.9)], 2)
    assert (good.stretches[-1].then, good.epoch) == ("raised", 2)
    assert good.rate == pytest.approx(0.1 * RAISED, rel=1e-3)
    flat = judged(good, [row(0.6, 0.9), row(0.6, 0.9)], 4)
    assert (flat.stretches[-1].then, flat.epoch) == ("lowered", 4)
    worse = judged(good, [row(0.55, 1.2), row(0.5, 1.5)], 4)
    assert (worse.stretches[-1].then, worse.epoch) == ("taken back", 2)
    assert worse.rate == pytest.approx(good.rate * LOWERED, rel=1e-3)
    blown = judged(start, [], 2)
    assert (blown.stretches[-1].then, blown.epoch) == ("taken back", 0)
    assert not math.isfinite(blown.stretches[-1].loss)
    ending = judged(start, [row(0.5, 1.0)], 2, ending=True)
    assert ending.stretches[-1].then == "lowered"


def test_errors_are_better_smaller() -> None:
    start = Diary(metric="mae", rate=0.1)
    first = judged(start, [{"metrics/mae": 3.0, "val/loss": 1.0}], 1)
    second = judged(first, [{"metrics/mae": 2.0, "val/loss": 1.01}], 2)
    assert second.stretches[-1].then == "raised"
    assert second.stretches[-1].score == 2.0


def nursed(folder: Path, lr0: float = 0.05, reporter: Reporter | None = None) -> Diary:
    folder.mkdir(exist_ok=True)
    return nurse(
        saccade.open("sample:digits"),
        make_recipe({**KEYS, "lr0": lr0}),
        RunFolder(folder),
        every=1,
        reporter=reporter or Reporter(),
    )


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_killed_nursing_ends_as_if_it_never_had_been(tmp_path: Path) -> None:
    unbroken = nursed(tmp_path / "unbroken")
    assert unbroken.epoch == 4

    def die() -> None:
        lines = []

        def say(line: str) -> None:
            lines.append(line)
            if len(lines) == 3:  # the third stretch is trained, and not yet written down
                os._exit(9)

        nursed(tmp_path / "killed", reporter=Reporter(say=say))

    os.waitpid(fork(die), 0)
    assert nursed(tmp_path / "killed") == unbroken
    weights = [tmp_path / name / "weights" / "best.safetensors" for name in ("unbroken", "killed")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_a_rate_that_blows_up_is_taken_back(tmp_path: Path) -> None:
    run, diary = api.nurse(
        "sample:digits", settings={**KEYS, "lr0": 1e6, "epochs": 2}, project=tmp_path, every=1
    )
    assert diary.stretches[0].then == "taken back"
    assert diary.rate < 1e3
    assert run.folder.report.is_file()
    args = run.folder.read_args()
    assert args["train"]["epochs"] == max(1, diary.epoch)
