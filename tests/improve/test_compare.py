from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_score, recall_score

from diagnose.made_run import share, write_run
from saccade.cli.main import main
from saccade.errors import SaccadeError
from saccade.improve.compare import compare
from saccade.improve.metrics import Scores, find_metric
from saccade.limits import Limit
from saccade.ops.paired import mcnemar
from saccade.training.run import RunFolder


def made(root: Path, wrong: np.ndarray) -> RunFolder:
    run = write_run(root, {"train": share(60, 0.0), "dev": wrong})
    run.write_json(run.card, {"fields": [{"name": "label", "classes": ["a", "b", "c"]}]})
    return run


def runs(tmp_path: Path, *shares: float) -> list[RunFolder]:
    """Runs whose mistakes lie within each other."""
    hard = np.random.default_rng(0).permutation(600) / 600
    return [
        made(tmp_path / f"r{n}", (hard < part).astype(np.float32)) for n, part in enumerate(shares)
    ]


def test_metrics_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    target, label = random.integers(0, 3, 500), random.integers(0, 3, 500)
    weight = np.array([1.0, 5.0, 1.0])[target]
    scores = Scores(
        error=(target != label).astype(float),
        loss=np.zeros(500),
        weight=weight,
        classes=("a", "b", "c"),
        target=target,
        label=label,
    )
    kept = {"sample_weight": weight}
    assert find_metric("accuracy", scores).of(scores) == pytest.approx(
        np.average(target == label, weights=weight)
    )
    assert find_metric("f1", scores).of(scores) == pytest.approx(
        f1_score(target, label, average="macro", **kept)
    )
    for name, measure in (("recall_b", recall_score), ("precision_b", precision_score)):
        wanted = measure(target, label, average=None, **kept)[1]
        assert find_metric(name, scores).of(scores) == pytest.approx(wanted)
    with pytest.raises(SaccadeError, match="did you mean recall_b"):
        find_metric("recal_b", scores)


def test_a_large_difference_is_told_from_noise(tmp_path: Path) -> None:
    worse, better = runs(tmp_path, 0.15, 0.08)
    found = compare([worse, better])
    assert found.best is not None and found.best.run == str(better.root)
    gain = found.gain[str(worse.root)]
    assert gain.value == pytest.approx(0.07, abs=0.002) and 0 < gain.low < gain.high
    assert found.p[str(worse.root)] == pytest.approx(mcnemar([1] * 42, [0] * 42))
    assert found.test == "McNemar"
    assert "better, beyond noise" in found.lines()[1]


def test_a_small_difference_is_noise(tmp_path: Path) -> None:
    found = compare(runs(tmp_path, 0.1, 0.105))
    assert "within noise" in found.lines()[1]


def test_f1_and_weights_are_resampled(tmp_path: Path) -> None:
    pair = runs(tmp_path, 0.15, 0.08)
    for options in ({"metric": "f1"}, {"weights": {"a": 10.0}}, {"metric": "loss"}):
        found = compare(pair, **options)  # type: ignore[arg-type]
        assert found.test == "bootstrap"
        assert found.best is not None and found.best.run == str(pair[1].root)
        assert found.p[str(pair[0].root)] < 0.05


def test_limits_come_before_the_metric(tmp_path: Path) -> None:
    pair = runs(tmp_path, 0.15, 0.08)
    strict = Limit("recall_a", ">=", 0.99)
    assert compare(pair, limits=[strict]).best is None
    assert compare(pair, limits=[strict]).lines() == ["No run keeps every limit."]
    loose = compare(pair, limits=[Limit("error", "<", 0.1)])
    assert loose.best is not None and loose.best.run == str(pair[1].root)
    assert [len(entry.broken) for entry in loose.entries] == [0, 1]
    assert "That one breaks error < 0.1" in loose.lines()[1]


def test_only_shared_pictures_count(tmp_path: Path) -> None:
    pair = runs(tmp_path, 0.15, 0.08)
    rows = pair[1].read_table(pair[1].predictions("dev")).to_pydict()
    pair[1].write_table(pair[1].predictions("dev"), {k: v[:400] for k, v in rows.items()})
    assert compare(pair).examples == 400
    rows["key"] = [f"other-{key}" for key in rows["key"]]
    pair[1].write_table(pair[1].predictions("dev"), rows)
    with pytest.raises(SaccadeError, match="no picture in common"):
        compare(pair)


def test_what_cannot_be_compared_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = runs(tmp_path, 0.15, 0.08)
    with pytest.raises(SaccadeError, match="two runs or more"):
        compare([one])
    with pytest.raises(SaccadeError, match="zebra: no class"):
        compare([one, two], weights={"zebra": 2.0})
    with pytest.raises(SaccadeError, match="test has not been scored"):
        compare([one, two], split="test")
    two.write_json(two.card, {"fields": [{"name": "label", "classes": ["a", "b"]}]})
    with pytest.raises(SaccadeError, match="another task, or other classes"):
        compare([one, two])


def test_json_of_the_verb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    worse, better = runs(tmp_path, 0.15, 0.08)
    arguments = ["--metric", "f1", "--limit", "recall_a>=0.5", "--weight", "a=2"]
    assert main(["compare", str(worse.root), str(better.root), *arguments, "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["best"] == str(better.root)
    assert value["runs"][0]["values"]["recall_a"] > 0.5
    assert value["runs"][1]["beyond_noise"] is True
    assert main(["compare", str(worse.root), str(better.root), "--weight", "a=x"]) == 1


def test_groups_stand_for_less(tmp_path: Path) -> None:
    """Ten pictures of one patient are missed together: the difference is two patients, not 20."""
    pair = runs(tmp_path, 0.0, 0.0)
    rows = pair[1].read_table(pair[1].predictions("dev")).to_pydict()
    rows["error"][:20] = [1.0] * 20
    pair[1].write_table(pair[1].predictions("dev"), rows)
    assert compare(pair).p[str(pair[1].root)] < 0.001
    for run in pair:
        manifest = run.read_json(run.data)
        held = [entry for entry in manifest["examples"] if entry["part"] == "dev"]
        for place, entry in enumerate(held):
            entry["group"] = f"patient {place // 10}"
        run.write_json(run.data, manifest)
    found = compare(pair)
    assert found.test == "bootstrap" and found.p[str(pair[1].root)] > 0.05


def test_a_run_on_a_table_of_the_same_pictures(tmp_path: Path) -> None:
    """Its keys begin elsewhere; what is in the files is the same."""
    pair = runs(tmp_path, 0.15, 0.08)
    for run, start in zip(pair, ("", "../../data/"), strict=True):
        manifest = run.read_json(run.data)
        for entry in manifest["examples"]:
            entry["sha256"] = entry["key"]
            entry["key"] = start + entry["key"]
        run.write_json(run.data, manifest)
    rows = pair[1].read_table(pair[1].predictions("dev")).to_pydict()
    rows["key"] = [f"../../data/{key}" for key in rows["key"]]
    pair[1].write_table(pair[1].predictions("dev"), rows)
    assert compare(pair).examples == 600


def test_a_single_group_proves_nothing(tmp_path: Path) -> None:
    pair = runs(tmp_path, 0.0, 0.1)
    for run in pair:
        manifest = run.read_json(run.data)
        for entry in manifest["examples"]:
            entry["group"] = "one patient"
        run.write_json(run.data, manifest)
    found = compare(pair)
    gain = found.gain[str(pair[1].root)]
    assert found.p[str(pair[1].root)] == 1.0 and gain.low <= 0 < gain.high
