"""Localization: the notes' loss by hand, boxes against torchvision, every part that is ignored."""

from __future__ import annotations

import math

import pytest
import torch
from torchvision.ops import box_convert, box_iou

from saccade.errors import SaccadeError
from saccade.models import catalog
from saccade.protocols import Task
from saccade.tasks import table
from saccade.tasks.localization import LocalizationTask
from saccade.types import Batch, Field, Geometry

SIDE = 64
NAN = math.nan


@pytest.fixture
def task() -> LocalizationTask:
    return LocalizationTask(fields=(Field(name="what", kind="box", classes=("cat", "dog")),))


def batch_of(
    boxes: list[list[float]], labels: list[int], *, geometry: Geometry | None = None
) -> Batch:
    return Batch(
        inputs=torch.randn(len(boxes), 3, SIDE, SIDE),
        targets={"what": torch.tensor(boxes), "what.label": torch.tensor(labels)},
        indices=torch.arange(len(boxes)),
        geometry=geometry,
    )


BOXES = [[8.0, 16.0, 40.0, 48.0], [0.0, 0.0, 0.0, 0.0], [NAN] * 4, [0.0, 0.0, 64.0, 64.0]]
LABELS = [1, -1, -1, 0]


def test_is_a_task_in_the_table(task):
    made: Task = table.create("localization", [*task.fields, Field(name="x", kind="label")])
    assert made == task
    with pytest.raises(SaccadeError, match="needs a field of kind box"):
        table.create("localization", [Field(name="x", kind="label")])


def test_the_three_parts_by_hand(task):
    outputs = torch.randn(4, 7)
    parts = task.parts(outputs, batch_of(BOXES, LABELS))
    for row, (box, label) in enumerate(zip(BOXES, LABELS, strict=True)):
        p, bx, by, bw, bh, *classes = outputs[row].tolist()
        chance = 1 / (1 + math.exp(-p))
        there = label >= 0
        logistic = -math.log(chance if there else 1 - chance)
        x1, y1, x2, y2 = (side / SIDE for side in box)
        truth = ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1)
        squared = sum(
            (one - other) ** 2 for one, other in zip((bx, by, bw, bh), truth, strict=True)
        )
        total = sum(map(math.exp, classes))
        known = not math.isnan(box[0])
        expected = {
            "object": logistic if known else 0.0,
            "box": task.box_weight * squared if there else 0.0,
            "class": -math.log(math.exp(classes[label]) / total) if there else 0.0,
        }
        assert {name: part[row].item() for name, part in parts.items()} == pytest.approx(
            expected, rel=1e-5
        )


def test_nothing_but_p_learns_where_there_is_no_object(task):
    outputs = torch.randn(2, 7, requires_grad=True)
    parts = task.parts(outputs, batch_of(BOXES[1:3], LABELS[1:3]))
    sum(part.sum() for part in parts.values()).backward()
    assert outputs.grad is not None
    assert outputs.grad[0, 0] != 0 and not outputs.grad[0, 1:].any()
    assert not outputs.grad[1].any()


def test_results_lie_in_the_picture_and_errors_are_one_minus_iou(task):
    """Pictures of 128 x 96, laid into the input at half their size."""
    matrix = torch.eye(3, dtype=torch.float64).repeat(4, 1, 1)
    matrix[:, 0, 0] = matrix[:, 1, 1] = 0.5
    matrix[:, 1, 2] = 8
    geometry = Geometry(matrix=matrix, size=torch.tensor([[96, 128]] * 4))
    batch = batch_of(BOXES, LABELS, geometry=geometry)
    outputs = torch.rand(4, 7) * 0.5 + 0.25
    outputs[:, 0] = torch.tensor([3.0, -3.0, 3.0, -3.0])
    found = task.decode(outputs, batch)
    in_input = box_convert(outputs[:, 1:5], "cxcywh", "xyxy") * SIDE
    expected = (in_input - torch.tensor([0.0, 8, 0, 8])) * 2
    expected = torch.minimum(expected.clamp(min=0), torch.tensor([128.0, 96, 128, 96]))
    for result, box in zip(found, expected, strict=True):
        torch.testing.assert_close(result.box, box)
    quality = task._quality(found, batch)
    truth = (torch.tensor([BOXES[0]]) - torch.tensor([0.0, 8, 0, 8])) * 2
    assert quality[0].item() == pytest.approx(box_iou(truth, expected[:1]).item())
    assert quality[1:2].tolist() == [1.0] and quality[3].item() == 0.0
    assert found[0].label in task.classes and found[1].label is None


def test_metric(task):
    model = task.build(catalog.create("resnet18"))
    batch = batch_of(BOXES, LABELS)
    scored = task.evaluate(model.eval(), batch)
    assert scored.errors.isnan().tolist() == [False, False, True, False]
    assert scored.losses.isnan().tolist() == [False, False, True, False]
    metric = task.metric()
    metric.update(scored, batch)
    measures = metric.compute()
    kept = [0, 1, 3]
    found = [
        int(result.probabilities.argmax()) if result.score >= 0.5 else -1
        for result in scored.results
    ]
    right = [found[row] == LABELS[row] for row in kept]
    assert measures["accuracy"].value == pytest.approx(sum(right) / 3)
    assert measures["mean_iou"].value == pytest.approx(
        (2 - scored.errors[0].item() - scored.errors[3].item()) / 2
    )
    assert measures["mean_iou"].n == 2 and metric.details()["classes"] == ["cat", "dog"]


@pytest.mark.parametrize("name", ["resnet18", "vgg11", "squeezenet1_1", "mobilenet_v2", "lenet5"])
def test_any_backbone_serves_and_every_weight_learns(task, name):
    channels = 1 if name == "lenet5" else 3
    model = task.build(catalog.create(name, in_channels=channels))
    side = 32 if name == "lenet5" else SIDE
    batch = Batch(
        inputs=torch.randn(2, channels, side, side),
        targets={"what": torch.tensor([[2.0, 4, 20, 30]] * 2), "what.label": torch.tensor([0, 1])},
        indices=torch.arange(2),
    )
    parts = task.loss(model.train(), batch)
    sum(part.mean() for part in parts.values()).backward()
    idle = [key for key, each in model.named_parameters() if each.grad is None]
    assert not idle
    assert not any(key.startswith(("fc.", "classifier.1")) for key, _ in model.named_parameters())


def test_one_picture_is_learned_by_heart(task):
    """The test that head, loss and decoding are wired right."""
    model = task.build(catalog.create("resnet18"))
    batch = batch_of([[10.0, 20, 50, 60], [30.0, 5, 60, 30], [0.0] * 4], [1, 0, -1])
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(40):
        optimizer.zero_grad()
        sum(part.mean() for part in task.loss(model.train(), batch).values()).backward()
        optimizer.step()
    for module in model.modules():  # statistics of the last steps alone
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    task.loss(model, batch)
    scored = task.evaluate(model.eval(), batch)
    assert scored.errors.max() < 0.3
    assert [result.label for result in scored.results] == ["dog", "cat", None]
