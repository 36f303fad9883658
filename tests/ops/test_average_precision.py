"""The numbers of the public COCO evaluator, from arrays."""

import contextlib
import io

import numpy as np
import pytest

from saccade.ops import average_precision as ap
from saccade.ops.average_precision import Objects


def corners(random, count, side=400, largest=150):
    low = np.round(random.random((count, 2)) * side * 2) / 2
    return np.concatenate([low, low + np.round(random.random((count, 2)) * largest * 2) / 2 + 1], 1)


def made(*, pictures=30, objects=8, extra=6, classes=4, seed=0, crowd=False, few_scores=False):
    """Objects, and detections that are shaken copies of them or lie anywhere."""
    random = np.random.default_rng(seed)
    count = pictures * objects
    true = Objects(
        pictures=np.sort(random.integers(0, pictures, count)),
        labels=random.integers(0, classes, count),
        boxes=corners(random, count),
        crowd=random.random(count) < 0.1 if crowd else None,
    )
    copies = np.repeat(np.arange(count), 2)
    shaken = true.boxes[copies] + np.round(random.normal(0, 5, (len(copies), 4)))
    shaken[:, 2:] = np.maximum(shaken[:, 2:], shaken[:, :2] + 1)
    strays = pictures * extra
    boxes = np.concatenate([shaken, corners(random, strays)])
    where = np.concatenate([true.pictures[copies], random.integers(0, pictures, strays)])
    labels = np.concatenate([true.labels[copies], random.integers(0, classes, strays)])
    scores = random.random(len(boxes))
    if few_scores:
        scores = np.round(scores, 1)
    return Objects(pictures=where, labels=labels, boxes=boxes, scores=scores), true


def public(found, true, most=100):
    """The evaluator's precision (T, 101, K, R) and the twelve numbers it prints."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    pictures = int(max(found.pictures.max(), true.pictures.max())) + 1
    classes = int(max(found.labels.max(), true.labels.max())) + 1
    crowd = np.zeros(len(true), dtype=bool) if true.crowd is None else true.crowd

    def plain(kind):
        boxes = np.concatenate([kind.boxes[:, :2], kind.boxes[:, 2:] - kind.boxes[:, :2]], 1)
        return zip(kind.pictures.tolist(), kind.labels.tolist(), boxes.tolist(), strict=True)

    with contextlib.redirect_stdout(io.StringIO()):
        data = COCO()
        data.dataset = {
            "info": {},
            "images": [{"id": index} for index in range(pictures)],
            "categories": [{"id": index, "name": str(index)} for index in range(classes)],
            "annotations": [
                {
                    "id": 1 + row,
                    "image_id": picture,
                    "category_id": label,
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": int(crowd[row]),
                }
                for row, (picture, label, box) in enumerate(plain(true))
            ],
        }
        data.createIndex()
        results = [
            {"image_id": picture, "category_id": label, "bbox": box, "score": score}
            for (picture, label, box), score in zip(
                plain(found), found.scores.tolist(), strict=True
            )
        ]
        evaluation = COCOeval(data, data.loadRes(results), "bbox")
        evaluation.params.maxDets = [1, 10, most]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation.eval["precision"][:, :, :, :, 2]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"classes": 1, "pictures": 5, "objects": 40},
        {"crowd": True, "seed": 1},
        {"few_scores": True, "seed": 2},
        {"classes": 20, "objects": 3, "seed": 3},
    ],
)
def test_equal_to_the_public_evaluator(options):
    found, true = made(**options)
    wanted = public(found, true)
    ours = ap.curves(ap.match(found, true), wanted.shape[2])  # (T, R, K, 101)
    ours = np.nan_to_num(ours.transpose(0, 3, 2, 1), nan=-1)
    assert np.abs(ours - wanted).max() < 1e-9


def test_only_the_best_count_in_a_crowded_picture():
    found, true = made(pictures=2, objects=60, classes=1)
    wanted = public(found, true, most=10)
    ours = ap.curves(ap.match(found, true, most=10), 1)
    assert np.abs(np.nan_to_num(ours.transpose(0, 3, 2, 1), nan=-1) - wanted).max() < 1e-9


def test_nothing_found_and_nothing_there():
    found, true = made()
    nothing = Objects(
        pictures=np.zeros(0, dtype=np.int64),
        labels=np.zeros(0, dtype=np.int64),
        boxes=np.zeros((0, 4)),
        scores=np.zeros(0),
    )
    assert ap.mean(ap.curves(ap.match(nothing, true), 4)[0, 0]) == 0
    assert np.isnan(ap.mean(ap.curves(ap.match(found, nothing), 4)))
    assert np.isnan(ap.mean(ap.curves(ap.match(nothing, nothing), 4)))


def test_resampling_every_picture_once_gives_the_measure_itself():
    found, true = made(pictures=60)
    matches = ap.match(found, true)
    once = ap.resampled(matches, 4, np.ones((1, 60)))[:, 0]
    table = ap.curves(matches, 4)[:, 0]
    assert once == pytest.approx([ap.mean(each) for each in table], abs=0.01)


def test_resampling_is_repetition():
    """A picture drawn twice is two pictures."""
    found, true = made(pictures=6)
    twice = np.array([[2.0, 1, 1, 1, 1, 1]])
    ours = ap.resampled(ap.match(found, true), 4, twice)[:, 0]

    def doubled(kind):
        again = kind.pictures == 0
        scores = None if kind.scores is None else np.append(kind.scores, kind.scores[again])
        return Objects(
            pictures=np.append(kind.pictures, np.full(again.sum(), 6)),
            labels=np.append(kind.labels, kind.labels[again]),
            boxes=np.concatenate([kind.boxes, kind.boxes[again]]),
            scores=scores,
        )

    repeated = ap.match(doubled(found), doubled(true))
    assert ours == pytest.approx(ap.resampled(repeated, 4, np.ones((1, 7)))[:, 0], abs=0.02)
