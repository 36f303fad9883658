"""Pictures from different places: the error of each source, and what tells dev's apart."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from saccade.data.manifest import groups_of
from saccade.ops.intervals import mean_interval
from saccade.types import Evidence, Measure

FACTS = {
    "mean": "bright",
    "std": "rich in contrast",
    "sharpness": "sharp",
    "width": "wide",
    "height": "high",
}
"""Column of data.parquet -> what more of it makes a picture."""

LEAST = 20
"""Examples of each kind below which nothing is told apart."""

MOST = 2000
"""Of each kind that the classifier learns from."""


def errors_by_source(evidence: Evidence) -> dict[str, dict[str, Measure]]:
    """Part -> source -> error with its interval; empty where the data name no sources."""
    known = sources(evidence)
    if not known:
        return {}
    found: dict[str, dict[str, Measure]] = {}
    for part, rows in evidence.predictions.items():
        names = np.array([known.get(str(key), "") for key in rows["key"]], dtype=object)
        groups = groups_of(evidence.data, rows["key"])
        found[part] = {
            name: _error(rows["error"], groups, names == name) for name in sorted(set(names) - {""})
        }
    return {part: own for part, own in found.items() if own}


def sources(evidence: Evidence) -> dict[str, str]:
    """Key -> source."""
    return {
        entry["key"]: entry["source"]
        for entry in evidence.data.get("examples", ())
        if entry.get("source")
    }


def _error(values: np.ndarray, groups: list[str] | None, chosen: np.ndarray) -> Measure:
    member = None if groups is None else np.array(groups, dtype=object)[chosen].astype(str)
    value, low, high, count = mean_interval(values[chosen], member)
    return Measure(value=value, low=low, high=high, n=count)


@dataclass(frozen=True, kw_only=True)
class Apart:
    """How well two kinds of pictures can be told apart, and by what.

    area   area under the curve of a small classifier on the network's embeddings, on examples it
           has not learned from: 0.5 = not at all, 1 = always; None where it could not be trained
    facts  what differs most in words, such as "less sharp (212 against 790)"
    """

    one: str
    other: str
    area: Measure | None
    facts: tuple[str, ...]


def dev_apart(evidence: Evidence) -> Apart | None:
    """Dev against train-dev, which the network has not learned either; against training without.

    Embeddings of what was learned differ from all others, so that without a train-dev part the
    facts of the files alone are compared.
    """
    one = "train-dev" if "train-dev" in evidence.predictions else "train"
    if "dev" not in evidence.predictions or one not in evidence.predictions:
        return None
    rows = [evidence.predictions[part] for part in (one, "dev")]
    area = None
    if one == "train-dev" and all(_embedded(each) for each in rows):
        area = told_apart(rows[0]["embedding"], rows[1]["embedding"])
    facts = differences(evidence, *(np.asarray(each["index"]) for each in rows))
    return Apart(one=one, other="dev", area=area, facts=facts)


def _embedded(rows: Mapping[str, np.ndarray]) -> bool:
    return "embedding" in rows and rows["embedding"].ndim == 2 and len(rows["embedding"]) >= LEAST


def told_apart(one: np.ndarray, other: np.ndarray, *, seed: int = 0) -> Measure:
    """Area under the curve of a logistic regression, over five folds. one, other: (n, features).

    The interval is Hanley and McNeil's (1982).
    """
    # half a second to import, and only needed where the data name sources
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    random = np.random.default_rng(seed)
    kinds = [each[random.permutation(len(each))[:MOST]].astype(np.float64) for each in (one, other)]
    table = np.concatenate(kinds)
    truth = np.repeat([0, 1], [len(each) for each in kinds])
    # strong shrinkage: there may be more features than examples
    judge = make_pipeline(
        StandardScaler(), LogisticRegression(C=0.01, class_weight="balanced", max_iter=200)
    )
    told = cross_val_predict(judge, table, truth, cv=5, method="decision_function")
    return area_under(told[truth == 0], told[truth == 1])


def area_under(one: np.ndarray, two: np.ndarray, *, sigmas: float = 1.96) -> Measure:
    """Share of pairs in which the second is larger, ties half; Hanley and McNeil's interval."""
    ordered = np.sort(one)
    below = np.searchsorted(ordered, two, side="left")
    upto = np.searchsorted(ordered, two, side="right")
    area = float((below + upto).mean() / (2 * len(one)))
    first, second = area / (2 - area), 2 * area**2 / (1 + area)
    spread = area * (1 - area) + (len(one) - 1) * (first - area**2)
    spread += (len(two) - 1) * (second - area**2)
    half = sigmas * math.sqrt(max(spread, 0.0) / (len(one) * len(two)))
    return Measure(value=area, low=max(0.0, area - half), high=min(1.0, area + half), n=len(two))


def differences(evidence: Evidence, one: np.ndarray, other: np.ndarray) -> tuple[str, ...]:
    """The facts that tell the rows `other` from the rows `one` of data.parquet, in words."""
    if not len(evidence.images.get("key", ())) or min(len(one), len(other)) < LEAST:
        return ()
    found = []
    for name, word in FACTS.items():
        values = np.asarray(evidence.images[name], dtype=np.float64)
        area = area_under(values[one], values[other], sigmas=2.8)
        if area.low <= 0.5 <= area.high:
            continue
        more = "more" if area.value > 0.5 else "less"
        here, there = np.median(values[other]), np.median(values[one])
        text = f"{more} {word} ({here:.4g} against {there:.4g})"
        found.append((abs(area.value - 0.5), text))
    return tuple(text for _, text in sorted(found, reverse=True))
