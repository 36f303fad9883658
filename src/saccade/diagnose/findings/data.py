"""Faults of the data: leaks between parts, rare classes, other pictures in dev than in training."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from saccade.diagnose import commands, pictures, signals
from saccade.diagnose.sources import dev_apart
from saccade.types import Evidence, Finding, Measure

LEAK = 0.005
"""Share of dev that may be copies by accident."""

SOME, MANY = 0.01, 0.02
"""Share beyond noise from which copies are a fault, and from which they spoil what is measured."""


def leakage(evidence: Evidence) -> Finding | None:
    """Dev or test pictures, or groups, that lie in the training part as well."""
    worst: tuple[str, np.ndarray] | None = None
    for part in ("dev", "test"):
        copied = pictures.leaked(evidence, part)
        if len(copied) and copied.any() and (worst is None or copied.mean() > worst[1].mean()):
            worst = (part, copied)
    if worst is None:
        return None
    part, copied = worst
    # pictures are kept of parts that have been scored
    scored = "dev" in evidence.predictions and pictures.leaked(evidence, "dev").any()
    shown = "dev" if scored else part
    measured = signals.share(int(copied.sum()), len(copied))
    if measured.value < LEAK:
        return None
    gain = _optimism(evidence, copied) if part == "dev" else 0.0
    return Finding(
        name="leakage",
        # a single pair proves no habit, and costs next to nothing
        severity="error" if measured.low >= MANY else "warning" if measured.low >= SOME else "info",
        message=f"{int(copied.sum())} of {len(copied)} {part} pictures{_or_group(evidence)} lie in "
        "the training part as well: the measured error is too good.",
        evidence={
            "part": part,
            "leaked": signals.shown(measured),
            "optimism": gain,
            "shown": shown,
            "copies": pictures.copies(evidence, shown),
        },
        knob="split",
        goal="fit test",
        command=commands.without(evidence, "copies"),
        expected_gain=max(gain, measured.value * 0.1),
    )


def _or_group(evidence: Evidence) -> str:
    grouped = any(entry.get("group") for entry in evidence.data.get("examples", ()))
    return ", or others of their group," if grouped else ""


def _optimism(evidence: Evidence, copied: np.ndarray) -> float:
    """How much worse dev is without the copies."""
    rows = evidence.predictions.get("dev", {})
    if len(rows.get("error", ())) != len(copied) or copied.all():
        return 0.0
    alone = float(np.nanmean(rows["error"][~copied]))
    return max(0.0, alone - signals.error(evidence, "dev")) / evidence.scale


RARE = 8.0
"""The most frequent class has this many times the examples of the rarest."""


def imbalance(evidence: Evidence) -> Finding | None:
    """Rare classes are drawn seldom and recognised badly."""
    counts = {name: count for name, count in signals.class_counts(evidence).items() if count}
    balanced = (
        commands.of_recipe(evidence, "data.sampling") == "balanced"
        or commands.of_recipe(evidence, "data.class_weights") == "balanced"
    )
    if len(counts) < 2 or balanced:
        return None
    most = max(counts.values())
    rare = {name for name, count in counts.items() if count * RARE <= most}
    missed = _missed(evidence, rare)
    if not rare or missed is None or missed.high < 0.1:
        return None
    other = _missed(evidence, set(counts) - rare)
    excess = missed.value - (other.value if other else 0.0)
    if excess < 0.1:
        return None
    return Finding(
        name="imbalance",
        severity="warning",
        message=f"{len(rare)} of {len(counts)} classes have at most an eighth of the examples of "
        f"the largest ({', '.join(sorted(rare)[:3])}); {signals.percent(missed.value)} of their "
        "pictures are missed.",
        evidence={
            "largest_over_smallest": most / min(counts.values()),
            "missed_of_rare": signals.shown(missed),
            "missed_of_others": signals.shown(other) if other else math.nan,
        },
        knob="sampling of classes",
        goal="fit dev",
        command=commands.retrain(evidence, commands.setting("data.sampling", "balanced")),
        expected_gain=max(0.3, 0.6 * excess) * len(rare) / len(counts),
    )


def _missed(evidence: Evidence, names: set[str]) -> Measure | None:
    """Share of these classes' pictures that are called something else: dev, and clean training."""
    wrong = total = 0
    for part in ("dev", "test"):
        found = signals.labels(evidence, part)
        if len(found):
            chosen = np.isin(found, list(names))
            wrong += int(np.nansum(evidence.predictions[part]["error"][chosen]))
            total += int(chosen.sum())
    return signals.share(wrong, total) if total else None


def preprocessing_mismatch(evidence: Evidence) -> Finding | None:
    """The network is used with other numbers than it was trained with."""
    if evidence.card is None:
        return None
    used = evidence.card.preprocessing
    trained = evidence.recipe.get("data", {})
    pairs: dict[str, tuple[list[Any], list[Any]]] = {
        "mean": (list(used.mean), list(trained.get("mean") or used.mean)),
        "std": (list(used.std), list(trained.get("std") or used.std)),
        "size": ([used.height, used.width], list(trained.get("imgsz") or [])),
        "channels": ([used.channels], [trained.get("channels") or used.channels]),
        "margin": ([used.margin], [trained.get("margin") or used.margin]),
    }
    differ = {
        name: (own, other)
        for name, (own, other) in pairs.items()
        if other and not np.allclose(own, other, rtol=0.01, atol=0.01 * (name == "mean"))
    }
    if used.fit != (trained.get("fit") or used.fit):
        differ["fit"] = ([0], [1])
    if not differ:
        return None
    name, (own, other) = next(iter(differ.items()))
    return Finding(
        name="preprocessing-mismatch",
        severity="error",
        message=f"pictures are prepared with {name} {own} in use, {other} in training.",
        evidence={
            f"{key}_{side}": value
            for key, both in differ.items()
            for side, value in zip(("use", "training"), both, strict=True)
        },
        knob="preprocessing",
        goal="work in use",
        command=commands.retrain(evidence),
        expected_gain=0.5,
    )


def data_mismatch(evidence: Evidence) -> Finding | None:
    """Dev is not like the training part, and that is where the error comes from."""
    bridge = "train-dev" in evidence.errors
    gap = signals.gap(evidence, "data-mismatch" if bridge else "variance")
    if gap.low <= 0.02 * evidence.scale:
        return None
    fact, area = pictures.differing_fact(evidence)
    if not bridge and area.low < 0.6:
        return None
    apart = dev_apart(evidence)
    facts = "" if apart is None else ", ".join(apart.facts[:2])
    told = f"; they are {facts}" if facts else ""
    return Finding(
        name="data-mismatch",
        severity="warning",
        message=f"dev pictures are not like the training pictures{told}: "
        f"the error is {signals.error_text(evidence, gap.value)} larger.",
        evidence={
            "gap": signals.shown(gap),
            f"told_apart_by_{fact}": signals.shown(area),
            **(
                {"told_apart_by_embedding": signals.shown(apart.area)}
                if apart is not None and apart.area is not None
                else {}
            ),
        },
        knob="likeness of training and dev pictures",
        goal="fit dev",
        command=commands.without(evidence, "mismatch"),
        expected_gain=0.8 * gap.value / evidence.scale,
    )
