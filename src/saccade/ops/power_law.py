"""Learning curves: error = floor + factor * examples ** -exponent, fitted to a few measured sizes.

Errors of networks fall as a power of the amount of data (Hestness and others 2017, arXiv
1712.00409) towards a floor. For a given exponent the law is linear in floor and factor, both at
least 0; the exponent is looked for on a grid, so that a fit cannot fail or run away.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

EXPONENTS: Array = np.linspace(0.05, 1.5, 98)
"""Measured ones lie between 0.07 and 0.5; small parts of easy data fall faster."""


@dataclass(frozen=True)
class PowerLaws:
    """B laws. floor, factor, exponent: (B,)."""

    floor: Array
    factor: Array
    exponent: Array

    def at(self, sizes: npt.ArrayLike) -> Array:
        """(S,) numbers of examples -> (B, S) errors."""
        powers = np.asarray(sizes, dtype=np.float64)[None, :] ** -self.exponent[:, None]
        values: Array = self.floor[:, None] + self.factor[:, None] * powers
        return values


def fit_power_laws(
    sizes: npt.ArrayLike,
    errors: npt.ArrayLike,
    weights: npt.ArrayLike,
    *,
    exponents: npt.ArrayLike | None = None,
) -> PowerLaws:
    """Weighted least squares.

    sizes      (S,) numbers of examples, at least two different ones
    errors     (B, S) measured at them;  weights: (S,) 1 / variance of each
    exponents  (B,) where they are known, as for one class of several
    """
    x, y = np.asarray(sizes, dtype=np.float64), np.asarray(errors, dtype=np.float64)
    weight = np.asarray(weights, dtype=np.float64)
    best = np.full(len(y), np.inf)
    found = np.zeros((3, len(y)))
    known = None if exponents is None else np.asarray(exponents, dtype=np.float64)
    grid = EXPONENTS if known is None else np.unique(known)
    for exponent in grid:
        rows = np.arange(len(y)) if known is None else np.flatnonzero(known == exponent)
        floor, factor = _floor_and_factor((x / x.max()) ** -exponent, y[rows], weight)
        left = y[rows] - floor[:, None] - factor[:, None] * (x / x.max()) ** -exponent
        loss = (left**2 * weight).sum(axis=1)
        better = rows[loss < best[rows]]
        chosen = loss < best[rows]
        best[better] = loss[chosen]
        scale = x.max() ** exponent
        found[:, better] = np.stack(
            [floor[chosen], factor[chosen] * scale, np.full(len(better), exponent)]
        )
    return PowerLaws(found[0], found[1], found[2])


def _floor_and_factor(powers: Array, errors: Array, weights: Array) -> tuple[Array, Array]:
    """(S,) powers and (B, S) errors -> (B,) floor and factor, neither negative."""
    total = weights.sum()
    centre = (powers * weights).sum() / total
    mean = (errors * weights).sum(axis=1) / total  # (B,)
    off = powers - centre
    spread = (off**2 * weights).sum()
    factor = (errors - mean[:, None]) @ (off * weights) / max(spread, 1e-30)
    floor = mean - factor * centre
    # where one would be negative it is 0, and the other is fitted alone
    through = (errors @ (powers * weights)) / (powers**2 * weights).sum()
    falls, rises = floor < 0, factor < 0
    factor = np.where(rises, 0.0, np.where(falls, through, factor))
    floor = np.where(rises, mean, np.where(falls, 0.0, floor))
    return floor, np.maximum(factor, 0.0)
