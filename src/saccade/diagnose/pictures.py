"""What pictures tell without a network: copies in two parts, parts that differ, telling borders."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from saccade.data.duplicates import candidate_pairs, clusters
from saccade.diagnose.sources import area_under
from saccade.types import Evidence, Measure

NEAR = 8
"""Bits in which the perceptual hashes of two copies may differ."""

ALIKE = 0.97
"""Cosine of two copies' embeddings, where both are known."""

MIN_SIDE = 32
"""Smaller pictures of one kind resemble each other without being copies."""

PROMINENT = ("mean", "std", "sharpness", "width", "height")


def leaked(evidence: Evidence, part: str) -> np.ndarray:
    """(n,) bool over the rows of `part` in data.parquet: a copy of it is trained on."""
    images = evidence.images
    if not len(images.get("split", ())):
        return np.zeros(0, dtype=bool)
    own = np.flatnonzero(images["split"] == part)
    training = np.flatnonzero(images["split"] == "train")
    if len(own) == 0 or len(training) == 0:
        return np.zeros(0, dtype=bool)
    found = _among(images["pixel_hash"][own], images["pixel_hash"][training])
    found |= _among(images["sha256"][own], images["sha256"][training])
    found |= np.isin(own, _near_pairs(evidence))
    leaked_rows: np.ndarray = found | _shared_group(evidence, own)
    return leaked_rows


def _among(marks: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(n,) bool: which texts occur in others; np.isin takes minutes for many texts."""
    known = set(others.tolist())
    return np.array([mark in known for mark in marks.tolist()], dtype=bool)


SHOWN = 6
"""Pairs of copies that are shown."""


def copies(evidence: Evidence, part: str) -> list[tuple[int, int]]:
    """Some pictures of `part` and their copies in training, by index: exact ones first."""
    images = evidence.images
    own, training = (np.flatnonzero(images["split"] == name) for name in (part, "train"))
    twins = dict(zip(images["pixel_hash"][training].tolist(), training.tolist(), strict=True))
    found = [
        (row, twins[mark])
        for row, mark in zip(own.tolist(), images["pixel_hash"][own].tolist(), strict=True)
        if mark in twins
    ]
    inside = set(own.tolist())
    for one, two in _near_pairs(evidence).tolist():
        pair = (one, two) if one in inside else (two, one)
        if pair[0] in inside and pair not in found:
            found.append(pair)
    return found[:SHOWN]


def also_trained_on(evidence: Evidence) -> set[str]:
    """Keys of dev and test pictures of which training holds a copy, or another of their group."""
    images = evidence.images
    if not len(images.get("split", ())):
        return set()
    keys = _keys(evidence)
    return {
        keys[row]
        for part in ("dev", "test")
        for row in np.flatnonzero(images["split"] == part)[leaked(evidence, part)].tolist()
    }


def families(evidence: Evidence) -> dict[str, str]:
    """Key of each picture -> that of the first of its family: exact and near copies, groups."""
    images = evidence.images
    if not len(images.get("split", ())):
        return {}
    keys = _keys(evidence)
    groups = {e["key"]: e["group"] for e in evidence.data.get("examples", ()) if e.get("group")}
    first: dict[tuple[str, str], int] = {}
    alike = [
        (first.setdefault(mark, row), row)
        for row, (key, pixels) in enumerate(zip(keys, images["pixel_hash"].tolist(), strict=True))
        for mark in (("pixels", pixels), ("group", groups.get(key, f"#{row}")))
    ]
    near = _near_pairs(evidence, across=False)
    family = clusters(np.concatenate([np.array(alike, dtype=np.int64), near]), len(keys))
    return {key: keys[row] for key, row in zip(keys, family.tolist(), strict=True)}


def _keys(evidence: Evidence) -> list[str]:
    """Key of each row as the manifest has it; tables hold escapes for bytes that are no UTF-8."""
    raw = {
        entry["key"].encode("utf-8", "backslashreplace").decode("utf-8"): entry["key"]
        for entry in evidence.data.get("examples", ())
    }
    return [raw.get(key, key) for key in evidence.images["key"].tolist()]


def _near_pairs(evidence: Evidence, *, across: bool = True) -> np.ndarray:
    """(m, 2) rows of near-copies. across: only those of which one is in training and one is not."""
    images = evidence.images
    large = np.minimum(images["width"], images["height"]) >= MIN_SIDE
    chosen = np.flatnonzero(large & (images["std"] >= 8))
    if len(chosen) < 2:
        return np.empty((0, 2), dtype=np.int64)
    pairs = chosen[candidate_pairs(images["phash"][chosen].astype(np.uint64), NEAR)]
    if across:
        trained = images["split"] == "train"
        pairs = pairs[trained[pairs[:, 0]] != trained[pairs[:, 1]]]
    same: np.ndarray = pairs[_same_picture(evidence, pairs)]
    return same


def _same_picture(evidence: Evidence, pairs: np.ndarray) -> np.ndarray:
    """(m,) whether hashes, tone, shape and, where known, embeddings of both agree."""
    images = evidence.images
    one, two = pairs[:, 0], pairs[:, 1]
    shape = images["width"] / images["height"]
    tone = np.abs(images["std"][one] - images["std"][two]) < 0.15 * images["std"][one] + 3
    agree = tone & (np.abs(np.log(shape[one] / shape[two])) < 0.1)
    cosine = _cosines(evidence, one, two)
    bits = _distance(images["phash"][one], images["phash"][two])
    return np.asarray(agree & np.where(np.isnan(cosine), bits <= 3, cosine >= ALIKE))


def _distance(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    bits = first.astype(np.uint64) ^ second.astype(np.uint64)
    return np.asarray(np.bitwise_count(bits))


def _cosines(evidence: Evidence, one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """(m,) cosine of the embeddings, NaN where one was not kept."""
    found: dict[int, np.ndarray] = {}
    for rows in evidence.predictions.values():
        if "embedding" in rows and rows["embedding"].ndim == 2:
            table = rows["embedding"].astype(np.float32)
            table = table - table.mean(axis=0)
            norms = np.linalg.norm(table, axis=1, keepdims=True)
            found.update(zip(rows["index"].tolist(), table / np.maximum(norms, 1e-9), strict=True))
    values = [
        float(found[a] @ found[b]) if a in found and b in found else math.nan
        for a, b in zip(one.tolist(), two.tolist(), strict=True)
    ]
    return np.array(values)


def _shared_group(evidence: Evidence, own: np.ndarray) -> np.ndarray:
    groups = {
        entry["key"]: entry["group"]
        for entry in evidence.data.get("examples", ())
        if entry.get("group") is not None
    }
    if not groups:
        return np.zeros(len(own), dtype=bool)
    keys, parts = evidence.images["key"], evidence.images["split"]
    trained = {groups.get(key) for key, part in zip(keys, parts, strict=True) if part == "train"}
    trained.discard(None)
    return np.array([groups.get(keys[row]) in trained for row in own])


def differing_fact(evidence: Evidence) -> tuple[str, Measure]:
    """The fact that tells dev pictures from training pictures best, and how well.

    0.5 is not at all, 1 without fail: the share of pairs (one of each part) that the fact orders
    rightly. The interval allows for the number of facts that were tried.
    """
    images = evidence.images
    best = "nothing", Measure(value=0.5, low=0.5, high=0.5, n=0)
    if not len(images.get("split", ())):
        return best
    training = images["split"] == "train"
    dev = images["split"] == "dev"
    for name in PROMINENT:
        measured = _told_apart(
            images[name][training].astype(np.float64), images[name][dev].astype(np.float64)
        )
        if measured.low > best[1].low:
            best = name, measured
    return best


def _told_apart(one: np.ndarray, two: np.ndarray) -> Measure:
    """Area under the curve, at least 0.5."""
    if min(len(one), len(two)) < 10:
        return Measure(value=0.5, low=0.5, high=0.5, n=0)
    area = area_under(two, one, sigmas=2.8)
    if area.value >= 0.5:
        return replace(area, low=max(0.5, area.low), n=len(two))
    high = 1 - area.low
    return Measure(value=1 - area.value, low=max(0.5, 1 - area.high), high=high, n=len(two))
