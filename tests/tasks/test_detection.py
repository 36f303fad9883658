"""Detection: targets and answers in the picture's pixels, thresholds, scores, kinds of mistakes."""

import numpy as np
import pytest
import torch

from saccade.errors import SaccadeError
from saccade.models import catalog
from saccade.ops.average_precision import Objects
from saccade.ops.mistakes import KINDS, RIGHT, kinds
from saccade.tasks import table
from saccade.tasks.detection_scores import best_thresholds, gather, gather_found, picture_errors
from saccade.types import Batch, Detections, Field, Geometry, Scored

CLASSES = ("cat", "dog")
FIELD = Field(name="objects", kind="boxes", classes=CLASSES)


def task(**options):
    return table.create("detection", [FIELD], **options)


def detections(boxes, scores, labels):
    return Detections(
        classes=CLASSES,
        boxes=torch.tensor(boxes, dtype=torch.float32).view(-1, 4),
        scores=torch.tensor(scores, dtype=torch.float32),
        labels=torch.tensor(labels, dtype=torch.int64),
    )


def batch(boxes, labels, scale=0.5):
    """Pictures of 200 x 100 pixels seen at half their size, lowered by 10 pixels."""
    count = len(boxes)
    matrix = torch.tensor([[scale, 0, 0], [0, scale, 10], [0, 0, 1.0]]).double()
    return Batch(
        inputs=torch.zeros(count, 3, 96, 128),
        targets={
            "objects": [
                torch.tensor(each, dtype=torch.float32).view(-1, 4) * scale
                + torch.tensor([0.0, 10, 0, 10])
                for each in boxes
            ],
            "objects.label": [torch.tensor(each, dtype=torch.int64) for each in labels],
        },
        indices=torch.arange(count),
        geometry=Geometry(
            matrix=matrix.repeat(count, 1, 1), size=torch.tensor([[100, 200]] * count)
        ),
    )


def test_a_classifier_is_no_detector():
    with pytest.raises(SaccadeError, match="--model yolo --backbone"):
        task().build(catalog.create("lenet5"))


def test_answers_lie_in_the_picture():
    model = task().build(catalog.network("yolo", backbone="mobilenet_v2_035"))
    wanted = [[[20, 20, 120, 80]], []]
    given = batch(wanted, [[1], []])
    model.eval()
    with torch.no_grad():
        scored = task().evaluate(model, given)
        results = task(thresholds=(0.0, 0.0)).predict(model, given)
    assert scored.losses.shape == scored.errors.shape == (2,)
    for result in [*scored.results, *results]:
        assert (result.boxes >= 0).all()
        assert (result.boxes <= torch.tensor([200.0, 100, 200, 100])).all()


def test_perfect_answers_score_one_in_pixels_of_the_picture():
    boxes, labels = [[[20, 20, 120, 80], [5, 5, 50, 60]], [[0, 0, 30, 30]]], [[1, 0], [0]]
    results = [
        detections(each, [0.9] * len(each), kind) for each, kind in zip(boxes, labels, strict=True)
    ]
    metric = task().metric()
    nothing = torch.zeros(2)
    metric.update(Scored(results=results, losses=nothing, errors=nothing), batch(boxes, labels))
    found = metric.compute()
    assert found["map50"].value == pytest.approx(1)
    assert found["map"].value == pytest.approx(1)
    details = metric.details()
    assert details["hits"] == 3
    assert sum(details["mistakes"].values()) == 0
    assert details["per_class"]["cat"]["ap50"] == pytest.approx(1)
    assert details["by_size"]["all"]["objects"] == 3


def test_scores_of_nothing():
    metric = task().metric()
    given = batch([[]], [[]])
    metric.update(
        Scored(results=[detections([], [], [])], losses=torch.zeros(1), errors=torch.zeros(1)),
        given,
    )
    assert np.isnan(metric.compute()["map50"].value)
    metric.details()


def test_thresholds_are_those_of_the_best_f1():
    results, truth = [], []
    for place in range(20):
        here = [0.0, 0, 10, 10]
        results.append(detections([here, [50, 50, 60, 60]], [0.8, 0.3], [0, 0]))
        truth.append(torch.tensor([here]) + (100 if place >= 18 else 0))
    labels = [torch.zeros(1, dtype=torch.int64)] * 20
    chosen = best_thresholds(gather_found(results), gather(truth, labels), 2)
    assert 0.3 < chosen[0] <= 0.8
    assert chosen[1] == 0.25  # nothing is known of dogs
    decided = task().decide(results, {"objects": truth, "objects.label": labels})
    assert decided["thresholds"] == list(chosen)


def test_error_of_a_picture_is_its_share_of_wrong_boxes():
    truth = [torch.tensor([[0.0, 0, 10, 10], [20, 20, 40, 40]]), torch.zeros(0, 4)]
    labels = [torch.tensor([0, 1]), torch.zeros(0, dtype=torch.int64)]
    results = [detections([[0, 0, 10, 10], [70, 70, 80, 80]], [0.9, 0.8], [0, 1])] * 1
    results.append(detections([], [], []))
    assert picture_errors(results, truth, labels).tolist() == [0.5, 0.0]


def test_each_kind_of_mistake():
    true = Objects(
        pictures=np.zeros(5, dtype=np.int64),
        labels=np.array([0, 0, 0, 0, 1]),
        boxes=np.array(
            [[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10], [60, 0, 70, 10], [80, 0, 90, 10]],
            dtype=np.float64,
        ),
    )
    rows = [
        ([0, 0, 10, 10], 0, "hit"),
        ([0, 1, 10, 11], 0, "double"),
        ([20, 0, 30, 10], 1, "class"),
        ([45, 0, 55, 10], 0, "place"),
        ([85, 0, 95, 10], 0, "both"),
        ([0, 50, 10, 60], 0, "background"),
    ]
    found = Objects(
        pictures=np.zeros(len(rows), dtype=np.int64),
        labels=np.array([label for _, label, _ in rows]),
        boxes=np.array([box for box, _, _ in rows], dtype=np.float64),
        scores=np.linspace(0.9, 0.4, len(rows)),
    )
    of_found, of_true = kinds(found, true)
    names = ["hit" if code == RIGHT else KINDS[code] for code in of_found]
    assert names == [name for _, _, name in rows]
    assert [KINDS[code] if code >= 0 else "hit" for code in of_true] == [
        *("hit", "class", "place", "missed", "missed")
    ]


def test_no_class_is_refused():
    with pytest.raises(SaccadeError, match="no class"):
        table.create("detection", [Field(name="objects", kind="boxes")])
