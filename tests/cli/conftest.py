"""One short real training that all tests of the command line use."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path

import pytest

from saccade.cli.main import main


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The folder in which `saccade train` ran, and the lines it printed."""
    place = tmp_path_factory.mktemp("work")
    arguments = "train sample:digits --model lenet5_modern --epochs 1 --fraction 0.2 --batch 64"
    out = io.StringIO()
    before = Path.cwd()
    os.chdir(place)
    try:
        with contextlib.redirect_stdout(out):
            assert main(arguments.split()) == 0
    finally:
        os.chdir(before)
    return place, out.getvalue().splitlines()
