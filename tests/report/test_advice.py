"""The page begins with the diagnosis: verdict, gaps, findings with pictures, ceilings."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from diagnose.made_run import share, write_run
from saccade import api
from saccade.diagnose.findings.shortcuts import _frame
from saccade.training.run import RunFolder


def leaking(root: Path) -> RunFolder:
    """60 of 300 dev pictures are trained on."""
    run = write_run(root, {"train": share(900, 0.003), "dev": share(300, 0.03)})
    table = run.read_table(run.images).to_pydict()
    table["pixel_hash"][:60] = table["pixel_hash"][900:960]
    run.write_table(run.images, table)
    return run


class Text(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.said: list[str] = []
        self.pictures = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.pictures += tag == "img"

    def handle_data(self, data: str) -> None:
        self.said.append(data)


def section(page: str, name: str) -> Text:
    found = re.search(rf'<section id="{name}">.*?</section>', page, re.DOTALL)
    return Text(found.group() if found else "")


def test_verdict_gaps_and_proofs_stand_on_top(tmp_path: Path) -> None:
    run = leaking(tmp_path / "run")
    page = api.load(run.root).report().read_text(encoding="utf-8")
    told = api.load(run.root).diagnose()
    top = section(page, "verdict")
    said = " ".join(top.said)
    assert page.index('id="verdict"') < page.index('id="headline"')
    for line in (*told.verdict.lines[:2], told.verdict.command, "leakage", "avoidable bias"):
        assert line in said
    # six pairs of a dev picture and its copy in training
    assert top.pictures == 12


def test_ceilings_and_a_sample_of_the_mistakes(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {"train": share(900, 0.003), "dev": share(300, 0.1)})
    page = api.load(run.root).report().read_text(encoding="utf-8")
    said = " ".join(section(page, "ceilings").said)
    # each class is a third of the examples; 30 mistakes in 300, as drawn
    rows = run.read_table(run.predictions("dev")).to_pydict()
    wrong = np.array(rows["target"])[np.array(rows["error"]) > 0]
    worst = max(np.unique(wrong, return_counts=True)[1])
    assert f"{100 * (30 - worst) / 300:.1f} %" in said
    assert section(page, "ceilings").pictures == 12


def test_a_page_is_written_where_a_diagnosis_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("of a diagnosis")

    run = leaking(tmp_path / "run")
    monkeypatch.setattr("saccade.diagnose.diagnose", fail)
    lines: list[str] = []
    say: Callable[[str], None] = lines.append
    page = api.load(run.root).report(reporter=api.Reporter(say=say))
    assert "verdict" not in section(page.read_text(encoding="utf-8"), "verdict").said
    assert lines == ["No diagnosis: ZeroDivisionError: of a diagnosis"]
    assert lines[0] in run.log.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("place", "frame"),
    [
        (0, (0.0, 0.0, 25.0, 12.5)),
        (3, (25.0, 0.0, 37.5, 12.5)),
        # one turn to the left brings the right side to the top, its top to the left
        (8, (87.5, 0.0, 12.5, 25.0)),
        (16, (75.0, 87.5, 25.0, 12.5)),
        (24, (0.0, 75.0, 12.5, 25.0)),
    ],
)
def test_the_frame_lies_where_the_block_was_taken(
    place: int, frame: tuple[float, float, float, float]
) -> None:
    assert _frame(place) == frame
