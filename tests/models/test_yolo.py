"""YOLO against the papers' numbers, a loop over cells, and one picture learnt by heart."""

import math

import pytest
import torch
from torch.nn import functional as F

from detecting import BOXES, LABELS, learn, map50, picture
from saccade.errors import SaccadeError
from saccade.models import catalog, yolo
from saccade.ops import grid
from saccade.ops.cost import describe, total
from saccade.protocols import Detector


@pytest.mark.parametrize(
    ("name", "side", "parameters", "multiply_adds"),
    [("yolov2", 608, 50_962_889, 31.47e9), ("yolov3", 416, 61_949_149, 32.93e9)],
)
def test_published_numbers(name, side, parameters, multiply_adds):
    with torch.device("meta"):
        detector = catalog.network(name)
    assert isinstance(detector, Detector)
    assert sum(each.numel() for each in detector.parameters()) == parameters
    assert total(describe(detector, (3, side, side))).multiply_adds == pytest.approx(
        multiply_adds, rel=2e-4
    )


def small(**options):
    torch.manual_seed(0)
    # group norm: batch statistics of a single picture tell nothing
    return catalog.network("yolo", backbone="mobilenet_v2_035", norm="group", **options)


@pytest.mark.parametrize(
    "options",
    [{}, {"rule": "centre", "scales": 1, "anchors": 0}, {"rule": "centre", "scales": 2}],
    ids=["several", "notes", "anchors"],
)
def test_one_picture_is_learnt_by_heart(options):
    detector = small(**options)
    losses = learn(detector, steps=70)
    assert losses[-1] < losses[0] / 3
    assert map50(detector) == pytest.approx(1.0)


def test_every_parameter_gets_a_gradient():
    detector = small()
    detector.new_head(2)
    detector.fit_anchors(BOXES[:, 2:] - BOXES[:, :2])
    parts = detector.training_loss(picture(), [BOXES], [LABELS])
    sum(part.sum() for part in parts.values()).backward()
    assert all(each.grad is not None for each in detector.parameters())


def test_a_picture_without_objects_has_only_objectness():
    detector = small()
    with torch.no_grad():
        parts = detector.training_loss(
            picture(), [torch.zeros(0, 4)], [torch.zeros(0, dtype=torch.int64)]
        )
    assert float(parts["box"]) == float(parts["class"]) == 0
    assert float(parts["object"]) > 0


def test_the_loss_of_the_notes_written_out():
    """Logistic for p everywhere; squares and cross-entropy in the one cell of each centre."""
    detector = small(rule="centre", scales=1, anchors=0)
    detector.new_head(2)
    generator = torch.Generator().manual_seed(1)
    raw = torch.randn(1, 1, 3, 3, 7, generator=generator)
    boxes, labels = torch.tensor([[8.0, 10, 40, 44], [50, 52, 90, 84]]), torch.tensor([0, 1])
    stride = detector.strides[0]
    assert stride == 32
    box = kind = there = 0.0
    cells = {(0, 0): 0, (2, 2): 1}
    for row in range(3):
        for column in range(3):
            answer = raw[0, 0, row, column]
            index = cells.get((row, column))
            p = 1 / (1 + math.exp(-float(answer[4])))
            there -= math.log(p if index is not None else 1 - p)
            if index is None:
                continue
            x1, y1, x2, y2 = boxes[index].tolist()
            wanted = [
                (x1 + x2) / 2 / stride - column,
                (y1 + y2) / 2 / stride - row,
                (x2 - x1) / stride,
                (y2 - y1) / stride,
            ]
            ours = [*answer[:2].sigmoid().tolist(), *answer[2:4].exp().tolist()]
            box += sum((a - b) ** 2 for a, b in zip(ours, wanted, strict=True))
            kind += float(F.cross_entropy(answer[None, 5:], labels[index : index + 1]))
    with torch.no_grad():
        parts = detector.loss_of([raw], [boxes], [labels])
    assert float(parts["object"]) == pytest.approx(there / 2, rel=1e-5)
    assert float(parts["box"]) == pytest.approx(5 * box / 2, rel=1e-5)
    assert float(parts["class"]) == pytest.approx(kind / 2, rel=1e-5)


def test_decoding_undoes_the_targets():
    detector = small(rule="centre", scales=1, anchors=2)
    detector.new_head(2)
    detector.fit_anchors(torch.tensor([[20.0, 40.0], [60.0, 30.0]]))
    box = torch.tensor([[30.0, 20, 90, 50]])
    [answers] = grid.by_centre(
        grid.flatten([box], [torch.tensor([1])]), detector.anchors, detector.strides, [(3, 3)]
    )
    assert (int(answers.row), int(answers.column)) == (1, 1)
    assert detector.anchors[0, int(answers.anchor)].tolist() == pytest.approx([60, 30], rel=0.01)
    raw = torch.full((1, 2, 3, 3, 7), -9.0)
    x, y = (60 / 32) % 1, (35 / 32) % 1
    raw[0, int(answers.anchor), 1, 1] = torch.tensor(
        [math.log(x / (1 - x)), math.log(y / (1 - y)), 0, 0, 9, -9, 9]
    )
    [found] = detector.found([raw], (96, 96), 0.5, 0.6, 10)
    assert found.labels.tolist() == [1]
    assert torch.allclose(found.boxes, box, atol=0.3)


def test_two_objects_at_one_place_collide():
    boxes = [torch.tensor([[10.0, 10, 30, 30], [11, 11, 30, 31], [60, 60, 90, 90]])]
    one = torch.tensor([[[20.0, 20.0]]])
    assert grid.collisions(boxes, one, (32,), [(3, 3)]) == (1, 1)
    shapes = torch.tensor([[[20.0, 20.0], [19.0, 21.0]]])
    assert grid.collisions(boxes, shapes, (32,), [(3, 3)]) == (1, 0)


def test_shapes_can_be_given():
    shapes = [[60, 30], [10, 13], [33, 23], [16, 30], [90, 90], [30, 61]]
    detector = small(anchors=shapes)
    assert detector.num_anchors == 2
    detector.fit_anchors(torch.rand(50, 2) * 90)  # what is given stays
    assert detector.anchors.tolist() == [
        *([[10, 13], [16, 30]], [[33, 23], [60, 30]], [[30, 61], [90, 90]])
    ]
    told = detector.tell([BOXES], (96, 96))
    assert "grid: 12 x 12, 6 x 6, 3 x 3 cells" in told[0]
    assert "10 x 13, 16 x 30; 33 x 23, 60 x 30; 30 x 61, 90 x 90" in told[0]
    assert "0 of 3 objects share their cell" in told[1]
    with pytest.raises(SaccadeError, match="5 shapes for 3 scales"):
        small(anchors=shapes[:5])


def test_several_places_lie_around_the_centre():
    box = torch.tensor([[30.0, 20, 90, 50]])  # centre 60, 35 in cells of 8: 7.5, 4.375
    [answers] = grid.several(
        grid.flatten([box], [torch.tensor([0])]), torch.tensor([[[50.0, 40.0]]]), (8,), [(12, 12)]
    )
    places = set(zip(answers.column.tolist(), answers.row.tolist(), strict=True))
    assert places == {(7, 4), (8, 4), (7, 3)}


def test_unknown_rule_is_refused():
    with pytest.raises(SaccadeError, match="expected centre or several"):
        small(rule="best")


def test_the_head_for_classes_is_all_that_a_detector_takes_out():
    detector = catalog.network("yolo", backbone="resnet18")
    assert isinstance(detector.backbone.fc, torch.nn.Identity)
    assert yolo.build("yolo", backbone=catalog.create("resnet18")).strides == (8, 16, 32)


def test_objects_that_no_anchor_fits_are_told():
    model = catalog.network("yolo", num_classes=2, anchors=[[20, 20]] * 3)
    boxes = [torch.tensor([[0.0, 0.0, 100.0, 20.0], [0.0, 0.0, 30.0, 20.0]])]
    told = model.tell(boxes, (224, 224))
    assert any(line.startswith("1 objects are over 4 times") for line in told)


@pytest.mark.parametrize("side", [48, 400])
def test_yolov2_takes_odd_numbers_of_cells(side):
    model = catalog.network("yolov2", num_classes=2).eval()
    with torch.no_grad():
        (raw,) = model(torch.rand(1, 3, side, side))
    assert raw.shape[2:4] == (side // 32,) * 2


def test_maps_of_one_stride_count_once():
    model = catalog.network("yolo", num_classes=2, backbone="googlenet")
    assert model.strides == (8, 16, 32)
    pyramid = catalog.network("faster_rcnn", num_classes=2, backbone="googlenet")
    assert pyramid.maps_of.strides == (4, 8, 16, 32)
