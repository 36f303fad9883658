"""A training killed anywhere ends in the same bits as one that was never killed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kills import EVERYTHING, kill_and_compare

KILLS = 20


@pytest.mark.slow
@pytest.mark.skipif(
    not hasattr(os, "fork"), reason="kills forked children, which this system lacks"
)
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_killed_trainings_equal_the_unbroken_one(tmp_path: Path) -> None:
    counts = kill_and_compare(KILLS, tmp_path)
    assert counts["random"] > 0 and counts["inside a write"] > 0


@pytest.mark.slow
@pytest.mark.skipif(
    not hasattr(os, "fork"), reason="kills forked children, which this system lacks"
)
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_so_do_trainings_that_remember_more(tmp_path: Path) -> None:
    counts = kill_and_compare(4, tmp_path, seed=1, settings=dict(EVERYTHING))
    assert counts["random"] + counts["inside a write"] >= 4
