from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

from diagnose.made_run import RECIPE, share, write_run
from saccade.diagnose.evidence import read_evidence
from saccade.errors import SaccadeError
from saccade.ops.intervals import wilson
from saccade.training.run import RunFolder


def test_errors_are_those_of_the_predictions(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {"train": share(900, 0.02), "dev": share(300, 0.1)})
    evidence = read_evidence(run)
    assert evidence.errors["train"].value == pytest.approx(0.02)
    dev = evidence.errors["dev"]
    assert (dev.value, dev.n) == (pytest.approx(0.1), 300)
    assert (dev.low, dev.high) == pytest.approx(wilson(30, 300))
    assert evidence.human is None
    assert evidence.predictions["dev"]["embedding"].shape == (300, 12)
    assert len(evidence.curves["val/loss"]) == 10


def test_groups_count_for_less_than_examples(tmp_path: Path) -> None:
    """Ten groups that are right or wrong as a whole: the interval is that of ten trials."""
    wrong = np.repeat([1, 0, 0, 1, 0, 0, 0, 0, 0, 0], 30).astype(np.float32)
    names = [f"g{number // 30}" for number in range(300)]
    parts = {"train": share(300, 0.0), "dev": wrong}
    groups = {"train": [f"t{number}" for number in range(300)], "dev": names}
    alone = read_evidence(write_run(tmp_path / "alone", parts)).errors["dev"]
    grouped = read_evidence(write_run(tmp_path / "grouped", parts, groups=groups)).errors["dev"]
    assert grouped.n == 10
    assert grouped.high - grouped.low > 3 * (alone.high - alone.low)


def test_human_error_is_given_or_measured(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {"train": share(90, 0.0), "dev": share(90, 0.1)})
    assert read_evidence(run, human_error=0.03).human.value == 0.03  # type: ignore[union-attr]
    measured = {"value": 0.05, "low": 0.01, "high": 0.1, "n": 60}
    (run.root / "human.json").write_text(json.dumps(measured), encoding="utf-8")
    assert read_evidence(run).human.n == 60  # type: ignore[union-attr]
    with pytest.raises(SaccadeError, match="--human-error"):
        read_evidence(run, human_error=-1.0)


def test_a_run_that_only_began_has_little_evidence(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.write_args(RECIPE)
    evidence = read_evidence(run)
    assert not evidence.errors
    assert not evidence.curves
    assert evidence.card is None


def test_sixty_thousand_examples_are_read_in_seconds(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {"train": share(300, 0.02), "dev": share(300, 0.1)})
    count = 60_000
    random = np.random.default_rng(0)
    run.write_table(
        run.predictions("train"),
        {
            "index": np.arange(count),
            "key": [f"{number}.png" for number in range(count)],
            "target": ["a"] * count,
            "error": (random.random(count) < 0.1).astype(np.float32),
            "loss": random.random(count),
            "probabilities": list(random.random((count, 10), dtype=np.float32)),
            "embedding": list(random.random((count, 64), dtype=np.float32)),
        },
    )
    began = time.perf_counter()
    evidence = read_evidence(run)
    assert evidence.predictions["train"]["embedding"].shape == (count, 64)
    assert time.perf_counter() - began < 5
