"""The verb probe: what an untrained network does to signals."""

from __future__ import annotations

import json

import pytest

from saccade.cli.main import main
from saccade.cli.probe import verdict
from saccade.training.health import Variance


def probed(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    assert main(["probe", *arguments, "--json"]) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_he_suits_relu_and_sigmoids_vanish(capsys: pytest.CaptureFixture[str]) -> None:
    found = probed(capsys, "plain20", "--init", "he", "--init", "zeros", "--batch", "4")
    verdicts = {(p["init"], p["act"]): p["verdict"] for p in found["probes"]}  # type: ignore[attr-defined]
    assert verdicts["he", "relu"] == "stays"
    assert verdicts["he", "sigmoid"] == "vanishes"
    assert verdicts["zeros", "relu"] == "dead"
    layers = found["probes"][0]["layers"]  # type: ignore[index]
    assert len(layers) == 20 and set(layers[0]) == {"name", "forward", "backward"}


def test_the_table_names_every_layer_of_one_start(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", "lenet5", "--init", "xavier", "--act", "tanh"]) == 0
    out = capsys.readouterr().out
    assert all(f"\n{name} " in out for name in ("c1", "c5", "f6"))


def test_unknown_names_are_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", "lenet9"]) == 1
    assert main(["probe", "lenet5", "--init", "hee"]) == 1
    assert "he" in capsys.readouterr().err


def test_verdicts() -> None:
    def stack(forward: float, backward: float, layers: int = 10) -> list[Variance]:
        return [Variance(str(n), forward**n, backward ** (layers - n)) for n in range(layers + 1)]

    assert verdict(stack(1.0, 1.0)) == "stays"
    assert verdict(stack(1.3, 0.8)) == "stays"
    assert verdict(stack(1.0, 0.1)) == "vanishes"
    assert verdict(stack(10.0, 1.0)) == "explodes"
    assert verdict(stack(1.0, float("inf"))) == "explodes"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["yolo"], "saccade probe mobilenet_v2_050"),
        (["lenet5", "--imgsz", "4096"], "at most 64"),
        (["lenet5", "--batch", "0"], "--batch"),
    ],
)
def test_what_cannot_be_probed_is_one_message(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["probe", *words]) in (1, 2)
    assert told in capsys.readouterr().err
