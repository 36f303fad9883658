from __future__ import annotations

import json
from pathlib import Path

import pytest

from diagnose.made_run import share, write_run
from saccade.cli.main import main


def test_json_and_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "run", {"train": share(90, 0.0), "dev": share(90, 0.1)})
    assert main(["errors", str(run.root), "--right", "5", "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert list(value) == ["run", "split", "examples", "mistakes", "error", "files", "slices"]
    assert (value["examples"], value["mistakes"]) == (90, 9)
    assert [Path(path).name for path in value["files"]] == ["errors.csv", "errors.xlsx"]
    keys = {"kind", "name", "examples", "mistakes", "looked", "share", "ceiling", "error"}
    assert all(set(item) == keys for item in value["slices"])
    table = Path(value["files"][0]).read_text(encoding="utf-8")
    assert len(table.splitlines()) == 1 + 9 + 5


def test_tags_of_an_edited_table_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path / "run", {"train": share(90, 0.0), "dev": share(90, 0.1)})
    assert main(["errors", str(run.root)]) == 0
    path = run.root / "errors" / "errors.csv"
    lines = path.read_text(encoding="utf-8").splitlines()
    cells = [
        ",tag: foggy",
        *[",x" if place in (0, 4, 7) else "," for place in range(len(lines) - 1)],
    ]
    edited = "\n".join(line + cell for line, cell in zip(lines, cells, strict=True))
    mine = tmp_path / "mine.csv"
    mine.write_text(edited, encoding="utf-8")
    capsys.readouterr()
    assert main(["errors", str(run.root), "--import", str(mine)]) == 0
    out = capsys.readouterr().out
    # the drawn order was gone through as far as the last tag
    assert "foggy" in out and "3 of 8" in out
