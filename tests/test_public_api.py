"""The public surface is what it says, and importing it costs nothing."""

from __future__ import annotations

import subprocess
import sys

import saccade


def test_every_public_name_is_there() -> None:
    for name in saccade.__all__:
        assert getattr(saccade, name) is not None
    assert dir(saccade) == sorted(saccade.__all__)


def test_importing_saccade_imports_nothing_heavy() -> None:
    heavy = "('torch', 'numpy', 'pydantic')"
    code = f"import sys, saccade; print([m for m in {heavy} if m in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
