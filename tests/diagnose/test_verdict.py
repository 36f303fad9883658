from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from diagnose.made_run import share, write_run
from saccade.diagnose.evidence import read_evidence
from saccade.diagnose.gaps import gap, measure_gaps
from saccade.diagnose.verdict import judge
from saccade.errors import SaccadeError
from saccade.ops.intervals import mean_interval, wilson
from saccade.types import ENSEMBLE, Limit, Measure


@pytest.mark.parametrize(
    ("train", "bridge", "dev", "test", "human", "limit"),
    [
        # the notes' table: humans 1 %, training 8 %, dev 10 %, then humans 7.5 %
        (0.08, None, 0.10, None, 0.01, "avoidable-bias"),
        (0.08, None, 0.13, None, 0.075, "variance"),
        (0.01, None, 0.10, None, 0.0, "variance"),
        # the notes' train-dev examples
        (0.01, 0.09, 0.10, None, 0.0, "variance"),
        (0.01, 0.015, 0.10, None, 0.0, "data-mismatch"),
        (0.005, None, 0.01, 0.09, 0.0, "dev-overfitting"),
        (0.001, None, 0.002, 0.003, 0.0, "nothing"),
    ],
)
def test_the_largest_gap_decides(
    tmp_path: Path,
    train: float,
    bridge: float | None,
    dev: float,
    test: float | None,
    human: float,
    limit: Limit,
) -> None:
    parts = {"train": share(6000, train), "dev": share(2000, dev)}
    if bridge is not None:
        parts["train-dev"] = share(2000, bridge)
    if test is not None:
        parts["test"] = share(2000, test)
    run = write_run(tmp_path / "run", parts)
    verdict = judge(read_evidence(run, human_error=human))
    assert verdict.limit == limit
    assert len(verdict.lines) == 3
    assert verdict.command.startswith("saccade ")


def test_a_small_dev_part_cannot_tell(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {"train": share(600, 0.0), "dev": share(60, 0.0)})
    verdict = judge(read_evidence(run, human_error=0.0))
    assert verdict.limit == "cannot-tell"
    assert "dev has 60 images" in verdict.lines[0]


@pytest.mark.parametrize(("asked", "limit"), [(3, "cannot-tell"), (400, "nothing")])
def test_a_few_answers_of_people_settle_nothing(tmp_path: Path, asked: int, limit: str) -> None:
    """One of three pictures missed may be an error of 6 % or of 79 %."""
    run = write_run(tmp_path / "run", {"train": share(3000, 0.1), "dev": share(1500, 0.1)})
    wrong = round(asked / 3)
    low, high = wilson(wrong, asked)
    measured = {"value": wrong / asked, "low": low, "high": high, "n": asked}
    run.write_json(run.root / "human.json", measured)
    verdict = judge(read_evidence(run))
    assert verdict.limit == limit
    if limit == "cannot-tell":
        assert "people have judged 3 images" in verdict.lines[0]
        assert verdict.command.startswith("saccade human ")
        assert verdict.command.endswith(" --count 100")


def test_people_are_not_asked_for_what_a_larger_dev_would_tell(tmp_path: Path) -> None:
    """Fewer answers than dev pictures, but it is the small test part that hides something."""
    parts = {"train": share(3000, 0.02), "dev": share(400, 0.025), "test": share(30, 0.033)}
    run = write_run(tmp_path / "run", parts)
    low, high = wilson(2, 100)
    run.write_json(run.root / "human.json", {"value": 0.02, "low": low, "high": high, "n": 100})
    verdict = judge(read_evidence(run))
    assert verdict.limit == "cannot-tell"
    assert "test has 30 images" in verdict.lines[0]
    assert "saccade human" not in verdict.command


def test_unknown_human_error_is_said(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {"train": share(600, 0.3), "dev": share(300, 0.32)})
    verdict = judge(read_evidence(run))
    assert verdict.limit == "avoidable-bias"
    assert "or less" in verdict.lines[0]
    assert "human-level error unknown" in verdict.lines[1]


def test_gaps_are_differences_of_the_errors(tmp_path: Path) -> None:
    parts = {"train": share(600, 0.05), "dev": share(300, 0.2), "test": share(300, 0.3)}
    gaps = measure_gaps(read_evidence(write_run(tmp_path / "run", parts), human_error=0.01))
    assert gaps["avoidable-bias"].value == pytest.approx(0.04)
    assert gaps["variance"].value == pytest.approx(0.15)
    assert gaps["dev-overfitting"].value == pytest.approx(0.1)
    assert "data-mismatch" not in gaps


@pytest.mark.parametrize(("train", "dev"), [(0.01, 0.08), (0.10, 0.12), (0.30, 0.45)])
@pytest.mark.parametrize("kind", ["shares", "numbers"])
def test_intervals_cover_the_true_gap(train: float, dev: float, kind: str) -> None:
    """Of 200 dev sets drawn anew, 90 to 98 % have the true gap within their interval."""
    random = np.random.default_rng(5)
    covered = 0
    # 10 lots of 200, so that the share itself is known to a point or so
    rounds = 2000 if kind == "shares" else 200
    for _ in range(rounds):
        if kind == "shares":
            values = [random.random(n) < p for n, p in ((2400, train), (400, dev))]
        else:
            values = [random.gamma(1, p, n) for n, p in ((600, train), (150, dev))]
        low, high = (_measure(drawn) for drawn in values)
        found = gap(high, low)
        covered += found.low <= dev - train <= found.high
    assert 0.90 <= covered / rounds <= 0.98


def _measure(values: np.ndarray) -> Measure:
    value, low, high, count = mean_interval(values)
    return Measure(value=value, low=low, high=high, n=count)


def test_an_ensemble_is_not_unfinished(tmp_path: Path) -> None:
    """The command of an unfinished run would train a single network in its place."""
    run = write_run(tmp_path / "ensemble", {"dev": share(300, 0.1)})
    evidence = read_evidence(run)
    card = SimpleNamespace(model=ENSEMBLE, arguments={"members": [{"run": "a b"}, {"run": "c"}]})
    verdict = judge(replace(evidence, card=card))  # type: ignore[arg-type]
    assert verdict.command == "saccade diagnose 'a b'"
    assert "2 networks" in verdict.lines[0] and "10.0 %" in verdict.lines[0]


def test_an_unfinished_run_goes_on_by_its_very_name(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs" / "classification" / "my run", {})
    command = judge(read_evidence(run)).command
    assert "--name 'my run' --exist-ok --resume" in command and "--task classification" in command


def test_a_dev_part_that_files_name_is_enlarged_by_a_table_or_by_hand(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {"train": share(600, 0.0), "dev": share(60, 0.0)})
    manifest = run.read_json(run.data) | {"method": "dev as the files name it; test cut"}
    run.write_json(run.data, manifest)
    verdict = judge(read_evidence(run, human_error=0.0))
    assert verdict.limit == "cannot-tell" and "advice/redrawn.csv" in verdict.command
    run.write_json(run.data, manifest | {"fields": [{"name": "o", "kind": "boxes", "classes": []}]})
    verdict = judge(read_evidence(run, human_error=0.0))
    assert verdict.lines[2].startswith("Next: add pictures to the dev part of the data, then ")
    run.write_json(run.data, manifest | {"method": "test as the files name it; dev cut"})
    assert "--set data.dev=" in judge(read_evidence(run, human_error=0.0)).command


def test_a_human_error_in_percent_is_refused(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {"train": share(300, 0.1), "dev": share(30, 0.15)})
    with pytest.raises(SaccadeError, match=r"such as 0\.02"):
        read_evidence(run, human_error=2.0)


def test_an_unfinished_run_that_was_moved_goes_back_first(tmp_path: Path) -> None:
    run = write_run(tmp_path / "elsewhere" / "my run", {})
    verdict = judge(read_evidence(run))
    assert f"--project {tmp_path / 'elsewhere'} " in verdict.command
    place = tmp_path / "elsewhere" / "classification" / "my run"
    assert f"Next: move the run to {place}, then saccade train" in verdict.lines[2]


def test_data_that_are_gone_are_not_named_in_commands(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {"train": share(600, 0.3), "dev": share(300, 0.32)})
    recipe = run.read_args()
    there = tmp_path / "pictures"
    for exists in (False, True):
        run.write_args({**recipe, "run": {"data": str(there)}})
        verdict = judge(read_evidence(run))
        named = str(there) if exists else "DATA"
        assert verdict.command.startswith(f"saccade train {named} ")
        assert ("they are not where they were" in verdict.lines[2]) == (not exists)
        there.mkdir(exist_ok=True)


@pytest.mark.parametrize("name", ["data.json", "weights/best.safetensors"])
def test_a_damaged_file_is_named(tmp_path: Path, name: str) -> None:
    run = write_run(tmp_path / "run", {"train": share(60, 0.3), "dev": share(30, 0.32)})
    place = run.root / name
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(place.read_bytes()[:50] if place.is_file() else b"")
    with pytest.raises(SaccadeError, match=r"damaged") as caught:
        read_evidence(run)
    assert caught.value.files == (str(place),)
