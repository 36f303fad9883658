from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from saccade.data.open import open_dataset
from saccade.errors import SaccadeError
from saccade.improve.curve import learning_curve
from saccade.improve.curve_fit import fit_curve
from saccade.improve.curve_plot import draw_curve
from saccade.recipe import make_recipe
from saccade.training.run import RunFolder

SIZES = np.array([100, 200, 400, 800, 1600])


def simulated(seed: int, dev: int = 1000) -> np.ndarray:
    """(5, dev) errors of trainings whose true error is 2 n^-0.5, with a chance of their own."""
    random = np.random.default_rng(seed)
    true = 2 * SIZES**-0.5 * random.normal(1, 0.03, 5)
    # a hard example is hard for every training
    hardness = random.random(dev)
    return (hardness[None] < true[:, None]).astype(float)


def test_intervals_hold_what_they_say() -> None:
    true = 2 * 3200**-0.5
    names = np.array([""] * 1000)
    fits = [fit_curve(SIZES, simulated(seed), names) for seed in range(24)]
    held = np.mean([fit.twice.low <= true <= fit.twice.high for fit in fits])
    assert held >= 0.85
    # dev is shared, so that a gain is told with less doubt than an error
    assert np.mean([fit.gain.low > 0 for fit in fits]) > 0.8


def test_hardly_a_mistake_is_no_certainty() -> None:
    errors = np.zeros((5, 400))
    for row, count in enumerate((120, 40, 8, 1, 0)):
        errors[row, :count] = 1
    fit = fit_curve(SIZES, errors, np.repeat(["a", "b"], 200))
    # none of 400: the rule of three gives 0.75 %
    assert fit.now == 0 and 0.007 < fit.twice.high < 0.02
    assert all(0 <= twice.low <= twice.high < 0.1 for _, twice in fit.classes.values())


def test_repeats_tell_how_much_trainings_differ() -> None:
    random = np.random.default_rng(0)
    sizes = np.repeat(SIZES, 3)
    true = 2 * sizes**-0.5
    calm, wild = (true * random.normal(1, spread, len(sizes)) for spread in (0.01, 0.2))
    draws = random.random(2000)
    names = np.array([""] * 2000)
    widths = []
    for errors in (calm, wild):
        fit = fit_curve(sizes, (draws[None] < errors[:, None]).astype(float), names)
        widths.append(fit.twice.high - fit.twice.low)
    assert fit.classes == {}
    assert widths[0] < widths[1]


@pytest.mark.slow
def test_a_curve_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    data = open_dataset("sample:digits")
    keys = {"model": "lenet5_modern", "epochs": 1, "batch": 32, "task": "classification"}
    recipe = make_recipe(keys)
    folder = RunFolder(tmp_path / "curve")
    first = learning_curve(data, recipe, folder, shares=(0.125, 0.25, 0.5))
    assert [point.examples for point in first.points] == [135, 270, 539]
    assert all(set(point.errors) == set(first.points[0].errors) for point in first.points)
    told = first.as_dict()
    assert told["sentence"].startswith("twice the data: ") and len(told["classes"]) == 10
    assert len(first.class_lines()) == 10
    times = {path: path.stat().st_mtime_ns for path in folder.root.glob("parts/*/weights/best*")}
    (folder.root / "parts" / "0.25-seed0" / "dynamics.parquet").unlink()
    again = learning_curve(data, recipe, folder, shares=(0.125, 0.25, 0.5))
    assert again.as_dict() == told
    assert all(path.stat().st_mtime_ns == times[path] for path in times)
    draw_curve(again, tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size > 10_000
    with pytest.raises(SaccadeError, match="begun with another recipe"):
        learning_curve(data, make_recipe({**keys, "epochs": 2}), folder)


def test_no_error_is_above_all_of_them() -> None:
    errors = np.zeros((5, 40))
    for row, count in enumerate((40, 30, 40, 33, 39)):
        errors[row, :count] = 1
    names = np.repeat(["a", "b"], 20)
    free, held = (fit_curve(SIZES, errors, names, most=most) for most in (math.inf, 1.0))
    assert free.twice.high > 1
    assert held.twice.value <= held.twice.high <= 1
    assert all(twice.high <= 1 for _, twice in held.classes.values())


def test_a_curve_of_a_part_of_the_data_ends_there(tmp_path: Path) -> None:
    recipe = make_recipe({"model": "lenet5_modern", "epochs": 1, "batch": 32, "fraction": 0.5})
    shares = (0.25, 0.5, 1.0)
    found = learning_curve(
        open_dataset("sample:digits"), recipe, RunFolder(tmp_path / "curve"), shares=shares
    )
    assert [point.examples for point in found.points] == [135, 270, 539]
