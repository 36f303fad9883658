"""Several heads: maps once, missing labels masked, each head as its own task alone."""

from __future__ import annotations

import json
import math

import pytest
import torch

from saccade.errors import SaccadeError
from saccade.tasks.classification import ClassificationTask
from saccade.tasks.multilabel import MultiLabelTask
from saccade.tasks.multitask import MultiTask
from saccade.tasks.regression import RegressionTask
from saccade.types import Field

FIELDS = (
    Field(name="animal", kind="label", classes=("cat", "dog", "owl")),
    Field(name="things", kind="labels", classes=("hat", "scarf")),
    Field(name="size", kind="values", classes=("height",)),
)
NAN = math.nan


def some(count: int) -> dict[str, torch.Tensor]:
    return {
        "animal": torch.arange(count) % 3,
        "things": (torch.rand(count, 2) > 0.5).float(),
        "size": torch.randn(count, 1) * 10 + 170,
    }


def partly() -> dict[str, torch.Tensor]:
    """Row 0 has all targets, rows 1 to 3 one each, row 4 none."""
    return {
        "animal": torch.tensor([0, 2, -1, -1, -1]),
        "things": torch.tensor([[1.0, 0], [NAN, NAN], [NAN, 1], [NAN, NAN], [NAN, NAN]]),
        "size": torch.tensor([[180.0], [NAN], [NAN], [150.0], [NAN]]),
    }


def test_every_head_is_its_own_task_alone(stub, make_batch) -> None:
    task = MultiTask(fields=FIELDS, options={"size": {"mean": [170], "std": [10]}})
    model = task.build(stub())
    batch = make_batch(**partly())
    parts = task.loss(model, batch)
    assert model.passes == 1 and list(parts) == ["animal", "things", "size"]
    outputs = model(batch.inputs)
    assert outputs.shape == (5, 6)
    alone = {
        "animal": (ClassificationTask(fields=FIELDS[:1]), outputs[:, :3]),
        "things": (MultiLabelTask(fields=FIELDS[1:2]), outputs[:, 3:5]),
        "size": (RegressionTask(fields=FIELDS[2:], mean=(170,), std=(10,)), outputs[:, 5:]),
    }
    for name, (own, part) in alone.items():
        assert torch.equal(parts[name], own.training_loss(part, batch.targets))
    present = torch.stack([parts[name] != 0 for name in parts], dim=1)
    assert present.tolist() == [
        [True, True, True],
        [True, False, False],
        [False, True, False],
        [False, False, True],
        [False, False, False],
    ]


def test_gradient_flows_only_where_targets_exist(stub, make_batch) -> None:
    task = MultiTask(fields=FIELDS)
    model = task.build(stub())
    targets = some(4)
    targets["animal"][:] = -1
    targets["things"][:, 1] = NAN
    sum(part.sum() for part in task.loss(model, make_batch(**targets)).values()).backward()
    moved = (model.fc.weight.grad != 0).any(1).tolist()
    assert moved == [False, False, False, True, False, True]


def test_evaluate_sums_losses_and_averages_errors_over_present_heads(stub, make_batch) -> None:
    task = MultiTask(fields=FIELDS, weights={"things": 0.5})
    model = task.build(stub()).eval()
    batch = make_batch(**partly())
    scored = task.evaluate(model, batch)
    assert model.passes == 1
    parts = task.loss(model, batch)
    assert torch.allclose(scored.losses[:4], sum(parts.values())[:4], rtol=1e-5)
    assert scored.losses[4].isnan() and scored.errors[4].isnan()
    result = scored.results[3]
    assert float(scored.errors[3]) == pytest.approx(
        abs(float(result.heads["size"].values) - 150), rel=1e-5
    )
    assert set(result.as_dict()) == {"animal", "things", "size"}
    assert task.predict(model, batch)[3].as_dict() == result.as_dict()


def test_auxiliary_heads_have_parts_of_their_own(stub, make_batch) -> None:
    task = MultiTask(fields=FIELDS)
    parts = task.loss(task.build(stub(auxiliary=True)), make_batch(**some(3)))
    assert {"animal", "animal_auxiliary1", "size_auxiliary1"} <= set(parts)


def test_metric_names_heads_and_averages_them(stub, make_batch) -> None:
    task = MultiTask(fields=FIELDS)
    model = task.build(stub()).eval()
    metric, batch = task.metric(), make_batch(**some(30))
    metric.update(task.evaluate(model, batch), batch)
    found = metric.compute()
    assert {"score", "animal/accuracy", "animal/f1", "things/map", "size/mae"} <= set(found)
    shares = [found["animal/accuracy"].value, found["things/map"].value, 0.0]
    assert found["size/r2"].value < 0  # a network that knows nothing of heights
    assert found["score"].value == pytest.approx(sum(shares) / 3)
    assert metric.main == "score" and metric.higher_is_better
    details = metric.details()
    assert details["heads"]["animal"]["classes"] == ["cat", "dog", "owl"]
    json.dumps(details, allow_nan=False)


def test_a_head_without_targets_stays_out_of_the_score(stub, make_batch) -> None:
    task = MultiTask(fields=FIELDS[:2])
    targets = {"animal": torch.tensor([0, 1, 2]), "things": torch.full((3, 2), NAN)}
    model, metric, batch = task.build(stub()).eval(), task.metric(), make_batch(**targets)
    metric.update(task.evaluate(model, batch), batch)
    found = metric.compute()
    assert found["score"].value == pytest.approx(found["animal/accuracy"].value)
    assert math.isnan(MultiTask(fields=FIELDS).metric().compute()["score"].value)


def test_fit_and_decisions_travel_as_json(stub, make_batch) -> None:
    task = MultiTask(fields=FIELDS, options={"animal": {"class_weights": "balanced"}})
    batch = make_batch(**some(40))
    fitted = task.fit(batch.targets)
    results = fitted.evaluate(fitted.build(stub()).eval(), batch).results
    decision = fitted.decide(results, batch.targets)
    assert set(decision["thresholds"]) == {"things"}
    arguments = json.loads(json.dumps({**fitted.arguments(), **decision}))
    again = MultiTask(fields=FIELDS, **arguments)
    assert again.tasks["animal"] == fitted.tasks["animal"]
    assert again.tasks["size"] == fitted.tasks["size"]
    assert again.tasks["things"].thresholds == pytest.approx(decision["thresholds"]["things"])
    assert again.fit(batch.targets).tasks["things"] == again.tasks["things"]


def test_options_that_fit_no_field_are_refused() -> None:
    with pytest.raises(SaccadeError, match="unknown fields colour; there are animal"):
        MultiTask(fields=FIELDS, weights={"colour": 2.0})
    with pytest.raises(SaccadeError, match="unknown option height"):
        MultiTask(fields=FIELDS, options={"size": {"height": 1}})


def test_errors_of_numbers_count_in_deviations_of_their_targets(stub, make_batch) -> None:
    """Centimetres and shares have no mean."""
    task = MultiTask(fields=FIELDS, options={"size": {"mean": [170], "std": [10]}})
    scored = task.evaluate(task.build(stub()).eval(), make_batch(**partly()))
    apart = abs(float(scored.results[3].heads["size"].values) - 150)
    assert float(scored.errors[3]) == pytest.approx(apart / 10, rel=1e-5)
