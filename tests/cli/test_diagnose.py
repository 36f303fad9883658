from __future__ import annotations

import json
from pathlib import Path

import pytest

from diagnose.made_run import share, write_run
from saccade.cli.main import main


def test_json_is_the_contract(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "run", {"train": share(900, 0.003), "dev": share(300, 0.03)})
    table = run.read_table(run.images).to_pydict()
    table["pixel_hash"][:60] = table["pixel_hash"][900:960]
    run.write_table(run.images, table)
    assert main(["diagnose", str(run.root), "--human-error", "0.01", "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert list(value) == ["verdict", "errors", "gaps", "findings"]
    assert value["errors"]["human"]["value"] == 0.01
    assert value["gaps"]["avoidable-bias"]["value"] == pytest.approx(0.003 - 0.01, abs=1e-3)
    (finding,) = value["findings"]
    keys = ["name", "severity", "evidence", "knob", "goal", "command", "expected_gain"]
    assert list(finding) == keys
    assert finding["name"] == "leakage"
    assert json.loads((run.root / "diagnosis.json").read_text(encoding="utf-8")) == value
    advice = run.root / "advice" / "copies.csv"
    assert str(advice) in finding["command"]
    # 900 + 300 examples less the 60 copies, and a header
    assert len(advice.read_text(encoding="utf-8").splitlines()) == 1200 - 60 + 1


def test_people_read_three_lines_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "run", {"train": share(900, 0.003), "dev": share(300, 0.1)})
    assert main(["diagnose", str(run.root)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Variance limits the result: 9.7 %")
    assert "human-level error unknown" in lines[1]
    assert lines[2].startswith("Next: saccade ")


def test_no_run_is_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diagnose", str(tmp_path), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["name"] == "no-run"
