"""Two processes (gloo) against one: the same training up to the order of sums."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from kills import EVERYTHING, fingerprint, kill_one_of, run_to_the_end
from saccade.errors import SaccadeError
from saccade.training.processes import ALONE, Processes, sentences
from saccade.training.run import RunFolder

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]
SETTINGS: dict[str, Any] = {
    "model.dropout": 0.0,
    "model.norm": "group",
    "train.epochs": 2,
    "train.precision": "fp32",
    "train.accumulate": 3,
    "train.batch": 75,
    "optimizer.ema": 0.9,
    "augment.mixup": 0.4,
    "data.class_weights": "balanced",
    "data.sampling": "replacement",
    "data.fraction": 0.4,
}


@pytest.mark.slow
@forks
def test_two_processes_train_as_one(tmp_path: Path) -> None:
    for count in (1, 2):
        run_to_the_end(tmp_path / str(count), SETTINGS, count)
    one, two = (RunFolder(tmp_path / name / "classification" / "run") for name in "12")
    for before, after in zip(one.read_results(), two.read_results(), strict=True):
        assert before == pytest.approx(after, rel=2e-3, abs=2e-3)
    tensors, others = one.read_best()[0], two.read_best()[0]
    for name, value in tensors.items():
        torch.testing.assert_close(value, others[name], rtol=1e-3, atol=1e-3)
    # each dev example once, in the same order
    tables = [each.read_table(each.predictions("dev")).to_pydict() for each in (one, two)]
    assert tables[0]["index"] == tables[1]["index"]
    np.testing.assert_allclose(tables[0]["loss"], tables[1]["loss"], rtol=1e-2, atol=1e-3)
    dynamics = [each.read_table(each.dynamics).to_pydict() for each in (one, two)]
    np.testing.assert_allclose(dynamics[0]["epoch_1"], dynamics[1]["epoch_1"], atol=1e-3)
    # the first process alone wrote: every line of the log stands there once
    log = (two.root / "log.txt").read_text().splitlines()
    assert sum(line.startswith("epoch 1/") for line in log) == 1
    assert any(line.startswith("2 processes: each batch of 75") for line in log)


@pytest.mark.slow
@forks
def test_a_killed_process_changes_nothing(tmp_path: Path) -> None:
    counts = kill_one_of(2, 2, tmp_path, seed=3, settings=dict(EVERYTHING))
    assert counts["random"] + counts["inside a write"] >= 2


PROGRAM = """
import os, signal, sys, torch
torch.set_num_threads(1)
from saccade.cli.main import main
from saccade.experiment import train

score = train._score_epoch
def deadly(experiment, progress):
    score(experiment, progress)
    if os.environ["RANK"] == "1" and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        os.kill(os.getpid(), signal.SIGKILL)
if sys.argv.pop(1) == "deadly":
    train._score_epoch = deadly
sys.exit(main())
"""


@pytest.mark.slow
def test_torchrun_starts_it_again(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    words = "train sample:digits --model convnet --fraction 0.2 --epochs 2 --batch 64 --device cpu"
    for how in ("unbroken", "deadly"):
        launcher = "-m torch.distributed.run --standalone --nproc-per-node 2 --max-restarts 3"
        place = ["--project", str(tmp_path / how), "--name", "run"]
        done = subprocess.run(
            [sys.executable, *launcher.split(), "program.py", how, *words.split(), *place],
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    assert done.stdout.count("accuracy") == 1
    run = tmp_path / "deadly" / "classification" / "run"
    assert "Resumed in epoch 2" in (run / "log.txt").read_text()
    assert fingerprint(tmp_path / "deadly") == fingerprint(tmp_path / "unbroken")
    assert [each.name for each in run.parent.iterdir()] == ["run"]


@pytest.mark.slow
def test_devices_starts_the_others(tmp_path: Path) -> None:
    words = "train sample:digits --fraction 0.1 --epochs 1 --device cpu --devices 2"
    done = subprocess.run(
        [sys.executable, "-m", "saccade", *words.split(), "--project", str(tmp_path)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    run = tmp_path / "classification" / "train"
    assert "2 processes: each batch" in (run / "log.txt").read_text()
    assert len(RunFolder(run).read_results()) == 1
    # its first and last line, of one process alone
    assert done.stdout.splitlines().count(str(run)) == 2


def test_alone_nothing_is_exchanged() -> None:
    model = nn.Linear(2, 1)
    indices, losses = ALONE.merge(model, torch.tensor([3, 4]), torch.tensor([0.1, 0.2]), 2.0)
    assert indices.tolist() == [3, 4]
    assert ALONE.seed(7) == 7
    assert ALONE.any(None) is None
    assert list(ALONE.in_turn(iter("abc"))) == ["a", "b", "c"]
    assert losses.shape == (2,)
    seeds = {Processes(rank=rank, count=8).seed(seed) for rank in range(8) for seed in range(50)}
    assert len(seeds) == 400


def test_batch_norm_is_named() -> None:
    two = Processes(rank=0, count=2)
    told = sentences(nn.Sequential(nn.BatchNorm2d(3)), 64, 60, two)
    assert "warning: batch norm sees the 32 examples" in told[1]
    assert len(sentences(nn.Sequential(nn.GroupNorm(1, 3)), 64, 60, two)) == 1
    assert "synchronised" in sentences(nn.SyncBatchNorm(3), 64, 60, two)[1]
    with pytest.raises(SaccadeError, match="too small for 2 processes"):
        sentences(nn.Linear(1, 1), 1, 1, two)
