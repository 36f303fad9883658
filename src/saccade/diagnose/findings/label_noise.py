"""Wrong labels: pictures on which a network that knows the classes disagrees without doubt.

Three marks tell them from pictures that are merely hard. A hard picture's label is the network's
second or third choice; a label that was drawn by mistake may stand at any place. Hard pictures are
wrong where the network is unsure, wrong labels also among its surest answers. And where many labels
were learned late, hard pictures are missed on dev more often still.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from saccade.diagnose import commands, signals
from saccade.types import Evidence, Finding, Measure

FALL = {"train": 0.5, "dev": 0.7}
"""How much rarer the label of a hard picture is at each further place of the network's order: on
what was learned, and on new pictures. Beyond the tenth place nothing is assumed to fall."""

UNLEARNED = 0.4
"""Share of errors on the training part from which on its pictures may be as hard as new ones."""

BEYOND = 0.05
"""Share of the errors, at least, that hard pictures do not explain by the places of labels."""

SURE = 0.3
"""Share of the answers that counts as the surest, of each class that is answered."""

LEAST = 0.01
"""Share of wrong labels below which nothing is said; hard data reach it without any."""

FLAT = 0.8
"""Errors among the surest over errors in all: about 1 with wrong labels alone, 0.2 without, and
0.6 where pictures do not show enough to be sure of anything."""

FEW = 5
FLAT_OF_FEW = 0.6
"""The same with fewer classes than that, where places tell next to nothing."""

WEAK = 1.5
"""Where a share of what there is to learn is unlearned, the surest are wrong more often as well:
errors among them over errors in all reach about that share."""

LATE = 0.7
"""Share of training labels learned late over the error on dev: about 1 with wrong labels alone,
0.3 at most on hard pictures, of which most are learned in time."""

SUREST = 0.1
"""Share of the answers among which hard pictures are rarer still, and wrong labels are not."""

STEADY = 0.5
"""Errors among these over errors among the surest: about 1 with wrong labels, 0.25 without."""

MOST = 0.5
"""With more wrong labels than that there are no classes to speak of; something else is wrong."""

ENOUGH_SUREST = 40
"""Answers from which on the very surest can be counted."""

MOST_NOISE = 0.4
"""Share of training labels beyond which there is no ranking to trust."""

ENOUGH = 150
"""Updates before which a network has no opinion of labels."""


def label_noise(evidence: Evidence) -> Finding | None:
    """Wrong labels, estimated on dev; on the training part where dev does not tell."""
    if evidence.task != "classification" or signals.updates_done(evidence) < ENOUGH:
        return None
    found = {part: wrong_labels(evidence, part) for part in ("dev", "train")}
    told = [part for part, share in found.items() if share is not None]
    if not told:
        return None
    part = told[0]
    share: Measure = found[part]  # type: ignore[assignment]
    suspects = suspected(evidence, part)
    return Finding(
        name="label-noise",
        severity="warning",
        message=f"about {signals.percent(share.value)} of the {part} labels look wrong; "
        f"{len(suspects)} suspects, first {', '.join(suspects[:3])}.",
        evidence={
            "part": part,
            "share_of_labels": signals.shown(share),
            "error": signals.error(evidence, part),
            "suspects": len(suspects),
            "first_suspects": suspects[:20],
            "by_class": by_class(evidence, part, suspects),
        },
        knob="labels",
        goal="fit training",
        command=commands.without(evidence, "suspects", trained_on=_kept(evidence)),
        expected_gain=share.value,
    )


def _kept(evidence: Evidence) -> float:
    """Share of the training pictures whose labels are not the worst."""
    parts = {str(entry["key"]): entry["part"] for entry in evidence.data.get("examples", ())}
    gone = sum(str(parts.get(key, "")).startswith("train") for key in worst_labels(evidence))
    trained = sum(str(part).startswith("train") for part in parts.values())
    return 1 - gone / max(1, trained)


def wrong_labels(evidence: Evidence, part: str) -> Measure | None:
    """Share of wrong labels in a part; None where hard pictures explain the errors as well."""
    rows = evidence.predictions.get(part)
    if rows is None or "score" not in rows or len(rows["score"]) < 60:
        return None
    for mark in (_by_lateness, _by_places, _by_sureness):
        measured = mark(evidence, part)
        if measured is not None and LEAST < measured.low <= measured.value < MOST:
            return measured
    return None


def _by_lateness(evidence: Evidence, part: str) -> Measure | None:
    """From the training labels that were learned late, where dev has fewer errors than that."""
    if part != "train" or "dev" not in evidence.errors or not len(evidence.dynamics):
        return None
    average = average_losses(np.asarray(evidence.dynamics["losses"], dtype=np.float64))
    late = learned_late(average, len(signals.classes(evidence)))
    measured = signals.share(len(late), len(average))
    return measured if measured.value > LATE * evidence.errors["dev"].value else None


def _by_places(evidence: Evidence, part: str) -> Measure | None:
    """From the labels in the lower half of the network's order of classes.

    Of labels drawn at random half stand there, of those of hard pictures a share that FALL tells;
    what is between the two is how many errors are wrong labels.
    """
    rows = evidence.predictions[part]
    names = {name: place for place, name in enumerate(signals.classes(evidence))}
    if rows["probabilities"].ndim != 2 or len(names) < 3:
        return None
    labels = np.array([names.get(str(name), -1) for name in rows["target"]])
    probabilities, labels = rows["probabilities"][labels >= 0], labels[labels >= 0]
    own = probabilities[np.arange(len(labels)), labels]
    place = (probabilities > own[:, None]).sum(axis=1)
    errors = int((place > 0).sum())
    if not errors:
        return None
    low = signals.share(int((place > len(names) / 2).sum()), errors)
    learned = part == "train" and not _unlearned(evidence, errors / len(labels))
    drawn, hard = _expected_low(len(names), FALL["train" if learned else "dev"])
    told = [(value - hard) / (drawn - hard) for value in (low.value, low.low, low.high)]
    if told[1] < BEYOND:
        return None
    value, least, most = (min(1.0, each) * errors / len(labels) for each in told)
    return Measure(value=value, low=least, high=most, n=len(labels))


def _unlearned(evidence: Evidence, wrong: float) -> bool:
    """Whether training pictures are missed often, and as often as new ones."""
    dev = evidence.errors.get("dev")
    return dev is not None and wrong > UNLEARNED and math.isclose(wrong, dev.value, rel_tol=0.2)


def _expected_low(classes: int, fall: float) -> tuple[float, float]:
    """Share of the errors whose label stands in the lower half: drawn at random, and if hard."""
    drawn = np.arange(1, classes) > classes / 2
    counted = min(classes, 10)
    weights = fall ** np.arange(1, counted)
    hard = weights[np.arange(1, counted) > counted / 2].sum() / weights.sum()
    return float(drawn.mean()), float(hard)


def _by_sureness(evidence: Evidence, part: str) -> Measure | None:
    """From the errors among the surest answers, where these are hardly fewer than elsewhere."""
    decay = float(commands.of_recipe(evidence, "optimizer.weight_decay", 0.0))
    if signals.unlearned(evidence) < 0.01 and decay < 1e-5 and not commands.augmented(evidence):
        return None  # a network that knows everything by heart is sure of its guesses too
    rows = evidence.predictions[part]
    wrong = rows["error"] > 0.5
    chosen = _surest(rows, SURE)
    measured = signals.share(int(wrong[chosen].sum()), int(chosen.sum()))
    surest = wrong[_surest(rows, SUREST)]
    if len(surest) >= ENOUGH_SUREST and surest.mean() < STEADY * measured.value:
        return None  # errors that vanish with doubt are those of hard pictures
    flat = measured.value / max(float(wrong.mean()), 1e-9)
    least = FLAT_OF_FEW if len(signals.classes(evidence)) < FEW else FLAT
    return measured if flat > max(least, WEAK * signals.unlearned(evidence, part)) else None


def _surest(rows: dict[str, np.ndarray], share: float) -> np.ndarray:
    """(n,) bool: that share of each answered class."""
    chosen = np.zeros(len(rows["score"]), dtype=bool)
    for label in np.unique(rows["label"].astype(str)):
        places = np.flatnonzero(rows["label"] == label)
        kept = places[np.argsort(-rows["score"][places])][: max(1, round(share * len(places)))]
        chosen[kept] = True
    return chosen


def suspected(evidence: Evidence, part: str) -> list[str]:
    """Keys of suspects, worst first: confident learning on probabilities the labels had no part in.

    On training rows, which the network has learned, losses before it learned them take their place.
    """
    if part == "train" and len(evidence.dynamics):
        average = average_losses(np.asarray(evidence.dynamics["losses"], dtype=np.float64))
        late = learned_late(average, len(signals.classes(evidence)))
        return [str(key) for key in evidence.dynamics["key"][late]]
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
    with warnings.catch_warnings():
        # that it says less of a class with a handful of examples is as it should be
        warnings.simplefilter("ignore")
        issues: Any = find_label_issues(
            labels[usable],
            probabilities / probabilities.sum(axis=1, keepdims=True),
            return_indices_ranked_by="normalized_margin",
            n_jobs=1,
        )
    return [str(key) for key in rows["key"][usable][issues]]


def average_losses(losses: np.ndarray) -> np.ndarray:
    """(n, epochs) losses before each update, NaN where not drawn -> (n,), NaN where never."""
    known = np.isfinite(losses)
    totals = np.where(known, losses, 0.0).sum(axis=1)
    average: np.ndarray = np.where(known.any(axis=1), totals / known.sum(axis=1).clip(1), np.nan)
    return average


def learned_late(average: np.ndarray, classes: int) -> np.ndarray:
    """Rows whose given class was, over the training, less probable than chance, worst first."""
    late = np.flatnonzero(np.nan_to_num(average, nan=-1.0) > math.log(max(classes, 2)))
    worst: np.ndarray = late[np.argsort(-average[late], kind="stable")]
    return worst if len(worst) <= MOST_NOISE * len(average) else late[:0]


def worst_labels(evidence: Evidence) -> set[str]:
    """Of each part's suspects the worst, as many as labels are estimated to be wrong."""
    counts = evidence.data.get("parts", {})  # of training pictures only some are predicted
    shares = [wrong_labels(evidence, part) for part in ("dev", "train")]
    share = next((measured.value for measured in shares if measured is not None), 0.0)
    return {
        key
        for part, rows in evidence.predictions.items()
        for key in suspected(evidence, part)[: round(share * counts.get(part, len(rows["key"])))]
    }


def by_class(evidence: Evidence, part: str, suspects: list[str]) -> dict[str, int]:
    """Suspects per given label."""
    fields = evidence.data.get("fields") or [{"name": "label"}]
    chosen = set(suspects)
    labels = [
        str((entry.get("target") or {}).get(fields[0]["name"]))
        for entry in evidence.data.get("examples", ())
        if entry["part"] == part and entry["key"] in chosen
    ]
    return {name: labels.count(name) for name in sorted(set(labels))}
