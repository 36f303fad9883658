"""Ensembles: averaged predictions, one folder, the gain over the members."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import saccade
from saccade import api
from saccade.cli.main import main
from saccade.errors import SaccadeError
from saccade.tasks import table
from saccade.tasks.committee import Answer, Committee, answers_of, average
from saccade.types import Batch, Field

KEYS = {"epochs": 3, "batch": 64, "device": "cpu"}


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> list[saccade.Trained]:
    project = tmp_path_factory.mktemp("runs")
    split = {"data.seed": 0}
    settings = {**split, "data.mean": [0.4], "data.std": [0.2], "optimizer.name": "adam"}
    return [
        saccade.train("sample:digits", project=project, model="convnet", seed=seed, **KEYS, **more)
        for seed, more in ((1, {"settings": split}), (2, {"settings": settings}))
    ]


def test_an_ensemble_answers_with_the_mean_of_its_members(
    members: list[saccade.Trained], tmp_path: Path
) -> None:
    made = api.ensemble(members, project=tmp_path)
    assert (made.folder.root / "report.html").is_file()
    data = saccade.open("sample:digits")
    pictures = [data.source.load(example.key) for example in data.examples[:8]]
    together = [p.result.probabilities for p in saccade.load(made.folder.root).predict(pictures)]
    alone = [[p.result.probabilities for p in member.predict(pictures)] for member in members]
    for found, *own in zip(together, *alone, strict=True):
        torch.testing.assert_close(found, torch.stack(own).mean(0), rtol=0, atol=5e-3)
    again = saccade.load(made.folder.root).val("dev")
    assert again.measures == made.validation.measures


def test_the_gain_is_that_of_the_recorded_errors(
    members: list[saccade.Trained], tmp_path: Path
) -> None:
    made = api.ensemble([member.folder.root for member in members], project=tmp_path)
    accuracies = [
        member.folder.read_json(member.folder.card)["metrics"]["accuracy"]["value"]
        for member in members
    ]
    own = made.validation.measures["accuracy"].value
    assert made.gain.mean.value == pytest.approx(own - np.mean(accuracies))
    assert made.gain.best.value == pytest.approx(own - max(accuracies))
    assert made.gain.mean.low <= made.gain.mean.value <= made.gain.mean.high
    assert made.gain.mean.value > 0  # the mean of probabilities beats the mean member


def test_the_verb_prints_one_value(
    members: list[saccade.Trained], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [str(member.folder.root) for member in members]
    assert main(["ensemble", *runs, "--project", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found["members"]) == set(runs) and set(found["gain"]) == {"mean", "best"}
    assert found["metrics"]["accuracy"] > 0.5
    assert main(["ensemble", runs[0], "--project", str(tmp_path)]) == 1


def test_members_of_another_split_are_refused(
    members: list[saccade.Trained], tmp_path: Path
) -> None:
    other = saccade.train(
        "sample:digits",
        project=tmp_path,
        model="convnet",
        **{**KEYS, "epochs": 1},
        settings={"data.seed": 1},
    )
    with pytest.raises(SaccadeError, match="another split"):
        api.ensemble([members[0], other], project=tmp_path)
    assert not (tmp_path / "classification" / "ensemble").exists()
    with pytest.raises(SaccadeError, match="two runs or more"):
        api.ensemble([], project=tmp_path)
    with pytest.raises(SaccadeError, match="'ensemble'"):
        made = api.ensemble(members, project=tmp_path)
        api.ensemble([members[0], made.folder.root], project=tmp_path)


def test_averages_of_each_kind_of_answer() -> None:
    torch.manual_seed(0)
    outputs = torch.randn(3, 5, 8)
    answers = [Answer("label", 3), Answer("labels", 2), Answer("values", 2), Answer("label", 1)]
    found = average(outputs, answers)
    torch.testing.assert_close(found[:, :3].softmax(1), outputs[..., :3].softmax(2).mean(0))
    torch.testing.assert_close(found[:, 3:5].sigmoid(), outputs[..., 3:5].sigmoid().mean(0))
    torch.testing.assert_close(found[:, 5:7], outputs[..., 5:7].mean(0))
    torch.testing.assert_close(found[:, 7:].sigmoid(), outputs[..., 7:].sigmoid().mean(0))


def test_a_committee_serves_a_task_of_several_heads() -> None:
    fields = (
        Field(name="kind", kind="label", classes=("a", "b")),
        Field(name="size", kind="values", classes=("x",)),
    )
    task = table.create("multitask", fields).fit(
        {"kind": torch.tensor([0, 1]), "size": torch.tensor([[1.0], [3.0]])}
    )
    networks = [nn.Sequential(nn.Flatten(), nn.Linear(16, 3)) for _ in range(2)]
    built = [task.build(table.own(network)) for network in networks]
    committee = Committee(built, answers_of(task), torch.ones(2, 1), torch.zeros(2, 1)).eval()
    batch = Batch(inputs=torch.randn(4, 1, 4, 4), targets={}, indices=torch.arange(4))
    together = task.predict(committee, batch)
    alone = [task.predict(network, batch) for network in built]
    for row in range(4):
        mean = sum(each[row].heads["size"].values for each in alone) / 2
        torch.testing.assert_close(together[row].heads["size"].values, mean)
