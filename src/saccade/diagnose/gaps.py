"""The four gaps between human-level, training, train-dev, dev and test error, with intervals."""

from __future__ import annotations

from saccade.ops.intervals import difference
from saccade.types import Evidence, Limit, Measure

WORDS: dict[str, str] = {
    "avoidable-bias": "avoidable bias",
    "variance": "variance",
    "data-mismatch": "data mismatch",
    "dev-overfitting": "over-fitting of dev",
}

PERFECT = Measure(value=0.0, low=0.0, high=0.0, n=0)
"""Stands for people where nobody has said how well they do."""


def measure_gaps(evidence: Evidence) -> dict[Limit, Measure]:
    """Every gap that both its errors are known of.

    avoidable-bias   training error - human-level error (0 where that is unknown: an upper bound)
    variance         train-dev error - training error; without a train-dev part, of dev
    data-mismatch    dev error - train-dev error
    dev-overfitting  test error - dev error
    """
    errors = evidence.errors
    bridge = errors.get("train-dev")
    wanted: dict[Limit, tuple[Measure | None, Measure | None]] = {
        "avoidable-bias": (errors.get("train"), evidence.human or PERFECT),
        "variance": (bridge or errors.get("dev"), errors.get("train")),
        "data-mismatch": (errors.get("dev"), bridge),
        "dev-overfitting": (errors.get("test"), errors.get("dev")),
    }
    return {
        name: gap(larger, smaller)
        for name, (larger, smaller) in wanted.items()
        if larger is not None and smaller is not None
    }


def gap(larger: Measure, smaller: Measure) -> Measure:
    """Larger - smaller, two independent measurements; n is the smaller number of examples."""
    value, low, high = difference(_triple(larger), _triple(smaller))
    counts = [measure.n for measure in (larger, smaller) if measure.n]
    return Measure(value=value, low=low, high=high, n=min(counts, default=0))


def _triple(measure: Measure) -> tuple[float, float, float]:
    return measure.value, measure.low, measure.high
