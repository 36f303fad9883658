"""What the pictures of examples/training claim."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

Example = Callable[[str], ModuleType]


@pytest.fixture
def numbers(example: Example, tmp_path: Path) -> Callable[[str], dict[str, float]]:
    """The numbers of an example, whose picture must be there too."""

    def run(name: str) -> dict[str, float]:
        found: dict[str, float] = example(f"training/{name}.py").main(tmp_path)
        assert (tmp_path / f"{name}.png").stat().st_size > 10_000
        return found

    return run


Numbers = Callable[[str], dict[str, float]]


def test_zero_initialisation_keeps_units_identical(numbers: Numbers) -> None:
    found = numbers("symmetry")
    assert found["zeros share of equal units"] == found["constant share of equal units"] == 1
    assert found["xavier share of equal units"] == 0
    assert found["zeros accuracy"] < 0.2 < found["constant accuracy"] < 0.4
    assert found["xavier accuracy"] > 0.85


def test_sigmoid_stacks_vanish_and_he_with_relu_does_not(numbers: Numbers) -> None:
    found = numbers("vanishing")
    ratio = {
        name.partition(":")[0]: value
        for name, value in found.items()
        if "gradient variance" in name
    }
    loss = {name.partition(":")[0]: value for name, value in found.items() if "loss" in name}
    for stack in ("sigmoid, 0.01 N(0, 1)", "sigmoid, Xavier"):
        assert ratio[stack] < 1e-10 and loss[stack] > 2.25  # as bad as guessing, ln 10
    assert 0.1 < ratio["ReLU, He"] < 10 and loss["ReLU, He"] < 1
    assert ratio["tanh, Xavier"] > 0.01 and loss["tanh, Xavier"] < 1


def test_an_elongated_bowl(numbers: Numbers) -> None:
    found = numbers("bowl")
    plain = found["descent height left"]
    assert 0.01 < plain < 0.2
    for rule in ("momentum", "rmsprop", "adam", "delta_bar_delta"):
        assert found[f"{rule} height left"] < plain / 5


@pytest.mark.parametrize("place", ["saddle", "plateau"])
def test_saddles_and_plateaus(numbers: Numbers, place: str) -> None:
    found = numbers("saddle")
    plain = found[f"{place}: descent updates"]
    assert plain > 300
    for rule in ("heavy_ball", "adam", "rmsprop"):
        assert found[f"{place}: {rule} updates"] < plain / 4


def test_l1_is_sparse_and_l2_small(numbers: Numbers) -> None:
    found = numbers("sparsity")
    assert found["L1 exact zeros"] > 0.7 and found["L1 exact zeros on noise"] > 0.9
    assert found["L2 exact zeros"] == found["none exact zeros"] == 0
    assert found["L2 mean square of weights"] < 0.5 * found["none mean square of weights"]
    assert abs(found["L1 accuracy"] - found["L2 accuracy"]) < 0.03


def test_normalised_inputs_allow_larger_rates(numbers: Numbers) -> None:
    found = numbers("normalisation")
    assert found["normalised: best rate"] >= 10 * found["as they are: best rate"]
    steps = "updates to a loss of 0.3"
    assert found[f"normalised: {steps}"] < 0.5 * found[f"as they are: {steps}"]


def test_dropout_narrows_the_gap(numbers: Numbers) -> None:
    found = numbers("dropout")
    assert found["with dropout: gap"] < 0.7 * found["without dropout: gap"]
    assert found["with dropout: dev loss"] < found["without dropout: dev loss"]
    assert found["with dropout: train loss"] > found["without dropout: train loss"]
