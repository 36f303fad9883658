"""Wrong labels: pictures on which a network that knows the classes disagrees without doubt.

Hard pictures are wrong where the network is unsure. Wrong labels do not care how sure it is: they
are as frequent among its surest answers as elsewhere. So their share is read off there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from saccade.diagnose import commands, signals
from saccade.types import Evidence, Finding, Measure

SURE = 0.3
"""Share of the answers that counts as the surest, of each class that is answered."""

LEAST = 0.01
"""Share of wrong labels below which nothing is said; hard data reach it without any."""

FLAT = 0.5
"""Errors among the surest over errors in all: about 1 with wrong labels alone, 0.2 without."""

SUREST = 0.1
"""Share of the answers among which hard pictures are rarer still, and wrong labels are not."""

STEADY = 0.5
"""Errors among these over errors among the surest: about 1 with wrong labels, 0.25 without."""

PLENTY = 0.06
"""Share of wrong labels from which hard pictures may drown them somewhat."""

MOST = 0.5
"""With more wrong labels than that there are no classes to speak of; something else is wrong."""

ENOUGH_SUREST = 40
"""Answers from which on the very surest can be counted."""

ENOUGH = 150
"""Updates before which a network has no opinion of labels."""


def label_noise(evidence: Evidence) -> Finding | None:
    """Wrong labels, estimated on dev (and test); on the training part where dev is clean."""
    if evidence.task != "classification" or signals.updates_done(evidence) < ENOUGH:
        return None
    decay = float(commands.of_recipe(evidence, "optimizer.weight_decay", 0.0))
    if signals.unlearned(evidence) < 0.01 and decay < 1e-5 and not commands.augmented(evidence):
        return None  # a network that knows everything by heart is sure of its guesses too
    found = {part: surest_wrong(evidence, part) for part in ("dev", "train")}
    told = [part for part, pair in found.items() if pair is not None and _noisy(*pair)]
    if not told:
        return None
    part = told[0]
    share, flatness = found[part]  # type: ignore[misc]
    suspects = suspected(evidence, part)
    return Finding(
        name="label-noise",
        severity="warning",
        message=f"about {signals.percent(share.value)} of the {part} labels look wrong; "
        f"{len(suspects)} suspects, first {', '.join(suspects[:3])}.",
        evidence={
            "part": part,
            "share_of_labels": signals.shown(share),
            "surest_over_all": flatness,
            "suspects": len(suspects),
            "first_suspects": suspects[:20],
            "by_class": by_class(evidence, part, suspects),
        },
        knob="labels",
        goal="fit training",
        command=commands.without(evidence, "suspects"),
        expected_gain=share.value,
    )


def surest_wrong(evidence: Evidence, part: str) -> tuple[Measure, float] | None:
    """Error among the surest answers, and that over the error of all answers.

    None where nothing can be said, or where the very surest are hardly ever wrong.
    """
    rows = evidence.predictions.get(part)
    if rows is None or "score" not in rows or len(rows["score"]) < 60:
        return None
    wrong = rows["error"] > 0.5
    chosen = _surest(rows, SURE)
    measured = signals.share(int(wrong[chosen].sum()), int(chosen.sum()))
    surest = wrong[_surest(rows, SUREST)]
    if len(surest) >= ENOUGH_SUREST and surest.mean() < STEADY * measured.value:
        return None  # errors that vanish with doubt are those of hard pictures
    return measured, measured.value / max(float(wrong.mean()), 1e-9)


def _surest(rows: dict[str, np.ndarray], share: float) -> np.ndarray:
    """(n,) bool: that share of each answered class."""
    chosen = np.zeros(len(rows["score"]), dtype=bool)
    for label in np.unique(rows["label"].astype(str)):
        places = np.flatnonzero(rows["label"] == label)
        kept = places[np.argsort(-rows["score"][places])][: max(1, round(share * len(places)))]
        chosen[kept] = True
    return chosen


def _noisy(share: Measure, flatness: float) -> bool:
    if not LEAST < share.low <= share.value < MOST:
        return False
    return flatness > FLAT or (share.low > PLENTY and flatness > 0.7 * FLAT)


def suspected(evidence: Evidence, part: str) -> list[str]:
    """Keys of suspects, worst first: confident learning on probabilities the labels had no part in.

    On training rows, which the network has learned, losses before it learned them take their place.
    """
    rows = evidence.predictions[part]
    names = {name: place for place, name in enumerate(signals.classes(evidence))}
    labels = np.array([names.get(name, -1) for name in rows["target"]])
    usable = labels >= 0
    if rows["probabilities"].ndim != 2 or len(np.unique(labels[usable])) < len(names):
        order = np.argsort(-rows["loss"])
        return [str(key) for key in rows["key"][order][rows["error"][order] > 0.5]]
    # half a second to import, and only needed here
    from cleanlab.filter import find_label_issues

    probabilities = rows["probabilities"][usable].astype(np.float64)
    issues: Any = find_label_issues(
        labels[usable],
        probabilities / probabilities.sum(axis=1, keepdims=True),
        return_indices_ranked_by="normalized_margin",
        n_jobs=1,
    )
    return [str(key) for key in rows["key"][usable][issues]]


def by_class(evidence: Evidence, part: str, suspects: list[str]) -> dict[str, int]:
    """Suspects per given label."""
    rows = evidence.predictions[part]
    given = dict(zip(rows["key"].tolist(), rows["target"].tolist(), strict=True))
    names, counts = np.unique([given[key] for key in suspects] or [""], return_counts=True)
    return {str(name): int(count) for name, count in zip(names, counts, strict=True) if name}
