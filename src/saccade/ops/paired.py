"""Is one better than the other, beyond noise? Tests of two networks on the same examples."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt


def mcnemar(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Exact two-sided p-value that two classifiers err equally often.

    first, second: (n,) whether each was wrong on the same examples. Only examples on which they
    differ tell anything; under the null hypothesis each falls to either side like a fair coin
    (McNemar 1947; the exact binomial form).
    """
    one, two = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    only_first, only_second = int((one & ~two).sum()), int((two & ~one).sum())
    count = only_first + only_second
    if count == 0:
        return 1.0
    fewer = min(only_first, only_second)
    logs = [
        math.lgamma(count + 1) - math.lgamma(k + 1) - math.lgamma(count - k + 1)
        for k in range(fewer + 1)
    ]
    tail = math.fsum(math.exp(each - count * math.log(2)) for each in logs)
    return min(1.0, 2 * tail)


def two_sided(replicates: npt.NDArray[np.float64]) -> float:
    """p-value of a difference from its bootstrap replicates: how often they cross zero, twice.

    One is added to both counts, so that a thousand replicates never claim certainty.
    """
    known = replicates[np.isfinite(replicates)]
    if len(known) == 0:
        return math.nan
    below, above = (known <= 0).sum() + 1, (known >= 0).sum() + 1
    return float(min(1.0, 2 * min(below, above) / (len(known) + 1)))
