"""Help is complete, instant and honest."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from saccade.cli.main import VERBS, main
from saccade.cli.settings import SETTINGS
from saccade.recipe import KEYS, all_keys

HEAVY = ("torch", "numpy", "pydantic", "rich", "PIL", "yaml", "matplotlib", "sklearn", "pyarrow")

PROGRAM = """
import json, sys
from saccade.cli.main import main
codes = [main([verb, "--help"]) for verb in sys.argv[1:]] + [main(["--help"])]
print(json.dumps([codes, sorted(sys.modules)]), file=sys.stderr)
"""


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(arguments)
    out, err = capsys.readouterr()
    return code, out, err


def test_help_of_every_verb_imports_nothing_heavy() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *VERBS], capture_output=True, text=True, check=True
    )
    codes, modules = json.loads(done.stderr)
    assert codes == [0] * (len(VERBS) + 1)
    assert not set(HEAVY) & set(modules)


def test_the_module_is_the_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "saccade", "--version"], capture_output=True, text=True, check=True
    )
    assert re.fullmatch(r"saccade \d+\.\d+\.\d+\n", done.stdout)


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--help")
    assert code == 0
    assert all(f"  {verb} " in out for verb in VERBS)


def test_train_help_groups_keys_and_lists_settings(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "train", "--help")
    headings = [line for line in out.splitlines() if re.fullmatch(r"\w+:", line)]
    assert headings == ["Data:", "Model:", "Training:", "Output:"]
    assert all(re.search(rf"^ +{re.escape(name)} ", out, re.MULTILINE) for name in SETTINGS)


def test_settings_of_help_are_those_of_the_recipe() -> None:
    assert set(SETTINGS) == set(all_keys())


def test_known_keys_have_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "train", "--help")
    options = {name.replace("_", "-") for name in KEYS}
    assert all(f"--{name} " in out for name in options)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["train"],
        ["train", "sample:digits", "--nonsense"],
        ["train", "sample:digits", "--imgsz", "0"],
        ["train", "sample:digits", "--imgsz", "1,2,3"],
        ["val", "run", "--split", "all"],
    ],
)
def test_wrong_usage_is_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert "Usage: saccade" in err


def test_wrong_usage_with_json_is_one_value(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "val", "--json")
    assert code == 2
    assert json.loads(out)["error"]["name"] == "usage"
