"""Average precision of detections from plain arrays, in the numbers of the COCO evaluation.

Lin et al. 2014, https://arxiv.org/abs/1405.0312, and the rules of its public evaluator: in each
picture and class, detections take, best first, the free object they overlap most, objects that
count before those that are ignored; precision is made falling and read at 101 recalls.

All arithmetic is float64 NumPy. Letters: D detections, O objects, T thresholds of IoU, R ranges of
area, U units of resampling.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

THRESHOLDS: tuple[float, ...] = tuple((0.5 + 0.05 * np.arange(10)).tolist())
RECALLS = np.linspace(0, 1, 101)
RANGES: dict[str, tuple[float, float]] = {
    "all": (0.0, 1e10),
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e10),
}
"""Of an object's area in square pixels."""

MOST = 100
"""Detections that count in one picture and class: the best ones."""


@dataclass(frozen=True, kw_only=True)
class Objects:
    """Boxes of many pictures.

    pictures  (n,) int64 which picture;  labels: (n,) int64;  boxes: (n, 4) xyxy pixels
    scores    (n,) of detections
    crowd     (n,) of true objects: a region of many, which counts neither for nor against
    areas     (n,) of true objects, in square pixels; None = those of the boxes
    """

    pictures: Integers
    labels: Integers
    boxes: Array
    scores: Array | None = None
    crowd: Flags | None = None
    areas: Array | None = None

    def __len__(self) -> int:
        return len(self.boxes)

    def area(self) -> Array:
        sides = self.boxes[:, 2:] - self.boxes[:, :2]
        return sides[:, 0] * sides[:, 1] if self.areas is None else self.areas


@dataclass(frozen=True, kw_only=True)
class Matches:
    """What became of each detection and object. Detections are those that count, best first.

    rows      (D,) of the detections given;  pictures, labels, scores: theirs
    object    (D, T, R) row of the object taken, -1 none
    ignored   (D, T, R) the detection counts neither for nor against
    counted   (O, R) the object counts;  owner: (O,) its label;  place: (O,) its picture
    thresholds, ranges   what T and R stand for
    """

    rows: Integers
    pictures: Integers
    labels: Integers
    scores: Array
    object: npt.NDArray[np.int32]
    ignored: Flags
    counted: Flags
    owner: Integers
    place: Integers
    thresholds: tuple[float, ...]
    ranges: tuple[str, ...]


def match(
    found: Objects,
    true: Objects,
    *,
    thresholds: tuple[float, ...] = THRESHOLDS,
    ranges: dict[str, tuple[float, float]] = RANGES,
    most: int = MOST,
) -> Matches:
    """Give detections to objects at every threshold and in every range of area."""
    rows = _counting(found, most)
    found_areas, true_areas = found.area()[rows], true.area()
    limits = np.array(list(ranges.values())).reshape(-1, 2)
    crowd = np.zeros(len(true), dtype=bool) if true.crowd is None else true.crowd
    counted = ~_outside(true_areas, limits) & ~crowd[:, None]
    taken = _take(found, rows, true, crowd, counted, np.minimum(thresholds, 1 - 1e-10))
    safe = np.maximum(taken, 0)
    hit = taken >= 0
    ignored = np.broadcast_to(_outside(found_areas, limits)[:, None], hit.shape).copy()
    if len(true):
        ignored[hit] = ~counted[safe, np.arange(len(limits))][hit]
    assert found.scores is not None
    return Matches(
        rows=rows,
        pictures=found.pictures[rows],
        labels=found.labels[rows],
        scores=found.scores[rows],
        object=taken,
        ignored=ignored,
        counted=counted,
        owner=true.labels,
        place=true.pictures,
        thresholds=tuple(thresholds),
        ranges=tuple(ranges),
    )


def _outside(areas: Array, limits: Array) -> Flags:
    """(n,) areas, (R, 2) -> (n, R)."""
    outside: Flags = (areas[:, None] < limits[:, 0]) | (areas[:, None] > limits[:, 1])
    return outside


def _counting(found: Objects, most: int) -> Integers:
    """Rows of the best `most` of each picture and class; all sorted by class, then best first.

    Equal scores stay in the order of pictures, and within one as given.
    """
    assert found.scores is not None
    order = np.lexsort((-found.scores, found.labels, found.pictures))
    group = _codes(found.pictures[order], found.labels[order])
    kept = order[_rank(group) < most]
    return kept[np.lexsort((-found.scores[kept], found.labels[kept]))]


def _codes(pictures: Integers, labels: Integers) -> Integers:
    """(n,) one number for each picture and class."""
    codes: Integers = pictures * (int(labels.max(initial=0)) + 1) + labels
    return codes


def _rank(group: Integers) -> Integers:
    """(n,) sorted codes -> place of each within its group."""
    starts = np.flatnonzero(np.diff(group, prepend=group[:1] - 1))
    sizes = np.diff(starts, append=len(group))
    return np.arange(len(group)) - np.repeat(starts, sizes)


def _take(
    found: Objects,
    rows: Integers,
    true: Objects,
    crowd: Flags,
    counted: Flags,
    thresholds: Array,
) -> npt.NDArray[np.int32]:
    """(D, T, R) row of the object each detection takes, -1 none.

    Detections of one place in their group are handled at once, in the order of the places: only
    pairs that overlap by the lowest threshold matter, so that there are few places.
    """
    ranges = counted.shape[1]
    taken = np.full((len(rows), len(thresholds), ranges), -1, dtype=np.int32)
    first, second, overlap = _pairs(found, rows, true, crowd, thresholds.min())
    if not len(first):
        return taken
    # later pairs of a detection are preferred: the better overlap, or the later object of equals
    order = np.lexsort((second, overlap, first))
    first, second, overlap = first[order], second[order], overlap[order]
    starts = np.flatnonzero(np.diff(first, prepend=-1))
    group = _codes(found.pictures[rows], found.labels[rows])[first[starts]]
    by_group = np.argsort(group, kind="stable")
    turn = np.empty(len(starts), dtype=np.int64)
    turn[by_group] = _rank(group[by_group])
    turns = np.repeat(turn, np.diff(starts, append=len(first)))
    free = np.ones((len(true), len(thresholds), ranges), dtype=bool)
    fits = overlap[:, None] >= thresholds  # (P, T)
    for number in range(int(turn.max()) + 1):
        pairs = np.flatnonzero(turns == number)
        objects = second[pairs]
        rank = 1 + np.arange(len(pairs), dtype=np.int32)
        better = rank[:, None] + np.int32(len(pairs) + 1) * counted[objects]  # (p, R)
        key = np.where(free[objects] & fits[pairs][:, :, None], better[:, None], 0)
        heads = np.flatnonzero(np.diff(first[pairs], prepend=-1))
        best = np.maximum.reduceat(key, heads, axis=0)  # (d, T, R)
        chosen = objects[(best - 1) % (len(pairs) + 1) % len(pairs)]
        won = best > 0
        taken[first[pairs][heads]] = np.where(won, chosen, -1)
        _, at, size = np.nonzero(won)
        objects = chosen[won]
        free[objects, at, size] = crowd[objects]  # many may lie in a crowd
    return taken


def _pairs(
    found: Objects, rows: Integers, true: Objects, crowd: Flags, least: float
) -> tuple[Integers, Integers, Array]:
    """Places in `rows`, rows of objects, and IoU, of the pairs of one picture and class."""
    classes = 1 + max(int(found.labels.max(initial=0)), int(true.labels.max(initial=0)))
    codes = true.pictures * classes + true.labels
    order = np.argsort(codes, kind="stable")
    wanted = found.pictures[rows] * classes + found.labels[rows]
    low = np.searchsorted(codes[order], wanted, side="left")
    count = np.searchsorted(codes[order], wanted, side="right") - low
    first = np.repeat(np.arange(len(rows)), count)
    ends = count.cumsum()
    second = order[np.arange(len(first)) - np.repeat(ends - count - low, count)]
    overlap = _overlap(found.boxes[rows], true.boxes, first, second, crowd)
    near = overlap >= least
    return first[near], second[near], overlap[near]


def _overlap(ours: Array, theirs: Array, first: Integers, second: Integers, crowd: Flags) -> Array:
    """(P,) IoU; with a crowd, the share of the detection that lies in it."""
    a, b = np.ascontiguousarray(ours.T), np.ascontiguousarray(theirs.T)
    wide = np.minimum(a[2][first], b[2][second]) - np.maximum(a[0][first], b[0][second])
    high = np.minimum(a[3][first], b[3][second]) - np.maximum(a[1][first], b[1][second])
    shared = np.maximum(wide, 0) * np.maximum(high, 0)
    own = ((a[2] - a[0]) * (a[3] - a[1]))[first]
    other = ((b[2] - b[0]) * (b[3] - b[1]))[second]
    union = np.where(crowd[second], own, own + other - shared)
    overlap: Array = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return overlap


def curves(matches: Matches, num_classes: int) -> Array:
    """(T, R, K, 101) precision at each recall; NaN for a class without objects that count."""
    shape = (len(matches.thresholds), len(matches.ranges), num_classes, len(RECALLS))
    table = np.full(shape, np.nan)
    cuts = np.searchsorted(matches.labels, np.arange(num_classes + 1))
    for label in range(num_classes):
        of_class = matches.owner == label
        span = slice(cuts[label], cuts[label + 1])
        ignored = matches.ignored[span]
        hits = (matches.object[span] >= 0) & ~ignored
        true = hits.cumsum(axis=0)
        precision = true / np.maximum((~ignored).cumsum(axis=0), 1)
        precision = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
        for size, count in enumerate(matches.counted[of_class].sum(axis=0).tolist()):
            if count:
                table[:, size, label] = _read(precision[:, :, size], true[:, :, size], count)
    return table


def _read(precision: Array, true: Integers, count: int) -> Array:
    """(D, T) falling precision and hits so far -> (T, 101) at each recall of `count` objects."""
    needed = np.searchsorted(np.arange(count + 1) / count, RECALLS, side="left")
    read = np.zeros((precision.shape[1], len(RECALLS)))
    for place in range(len(read)):
        at = np.searchsorted(true[:, place], needed, side="left")
        there = at < len(precision)
        read[place, there] = precision[at[there], place]
    return read


def mean(values: Array) -> float:
    """Mean of what is defined; NaN where nothing is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def resampled(matches: Matches, num_classes: int, times: Array) -> Array:
    """(T, B) mean average precision when picture i counts times[b, i], of the first range of area.

    times: (B, pictures) how often each picture was drawn. The area under the falling precision,
    which differs from its mean at 101 recalls by less than the spread between draws.
    """
    totals = np.zeros((len(matches.thresholds), len(times)))
    classes = np.zeros(len(times))
    cuts = np.searchsorted(matches.labels, np.arange(num_classes + 1))
    for label in range(num_classes):
        of_class = (matches.owner == label) & matches.counted[:, 0]
        count = times[:, matches.place[of_class]].sum(axis=1)  # (B,)
        classes += count > 0
        span = slice(cuts[label], cuts[label + 1])
        weights = times[:, matches.pictures[span]].T  # (d, B)
        for place in range(len(matches.thresholds)):
            ignored = matches.ignored[span, place, 0]
            hit = (matches.object[span, place, 0] >= 0) & ~ignored
            seen = (weights * ~ignored[:, None]).cumsum(axis=0)[hit]
            true = weights[hit].cumsum(axis=0)
            precision = true / np.maximum(seen, 1)
            precision = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
            totals[place] += (precision * weights[hit]).sum(axis=0) / np.maximum(count, 1)
    return totals / np.maximum(classes, 1)
