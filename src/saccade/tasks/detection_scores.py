"""Scores of detections: mean average precision with intervals, curves, kinds of mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from saccade.ops import average_precision as ap
from saccade.ops.average_precision import Array, Matches, Objects
from saccade.ops.mistakes import KINDS, kinds
from saccade.tasks import measures
from saccade.types import Batch, Detections, Measure, Scored

USUAL = 0.25
"""Confidence from which a box counts while none was chosen on dev."""

DRAWS, WORK = 200, 20_000_000
"""Resamples for an interval at most; detections x resamples, beyond which fewer are drawn."""

CONFIDENCES = np.linspace(0, 1, 101)


def gather(boxes: Sequence[Tensor], labels: Sequence[Tensor], first: int = 0) -> Objects:
    """Lists of (M, 4) and (M,), one for each picture, as one; pictures are numbered from first."""
    counts = [len(each) for each in boxes]
    return Objects(
        pictures=np.repeat(np.arange(len(boxes)) + first, counts).astype(np.int64),
        labels=_joined(labels).long().numpy(),
        boxes=_joined(boxes).double().view(-1, 4).numpy(),
    )


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return torch.cat([part.cpu() for part in parts]) if parts else torch.zeros(0)


def gather_found(results: Sequence[Detections]) -> Objects:
    """Detections of many pictures as one."""
    found = gather([each.boxes for each in results], [each.labels for each in results])
    scores = _joined([each.scores for each in results]).double().numpy()
    return Objects(pictures=found.pictures, labels=found.labels, boxes=found.boxes, scores=scores)


def above(found: Objects, thresholds: Sequence[float]) -> Objects:
    """The detections whose score reaches the threshold of their class."""
    assert found.scores is not None
    kept = found.scores >= np.asarray(thresholds)[found.labels]
    return Objects(
        pictures=found.pictures[kept],
        labels=found.labels[kept],
        boxes=found.boxes[kept],
        scores=found.scores[kept],
    )


def best_thresholds(found: Objects, true: Objects, num_classes: int) -> tuple[float, ...]:
    """Confidence of the best F1 of each class at IoU 0.5; USUAL where there is nothing to tell."""
    curve = f1_curve(_at_half(found, true), num_classes)  # (K, 101)
    return tuple(
        round(float(CONFIDENCES[_middle_of_best(row)]), 2) if row.max(initial=0) > 0 else USUAL
        for row in curve
    )


def _middle_of_best(values: Array) -> int:
    """Of equal best places the middle one of the first run: the least shaken by new pictures."""
    best = np.flatnonzero(values >= values.max() - 1e-12)
    run = best[: int(np.argmax(np.diff(best, append=best[-1] + 2) > 1)) + 1]
    return int(run[len(run) // 2])


def _at_half(found: Objects, true: Objects) -> Matches:
    return ap.match(found, true, thresholds=(0.5,), ranges={"all": (0.0, 1e10)})


def f1_curve(matches: Matches, num_classes: int) -> Array:
    """(K, 101) F1 at IoU 0.5 of the detections that reach each of CONFIDENCES."""
    counts = np.bincount(matches.owner[matches.counted[:, 0]], minlength=num_classes)
    hit = (matches.object[:, 0, 0] >= 0) & ~matches.ignored[:, 0, 0]
    curve = np.zeros((num_classes, len(CONFIDENCES)))
    for label in range(num_classes):
        mine = (matches.labels == label) & ~matches.ignored[:, 0, 0]
        scores = matches.scores[mine]  # falling
        kept = np.searchsorted(-scores, -CONFIDENCES, side="right")
        hits = np.append(0, hit[mine].cumsum())[kept]
        curve[label] = 2 * hits / np.maximum(kept + counts[label], 1)
    return curve


def picture_errors(
    results: Sequence[Detections], boxes: Sequence[Tensor], labels: Sequence[Tensor]
) -> Tensor:
    """(N,) share of a picture's boxes that are wrong: (false + missed) / (2 hits + false + missed).

    That is 1 - F1 at IoU 0.5; 0 where nothing is there and nothing was found.
    """
    found, true = gather_found(results), gather(boxes, labels)
    matches = _at_half(found, true)
    hit = matches.object[:, 0, 0] >= 0
    hits = np.bincount(matches.pictures[hit], minlength=len(results))
    total = np.bincount(found.pictures, minlength=len(results)) + np.bincount(
        true.pictures, minlength=len(results)
    )
    errors = 1 - 2 * hits / np.maximum(total, 1)
    return torch.from_numpy(np.where(total > 0, errors, 0.0)).float()


class DetectionMetric:
    """map50 and map (mean over IoU 0.5 to 0.95) of all pictures, in the COCO evaluation's numbers.

    Intervals are bootstrapped over pictures.
    """

    main = "map50"
    higher_is_better = True

    def __init__(self, field: str, classes: tuple[str, ...], thresholds: Sequence[float]) -> None:
        self.field = field
        self.classes = classes
        self.thresholds = tuple(thresholds)
        self._results: list[Detections] = []
        self._boxes: list[Tensor] = []
        self._labels: list[Tensor] = []

    def update(self, scored: Scored, batch: Batch) -> None:
        self._results += scored.results
        self._boxes += in_picture(batch.targets[self.field], batch)
        self._labels += [each.cpu() for each in batch.targets[self.field + ".label"]]

    def compute(self) -> dict[str, Measure]:
        count = len(self.classes)
        matches = ap.match(*self._objects(), ranges={"all": (0.0, 1e10)})
        table = ap.curves(matches, count)[:, 0]  # (T, K, 101)
        n = len(self._results)
        draws = int(min(DRAWS, max(20, WORK // max(1, 10 * len(matches.rows)))))
        random = np.random.default_rng(0)
        times = random.multinomial(n, np.full(n, 1 / n), size=draws) if n else np.ones((1, 0))
        spread = ap.resampled(matches, count, times.astype(np.float64))
        return {
            "map50": _measure(ap.mean(table[0]), spread[0], n),
            "map": _measure(ap.mean(table), spread.mean(axis=0), n),
        }

    def details(self) -> dict[str, Any]:
        """Classes; per_class; by_size; curves at IoU 0.5; kinds of mistakes at the thresholds."""
        found, true = self._objects()
        count = len(self.classes)
        matches = ap.match(found, true)
        table = ap.curves(matches, count)  # (T, R, K, 101)
        sizes = {
            name: {
                "map": measures.number(ap.mean(table[:, place])),
                "objects": int(matches.counted[:, place].sum()),
            }
            for place, name in enumerate(matches.ranges)
        }
        certain = above(found, self.thresholds)
        of_found, of_true = kinds(certain, true)
        return {
            "classes": list(self.classes),
            "per_class": self._per_class(certain, true, table[:, 0]),
            "by_size": sizes,
            "mistakes": {
                kind: int(
                    (of_true == place).sum() if kind == "missed" else (of_found == place).sum()
                )
                for place, kind in enumerate(KINDS)
            },
            "hits": int((of_found == -1).sum()),
            "curves": {
                "recall": np.round(ap.RECALLS, 2).tolist(),
                "precision": _plain(table[0, 0]),
                "confidence": np.round(CONFIDENCES, 2).tolist(),
                "f1": _plain(f1_curve(_at_half(found, true), count)),
            },
        }

    def _objects(self) -> tuple[Objects, Objects]:
        return gather_found(self._results), gather(self._boxes, self._labels)

    def _per_class(self, certain: Objects, true: Objects, table: Array) -> dict[str, Any]:
        matches = _at_half(certain, true)
        count = len(self.classes)
        hit = matches.object[:, 0, 0] >= 0
        hits = np.bincount(matches.labels[hit], minlength=count)
        false = np.bincount(matches.labels[~hit], minlength=count)
        missed = np.bincount(true.labels, minlength=count) - hits
        rows = measures.per_class(self.classes, hits, false, missed)
        for place, name in enumerate(self.classes):
            rows[name] |= {
                "ap50": measures.number(ap.mean(table[0, place])),
                "ap": measures.number(ap.mean(table[:, place])),
                "threshold": self.thresholds[place],
            }
        return rows


def in_picture(boxes: Sequence[Tensor], batch: Batch) -> list[Tensor]:
    """Boxes (M, 4) of each input in pixels of its picture, clipped to it; on the CPU."""
    placed = []
    for row, each in enumerate(boxes):
        own = each.detach().float().cpu()
        if batch.geometry is not None:
            own = batch.geometry.to_picture(row, own.reshape(-1, 2)).view(-1, 2, 2)
            # a mirrored or turned input exchanges corners
            own = torch.cat([own.amin(1), own.amax(1)], 1)
            height, width = batch.geometry.size[row].tolist()
            limit = torch.tensor([width, height, width, height], dtype=own.dtype)
            own = torch.minimum(own.clamp(min=0), limit)
        placed.append(own)
    return placed


def _measure(value: float, spread: Array, n: int) -> Measure:
    if np.isnan(value) or not n:
        return Measure(value=value, low=value, high=value, n=n)
    # the resamples' own average precision differs a little: only their spread is used
    low, high = np.quantile(spread, [0.025, 0.975]) - (spread.mean() - value)
    low, high = min(float(low), value), max(float(high), value)
    return Measure(value=value, low=max(low, 0.0), high=min(high, 1.0), n=n)


def _plain(table: Array) -> list[list[float] | None]:
    """Rows rounded to four digits; None for a class without objects."""
    return [None if np.isnan(row).any() else np.round(row, 4).tolist() for row in table]
