from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import curve_fit

from saccade.ops.power_law import fit_power_laws

SIZES = np.array([100.0, 200, 400, 800, 1600])


def law(sizes: np.ndarray, floor: float, factor: float, exponent: float) -> np.ndarray:
    return floor + factor * sizes**-exponent


@pytest.mark.parametrize(("floor", "exponent"), [(0.0, 0.3), (0.05, 0.5), (0.02, 1.0)])
def test_a_law_is_found_again(floor: float, exponent: float) -> None:
    errors = law(SIZES, floor, 2.0, exponent)
    found = fit_power_laws(SIZES, errors[None], np.ones(5))
    assert found.at([3200])[0, 0] == pytest.approx(law(3200.0, floor, 2.0, exponent), abs=0.002)  # type: ignore[arg-type]


def test_as_good_as_a_general_optimiser() -> None:
    random = np.random.default_rng(0)
    for _ in range(10):
        errors = law(SIZES, 0.03, 3.0, 0.6) * random.normal(1, 0.05, 5)
        found = fit_power_laws(SIZES, errors[None], np.ones(5))
        bounds = ([0, 0, 0.05], [1, 100, 1.5])
        best, _ = curve_fit(law, SIZES, errors, p0=(0.01, 1, 0.5), bounds=bounds)
        ours = ((found.at(SIZES)[0] - errors) ** 2).sum()
        theirs = ((law(SIZES, *best) - errors) ** 2).sum()
        assert ours <= theirs * 1.1 + 1e-6  # the grid


def test_errors_that_do_not_fall_give_a_flat_line() -> None:
    found = fit_power_laws(SIZES, np.array([[0.1, 0.1, 0.11, 0.12, 0.12]]), np.ones(5))
    assert found.factor[0] == 0 and found.floor[0] == pytest.approx(0.11)


def test_exponents_can_be_given() -> None:
    errors = np.stack([law(SIZES, 0.0, 2.0, 0.5), law(SIZES, 0.1, 1.0, 0.5)])
    found = fit_power_laws(SIZES, errors, np.ones(5), exponents=np.full(2, 0.5))
    assert found.floor == pytest.approx([0.0, 0.1], abs=1e-9)
    assert found.factor == pytest.approx([2.0, 1.0])
