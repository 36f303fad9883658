"""A sample of benchmarks/planted_faults.py: real trainings with one fault each."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "strength"),
    [
        ("healthy", "0"),
        ("label-noise", "strong"),
        ("learning-rate-too-low", "strong"),
        ("unnormalised-input", "strong"),
        ("shortcut", "strong"),
    ],
)
def test_planted_faults_are_named_first(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    strength: str,
) -> None:
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    work = tmp_path_factory.getbasetemp() / "planted"
    monkeypatch.setenv("SACCADE_CACHE", str(work / "cache"))
    from planted_faults import Cell, run_cell
    from planted_sets import make_set
    from planted_table import place_of

    cell = Cell(kind, strength, "digits", 0)
    result = run_cell(cell, make_set("digits", work), work)
    if kind == "healthy":
        assert result["findings"] == []
    else:
        assert place_of(result, kind) == 1
    assert result["diagnosed_s"] < 10
