"""Errors by source, what tells sources apart, and remedies judged on the same pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from diagnose.made_run import share, write_run
from saccade.cli.main import main
from saccade.diagnose import diagnose
from saccade.diagnose.remedies import compare, halve
from saccade.diagnose.sources import area_under, dev_apart, told_apart
from saccade.training.run import RunFolder


def mismatched(root: Path, dev: float = 0.3, seed: int = 0) -> RunFolder:
    """Web pictures in training, phone pictures in dev, of which many more are wrong."""
    errors = {
        "train": share(900, 0.01),
        "train-dev": share(200, 0.03, seed=2),
        "dev": share(300, dev, seed=seed),
    }
    run = write_run(root, errors)
    manifest = run.read_json(run.data)
    for number, entry in enumerate(manifest["examples"]):
        entry["source"] = "phone" if entry["part"] == "dev" else "web"
        entry["sha256"] = f"{number:064x}"
    run.write_json(run.data, manifest)
    table = run.read_table(run.images).to_pydict()
    table["sharpness"] = [
        value / 5 if part == "dev" else value
        for value, part in zip(table["sharpness"], table["split"], strict=True)
    ]
    run.write_table(run.images, table)
    return run


def test_the_gap_is_data_mismatch_and_errors_are_told_by_source(tmp_path: Path) -> None:
    told = diagnose(mismatched(tmp_path / "run").root)
    assert told.verdict.limit == "data-mismatch"
    assert told.gaps["data-mismatch"].value == pytest.approx(0.27)
    assert told.sources["dev"]["phone"].value == pytest.approx(0.3)
    assert told.sources["train-dev"]["web"].n == 200
    assert told.as_dict()["sources"]["dev"]["phone"]["n"] == 300
    (finding,) = told.findings
    assert finding.name == "data-mismatch"
    assert "less sharp" in finding.message
    assert ("dev error, phone", told.sources["dev"]["phone"]) in told.rows()


def test_apart_by_embedding_and_by_facts(tmp_path: Path) -> None:
    run = mismatched(tmp_path / "run")
    apart = dev_apart(diagnose(run.root).evidence)
    assert apart is not None and apart.area is not None
    # embeddings of made runs know of classes alone
    assert apart.area.low < 0.5 < apart.area.high
    assert apart.facts[0].startswith("less sharp (")
    rows = run.read_table(run.predictions("dev")).to_pydict()
    rows["embedding"] = [np.asarray(each) + 1 for each in rows["embedding"]]
    run.write_table(run.predictions("dev"), rows)
    moved = dev_apart(diagnose(run.root).evidence)
    assert moved is not None and moved.area is not None and moved.area.low > 0.8


def test_area_is_the_share_of_pairs() -> None:
    one, two = np.array([0.0, 1.0, 1.0, 3.0]), np.array([1.0, 2.0, 4.0])
    pairs = [(b > a) + 0.5 * (a == b) for a in one for b in two]
    assert area_under(one, two).value == pytest.approx(np.mean(pairs))


def test_no_difference_is_not_told_apart() -> None:
    random = np.random.default_rng(1)
    found = told_apart(random.normal(0, 1, (80, 40)), random.normal(0, 1, (80, 40)))
    assert found.low < 0.5 < found.high


def test_remedies_are_judged_on_the_half_they_did_not_use(tmp_path: Path) -> None:
    halves = halve(mismatched(tmp_path / "run"))
    used, judging = set(halves.used), set(halves.judging)
    assert not used & judging and len(used | judging) == 300
    moved = halves.moved().read_text(encoding="utf-8").splitlines()
    assert sum(line.endswith(",dev") for line in moved) == len(judging)
    assert sum(line.endswith(",train") for line in moved) == 900 + 200 + len(used)
    copies = {halves.train[0]: tmp_path / "copy.png"}
    table = halves.with_copies(copies)
    made = table.read_text(encoding="utf-8").splitlines()
    assert len(made) == 1 + 1400 - len(used) + 1
    assert made[-1].split(",")[2:] == ["synthetic", "train"]
    # the same pictures, fewer of them wrong
    after = mismatched(tmp_path / "after", dev=0.1, seed=5)
    told = compare(halves, after, name="moved", told="", table=table)
    assert told.error.n == len(judging)
    assert told.helps and -0.35 < told.change.value < -0.1


def test_the_verb_tells_errors_differences_and_what_to_type(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = mismatched(tmp_path / "run")
    assert main(["sources", str(run.root)]) == 0
    out = capsys.readouterr().out
    assert "dev error, phone" in out and "less sharp" in out
    assert out.splitlines()[-1] == f"To try what helps: saccade sources {run.root} --try"
    assert main(["sources", str(run.root), "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert list(value) == ["errors", "gaps", "sources", "apart", "remedies"]
