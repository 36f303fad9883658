"""Whole searches, tiny: shared by processes, killed, limited, shown."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

import saccade
from kills import fork
from saccade import api, report
from saccade.cli.main import main
from saccade.errors import SaccadeError
from saccade.experiment.prepare import Reporter
from saccade.recipe import make_recipe
from saccade.tune.caviar import Search
from saccade.tune.outcome import Trial
from saccade.tune.search import Wish, begin
from saccade.tune.study import Place, _differing, local

KEYS = {"model": "lenet5_modern", "epochs": 2, "fraction": 0.4, "batch": 32, "seed": 2}
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def part_in(folder: Path, trials: int, reporter: Reporter | None = None) -> Search:
    """One process's part in the search that is kept in `folder`."""
    folder.mkdir(exist_ok=True)
    return begin(
        saccade.open("sample:digits"),
        make_recipe(KEYS),
        Wish(trials=trials, fixed=("train.batch",)),
        folder,
        where=Place(url=local(folder), name="tune", beat=1, grace=2),
        reporter=reporter or Reporter(),
    )


def wait(*children: int) -> list[int]:
    return [os.waitpid(child, 0)[1] for child in children]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Search:
    search = part_in(tmp_path_factory.mktemp("alone"), 5)
    search.work()
    return search


def settings_of(search: Search) -> list[Mapping[str, Any]]:
    return [each.settings for each in search.outcome().trials]


def test_the_defaults_come_first(unbroken: Search) -> None:
    outcome = unbroken.outcome()
    assert [each.number for each in outcome.trials] == [0, 1, 2, 3, 4]
    assert not outcome.trials[0].settings
    assert [len(each.settings) for each in outcome.trials[1:]] == [1, 1, 2, 3]
    assert outcome.trials[0].state == "done"
    assert outcome.best is not None
    assert outcome.best.value == max(t.value for t in outcome.trials if t.state == "done")
    assert {"latency", "size", "parameters", "accuracy", "f1"} <= set(outcome.best.values)


def same_scores(some: Sequence[Trial], others: Sequence[Trial]) -> bool:
    """Who is given up depends on who came before; what the finished ones reach does not."""
    both = [
        one.value == other.value
        for one, other in zip(some, others, strict=True)
        if one.state == other.state == "done"
    ]
    return len(both) >= 2 and all(both)


@pytest.mark.slow
@forks
def test_two_processes_share_one_search(tmp_path: Path, unbroken: Search) -> None:
    work = lambda: part_in(tmp_path / "shared", 5).work()  # noqa: E731
    assert wait(fork(work), fork(work)) == [0, 0]
    search = part_in(tmp_path / "shared", 5)
    assert settings_of(search) == settings_of(unbroken)
    trials = search.outcome().trials
    assert same_scores(trials, unbroken.outcome().trials)


def killed_after(lines: int) -> Reporter:
    """Kills its process at the `lines`-th epoch of a search."""
    left = lines

    def scored(rows: Sequence[Mapping[str, float]]) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return Reporter(scored=scored)


@pytest.mark.slow
@forks
def test_a_killed_trial_is_taken_up_again(tmp_path: Path, unbroken: Search) -> None:
    folder = tmp_path / "killed"

    die = lambda: part_in(folder, 5, killed_after(3)).work()  # noqa: E731
    assert wait(fork(die)) == [signal.SIGKILL]
    assert part_in(folder, 5).outcome().trials[1].state == "running"
    assert wait(fork(lambda: part_in(folder, 5).work())) == [0]
    search = part_in(folder, 5)
    assert settings_of(search) == settings_of(unbroken)
    trials = search.outcome().trials
    assert {each.state for each in trials} <= {"done", "pruned"}
    assert same_scores(trials, unbroken.outcome().trials)
    log = (folder / "trials" / "0001" / "log.txt").read_text()
    assert "Resumed in epoch 2" in log


def test_a_study_of_other_data_is_refused(unbroken: Search) -> None:
    with pytest.raises(SaccadeError, match=r"other keys: train\.batch 32 there, 16 here"):
        begin(
            saccade.open("sample:digits"),
            make_recipe({**KEYS, "batch": 16}),
            Wish(trials=5, fixed=("train.batch",)),
            unbroken.folder,
            where=Place(url=local(unbroken.folder), name="tune"),
            reporter=Reporter(),
        )


def test_the_page_needs_no_network(unbroken: Search) -> None:
    outcome = unbroken.outcome(1.0)
    outcome.write_best()
    text = report.write_search(outcome).read_text(encoding="utf-8")
    assert "http:" not in text
    assert "https:" not in text
    assert "<script" not in text
    assert text.count("<polyline") >= 5
    assert "1-optimizer.momentum" in text or "1-momentum" in text


def test_the_best_recipe_trains_to_the_same_score(unbroken: Search, tmp_path: Path) -> None:
    outcome = unbroken.outcome()
    outcome.write_best()
    assert outcome.best is not None
    assert yaml.safe_load(outcome.recipe.read_text())["train"]["device"] is None
    run = api.train("sample:digits", recipe=outcome.recipe, project=tmp_path)
    assert run.folder.read_best()[1].metrics["accuracy"]["value"] == outcome.best.value


def test_limits_and_json_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "tune sample:digits --model lenet5_modern --epochs 1 --fraction 0.05 --trials 2"
    places = ["--project", str(tmp_path), "--json"]
    assert main([*words.split(), "--limit", "size<0.01", *places]) == 0
    out, err = capsys.readouterr()
    value = json.loads(out)
    assert value["best"] is None
    assert value["recipe"] is None
    assert [each["state"] for each in value["trials"]] == ["pruned", "pruned"]
    assert "wanted size < 0.01" in value["trials"][0]["why"]
    assert err.count("trial ") == 2
    # joined, with nothing left to do, under the same name
    assert main([*words.split(), "--limit", "size<0.01", "--resume", *places]) == 0
    assert json.loads(capsys.readouterr().out)["trials"] == value["trials"]
    assert main([*words.split(), "--metric", "iou", *places]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["name"] == "unknown-metric"


def test_without_optuna_the_message_says_how(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in sys.modules if each.startswith(("optuna", "saccade.tune"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(SaccadeError, match=r"saccade\[tune\]") as caught:
        api.tune("sample:digits")
    assert caught.value.name == "missing-extra"


def test_a_search_of_nothing_leaves_no_folder(tmp_path: Path) -> None:
    settings = {**KEYS, "lr0": 0.1}
    with pytest.raises(SaccadeError, match="foo"):
        api.tune("sample:digits", project=tmp_path, trials=2, vary=["foo=1,2"], settings=settings)
    assert not list(tmp_path.rglob("tune*"))
    assert main(["tune", "sample:digits", "--trials", "0", "--project", str(tmp_path)]) == 2


def test_every_other_key_is_named_in_full() -> None:
    there = {"train": {"batch": 32, "epochs": 3}, "task": None}
    here = {"train": {"batch": 16, "epochs": 2}, "task": None}
    assert _differing(there, here) == "train.batch 32 there, 16 here; train.epochs 3 there, 2 here"
    assert _differing("a", "b") == "a there, b here"
