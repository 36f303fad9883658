from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from saccade.ops.paired import mcnemar, two_sided


@pytest.mark.parametrize(
    ("only_first", "only_second"), [(0, 0), (1, 0), (3, 12), (40, 41), (0, 30)]
)
def test_mcnemar_is_the_exact_binomial(only_first: int, only_second: int) -> None:
    first = np.repeat([1, 0, 1, 0], [only_first, only_second, 7, 50])
    second = np.repeat([0, 1, 1, 0], [only_first, only_second, 7, 50])
    wanted = (
        binomtest(only_first, only_first + only_second).pvalue if only_first + only_second else 1
    )
    assert mcnemar(first, second) == pytest.approx(wanted)
    assert mcnemar(second, first) == pytest.approx(wanted)


def test_replicates_that_cross_zero_are_counted_twice() -> None:
    assert two_sided(np.linspace(-1, 1, 2001)) == pytest.approx(1.0)
    assert two_sided(np.full(999, 2.0)) == pytest.approx(0.002)
    assert two_sided(np.array([np.nan, 1.0] * 999)) == pytest.approx(0.002)
