"""What is printed where."""

from __future__ import annotations

import io
import json
import math
import sys

import pytest

from saccade.cli.output import Output, number


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_json_has_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    Output(as_json=True).value({"a": math.nan, "b": [math.inf, (1.5,)]})
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [None, [1.5]]}


def test_lines_are_for_people_only(capsys: pytest.CaptureFixture[str]) -> None:
    Output(as_json=True).line("people")
    Output(as_json=False).value({"for": "programs"})
    assert capsys.readouterr().out == ""


def test_columns_line_up(capsys: pytest.CaptureFixture[str]) -> None:
    Output(as_json=False).table(("name", "n"), [("a", "1"), ("longer", "1,000")])
    assert capsys.readouterr().out.splitlines() == [
        "name        n",
        "a           1",
        "longer  1,000",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.98765432, "0.9877"), (1.0, "1.0000"), (123456.0, "1.2346e+05"), (math.nan, "-")],
)
def test_numbers(value: float, text: str) -> None:
    assert number(value) == text


def test_nothing_but_the_first_line_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with Output(as_json=False).reporter(first_line=True) as reporter:
        for line in ("the run", "epoch 1", "epoch 2"):
            reporter.say(line)
        reporter.progress("epoch", 1, 10)
        assert reporter.warn is not None
        reporter.warn("warning: 3 boxes left out")
    out, err = capsys.readouterr()
    assert (out, err) == ("the run\n", "warning: 3 boxes left out\n")


def test_a_terminal_gets_lines_and_a_bar_on_stderr(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with Output(as_json=False).reporter(first_line=True) as reporter:
        reporter.say("the run")
        reporter.say("epoch [1] of 2")
        for done in range(11):
            reporter.progress("epoch 1/2", done, 10)
    assert capsys.readouterr().out == "the run\n"
    said = terminal.getvalue()
    assert "epoch [1] of 2" in said
    assert "10/10" in said
    assert "the run" not in said
