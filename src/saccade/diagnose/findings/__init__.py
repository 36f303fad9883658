"""Faults of a run: one small function each, in one literal list."""

from __future__ import annotations

from collections.abc import Callable

from saccade.diagnose.findings import data, fit, health, label_noise, rate, shortcuts
from saccade.types import Evidence, Finding

FINDINGS: tuple[Callable[[Evidence], Finding | None], ...] = (
    data.preprocessing_mismatch,
    rate.unnormalised_input,
    health.symmetric_initialisation,
    health.badly_scaled_initialisation,
    rate.learning_rate_too_high,
    rate.learning_rate_too_low,
    health.vanishing_gradients,
    health.exploding_gradients,
    health.saturated_units,
    health.dead_units,
    rate.batch_too_small,
    rate.frozen_too_much,
    rate.frozen_too_little,
    data.leakage,
    shortcuts.shortcut,
    data.data_mismatch,
    label_noise.label_noise,
    data.imbalance,
    fit.dev_overfitted,
    fit.stopped_too_soon,
    fit.too_few_examples,
    fit.overfitting,
    fit.underfitting,
)
"""Every fault that can be named. Causes stand before what they bring about."""

INSIDE = (
    "vanishing-gradients",
    "exploding-gradients",
    "saturated-units",
    "dead-units",
)

EXPLAINS: dict[str, tuple[str, ...]] = {
    "unnormalised-input": (
        *INSIDE,
        "learning-rate-too-high",
        "learning-rate-too-low",
        "underfitting",
        "overfitting",
        "label-noise",
    ),
    "symmetric-initialisation": (
        *INSIDE,
        "badly-scaled-initialisation",
        "learning-rate-too-high",
        "learning-rate-too-low",
        "underfitting",
        "label-noise",
    ),
    "badly-scaled-initialisation": (
        *INSIDE,
        "learning-rate-too-high",
        "learning-rate-too-low",
        "underfitting",
        "label-noise",
    ),
    "learning-rate-too-high": (*INSIDE, "underfitting", "label-noise", "overfitting"),
    "learning-rate-too-low": ("underfitting", "label-noise"),
    "vanishing-gradients": ("underfitting", "label-noise", "saturated-units", "dead-units"),
    "exploding-gradients": ("underfitting", "label-noise", "dead-units"),
    "saturated-units": ("underfitting", "label-noise"),
    "dead-units": ("underfitting", "label-noise"),
    "batch-too-small": ("underfitting", "overfitting", "label-noise", "learning-rate-too-high"),
    "frozen-too-much": ("underfitting", "label-noise"),
    "frozen-too-little": ("overfitting", "too-few-examples", "underfitting"),
    "stopped-too-soon": ("underfitting", "label-noise"),
    "label-noise": ("underfitting", "overfitting"),
    "data-mismatch": ("overfitting", "too-few-examples", "label-noise"),
    "too-few-examples": ("overfitting", "underfitting", "label-noise"),
    "imbalance": ("label-noise", "too-few-examples"),
    "leakage": ("dev-overfitted",),
}
"""Cause -> what it brings about, which needs no advice of its own."""

RANK = {"error": 0, "warning": 1, "info": 2}


def find(evidence: Evidence) -> tuple[Finding, ...]:
    """Faults without the consequences of other faults: what spoils all first, then by gain."""
    found = [finding for function in FINDINGS if (finding := function(evidence)) is not None]
    explained = {
        name
        for finding in found
        if finding.severity != "info"
        for name in EXPLAINS.get(finding.name, ())
    }
    kept = [finding for finding in found if finding.name not in explained]
    return tuple(sorted(kept, key=lambda finding: (RANK[finding.severity], -finding.expected_gain)))
