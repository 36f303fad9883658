"""What the README shows is what there is."""

from __future__ import annotations

import re
from pathlib import Path

from saccade.cli.main import main

README = Path(__file__).parents[1] / "README.md"


def test_the_two_commands_are_there_word_for_word() -> None:
    text = README.read_text()
    assert (
        "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/saccade train sample:digits"
        in text
    )
    assert "python3 -m venv .venv && .venv/bin/pip install '.[test]' && .venv/bin/pytest" in text


def test_every_verb_shown_exists() -> None:
    verbs = set(re.findall(r"^saccade (\w+)", README.read_text(), re.MULTILINE))
    assert verbs
    for verb in verbs:
        assert main([verb, "--help"]) == 0, verb


def test_every_file_linked_exists() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README.read_text()):
        assert (README.parent / target).exists(), target
