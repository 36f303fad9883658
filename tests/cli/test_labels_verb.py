"""From a suspect to a training that leaves it out, with the user's data untouched."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

from saccade.cli.main import main
from saccade.errors import SaccadeError
from saccade.review.judging import _relabelled
from saccade.training.run import RunFolder


@pytest.fixture
def run(trained: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch) -> str:
    """A trained run, seen from its folder."""
    place, lines = trained
    monkeypatch.chdir(place)
    return lines[0]


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    capsys.readouterr()
    assert main([*arguments, "--json"]) == 0
    return dict(json.loads(capsys.readouterr().out))


def test_verdicts_reach_the_next_training(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = call(
        capsys, "labels", run, "--relabel", "digits#0=7", "--drop", "digits#2", "--drop", "digits#3"
    )
    assert told["judged"] == {"train": 3} or sum(told["judged"].values()) == 3  # type: ignore[attr-defined]
    file = Path(run) / "labels" / "corrections.csv"
    assert str(file) in told["command"]  # type: ignore[operator]
    told = call(capsys, "labels", run, "--accept", "digits#2")
    with file.open(encoding="utf-8", newline="") as opened:
        said = {
            row["key"]: (row["was"], row["verdict"], row["label"]) for row in csv.DictReader(opened)
        }
    assert said == {
        "digits#0": ("0", "relabel", "7"),
        "digits#2": ("2", "accept", ""),
        "digits#3": ("3", "drop", ""),
    }
    log = (file.with_name("log.csv")).read_text(encoding="utf-8").splitlines()
    assert len(log) == 1 + 3 + 1
    train = (
        "train sample:digits --model lenet5_modern --epochs 1 --fraction 0.05 --batch 64 --name c"
    )
    made = RunFolder(Path(str(call(capsys, *train.split(), "--labels", str(file))["run"])))
    before = {
        e["key"]: e for e in RunFolder(Path(run)).read_json(Path(run) / "data.json")["examples"]
    }
    manifest = made.read_json(made.data)
    after = {e["key"]: e for e in manifest["examples"]}
    assert after["digits#0"]["target"] == {"label": "7"}
    assert after["digits#3"]["part"] == ""
    assert sum(manifest["parts"].values()) == 1796
    # nothing else moved to another part
    assert all(after[k]["part"] == e["part"] for k, e in before.items() if k != "digits#3")
    # the run keeps its own copy: what the file says later does not reach it
    file.write_text("key,was,verdict,label\n", encoding="utf-8")
    assert call(capsys, "val", str(made.root))["examples"] == manifest["parts"]["dev"]


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["--drop", "nowhere.png"], "no-such-picture"),
        (["--relabel", "digits#0=zebra"], "bad-verdict"),
        (["--relabel", "digits#0"], "bad-verdict"),
    ],
)
def test_what_makes_no_sense_changes_nothing(
    run: str, arguments: list[str], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    call(capsys, "labels", run)
    before = (Path(run) / "labels" / "suspects.csv").read_bytes()
    capsys.readouterr()
    assert main(["labels", run, *arguments, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["name"] == name
    assert (Path(run) / "labels" / "suspects.csv").read_bytes() == before


def test_a_filled_in_table_is_taken_over(
    run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "mine.csv"
    mine.write_text("key,verdict,should be\ndigits#8,Relabel,3\ndigits#9,,\n", encoding="utf-8")
    call(capsys, "labels", run, "--import", str(mine))
    text = (Path(run) / "labels" / "corrections.csv").read_text(encoding="utf-8")
    assert "digits#8,8,relabel,3" in text and "digits#9" not in text


def test_folds_judge_training_labels_by_networks_that_have_not_seen_them(
    trained: tuple[Path, list[str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place, lines = trained
    monkeypatch.chdir(place)
    run = RunFolder(tmp_path / "run")
    shutil.copytree(lines[0], run.root)
    told = call(capsys, "labels", str(run.root), "--folds", "2")
    training = {e["key"] for e in run.read_json(run.data)["examples"] if e["part"] == "train"}
    asked = run.read_table(run.folds)["key"].to_pylist()
    assert sorted(asked) == sorted(training)
    assert told["labels"]["train"] == len(training)  # type: ignore[index]
    for fold in ("1of2", "2of2"):
        made = RunFolder(run.root / "labels" / "folds" / fold)
        parts = {e["key"]: e["part"] for e in made.read_json(made.data)["examples"]}
        own = set(made.read_table(made.predictions("dev"))["key"].to_pylist())
        assert {key for key, part in parts.items() if part == "dev"} == own
        assert set(parts) == training
    # what is there is not trained again
    times = [path.stat().st_mtime_ns for path in sorted(run.root.rglob("best.safetensors"))]
    call(capsys, "labels", str(run.root), "--folds", "2")
    assert times == [p.stat().st_mtime_ns for p in sorted(run.root.rglob("best.safetensors"))]


def test_a_key_may_hold_the_sign_that_ends_it() -> None:
    assert _relabelled("a=b.png=cat", {"a=b.png"}) == ("a=b.png", "relabel", "cat")
    assert _relabelled("x.png=a=b", {"x.png"}) == ("x.png", "relabel", "a=b")
    assert _relabelled("gone=cat", {"x.png"}) == ("gone", "relabel", "cat")
    with pytest.raises(SaccadeError, match="expected KEY=CLASS"):
        _relabelled("x.png", {"x.png"})
