"""Multi-label: masked losses, thresholds, metrics against scikit-learn."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn import metrics

from saccade.errors import SaccadeError
from saccade.tasks.multilabel import MultiLabelTask
from saccade.types import Field

FIELD = Field(name="labels", kind="labels", classes=("hat", "scarf", "coat"))
NAN = math.nan


def task(**options) -> MultiLabelTask:
    return MultiLabelTask(fields=(FIELD,), **options)


def drawn(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    targets = (torch.rand(count, 3) < torch.tensor([0.5, 0.3, 0.2])).float()
    return 2 * targets - 1 + torch.randn(count, 3), targets


def test_loss_is_torchs_over_known_labels(stub, make_batch) -> None:
    chosen = task(class_weights=(1.0, 2.0, 4.0))
    model = chosen.build(stub())
    targets = torch.tensor([[1.0, 0, 1], [NAN, 1, NAN], [NAN, NAN, NAN]])
    batch = make_batch(labels=targets)
    found = chosen.loss(model, batch)["loss"]
    logits, weights = model(batch.inputs), torch.tensor([1.0, 2.0, 4.0])
    each = F.binary_cross_entropy_with_logits(
        logits, targets.nan_to_num(), pos_weight=weights, reduction="none"
    )
    assert torch.allclose(found, torch.stack([each[0].sum(), each[1, 1], torch.tensor(0.0)]))
    found.sum().backward()
    assert model.fc.weight.grad is not None and bool(model.fc.weight.grad.isfinite().all())


def test_gradient_flows_only_where_labels_are_known(stub, make_batch) -> None:
    model = task().build(stub())
    batch = make_batch(labels=torch.tensor([[1.0, NAN, 0], [0, NAN, NAN]]))
    task().loss(model, batch)["loss"].sum().backward()
    assert bool((model.fc.weight.grad[1] == 0).all())
    assert bool((model.fc.weight.grad[[0, 2]] != 0).any(1).all())


def test_evaluate_gives_plain_losses_and_the_share_of_wrong_labels(stub, make_batch) -> None:
    chosen = task(label_smoothing=0.2, class_weights=(9.0, 9.0, 9.0), thresholds=(0.0, 1.0, 0.5))
    model = chosen.build(stub()).eval()
    targets = torch.tensor([[1.0, 0, 1], [0, 1, NAN], [NAN, NAN, NAN]])
    batch = make_batch(labels=targets)
    scored = chosen.evaluate(model, batch)
    logits = model(batch.inputs).detach()
    expected = F.binary_cross_entropy_with_logits(logits[0], targets[0], reduction="sum")
    assert float(scored.losses[0]) == pytest.approx(float(expected), rel=1e-5)
    assert scored.losses[2].isnan() and scored.errors[2].isnan()
    assert float(scored.errors[1]) == 1.0  # always hat, never scarf
    assert "hat" in scored.results[0].labels and "scarf" not in scored.results[0].labels
    assert model.passes == 2  # one for evaluate, one above


def test_balanced_weights_are_negatives_per_positive() -> None:
    targets = torch.tensor([[1.0, 0, 0], [0, 0, 0], [0, 1, 0], [NAN, 1, 0]])
    fitted = task(class_weights="balanced").fit({"labels": targets})
    assert fitted.class_weights == pytest.approx((2.0, 1.0, 1.0))
    again = MultiLabelTask(fields=(FIELD,), **json.loads(json.dumps(fitted.arguments())))
    assert again == fitted


def test_metrics_are_sklearns(measure) -> None:
    outputs, targets = drawn(300)
    metric = measure(task(), outputs, labels=targets)
    found = metric.compute()
    true, sure = targets.numpy(), outputs.sigmoid().numpy()
    expected = metrics.average_precision_score(true, sure, average="macro")
    assert found["map"].value == pytest.approx(expected, abs=1e-9)
    assert found["f1"].value == pytest.approx(metrics.f1_score(true, sure >= 0.5, average="macro"))
    assert found["accuracy"].value == pytest.approx(metrics.accuracy_score(true, sure >= 0.5))
    for item in found.values():
        assert item.low < item.value < item.high and item.n == 300
    details = metric.details()
    first = metrics.average_precision_score(true[:, 0], sure[:, 0])
    assert details["per_class"]["hat"]["average_precision"] == pytest.approx(first)
    json.dumps(details, allow_nan=False)


def test_missing_labels_and_absent_classes(measure) -> None:
    outputs, targets = drawn(60)
    targets[:, 2] = 0  # nobody wears a coat, and none is seen
    outputs[:, 2] = -9
    targets[::3, 0] = NAN
    targets[5] = NAN
    metric = measure(task(), outputs, labels=targets)
    found = metric.compute()
    aps, f1s, right = [], [], torch.ones(60, dtype=torch.bool)
    for k in (0, 1):
        known = ~targets[:, k].isnan()
        true, sure = targets[known, k].numpy(), outputs[known, k].numpy()
        aps.append(metrics.average_precision_score(true, sure))
        f1s.append(metrics.f1_score(true, sure >= 0))
        right[known] &= torch.from_numpy((sure >= 0) == (true == 1))
    rows = ~targets.isnan().all(1)
    assert found["map"].value == pytest.approx(np.mean(aps))
    assert found["f1"].value == pytest.approx(np.mean(f1s))
    assert found["accuracy"].value == pytest.approx(float(right[rows].float().mean()))
    assert found["map"].n == 59
    coat = metric.details()["per_class"]["coat"]
    assert coat["average_precision"] is None and coat["f1"]["value"] is None


def test_metric_without_positives_is_unknown(measure) -> None:
    found = measure(task(), torch.full((8, 3), -5.0), labels=torch.zeros(8, 3)).compute()
    assert math.isnan(found["map"].value) and found["accuracy"].value == 1
    empty = task().metric().compute()
    assert math.isnan(empty["map"].value) and empty["accuracy"].n == 0


def test_thresholds_chosen_on_dev_raise_f1_and_travel(measure) -> None:
    outputs, targets = drawn(400)
    outputs = outputs - 3  # too shy everywhere
    results = task().decode(outputs)
    decision = task().decide(results, {"labels": targets})
    tuned = task(**json.loads(json.dumps(decision)))
    before = measure(task(), outputs, labels=targets).compute()
    after = measure(tuned, outputs, labels=targets).compute()
    assert after["f1"].value > before["f1"].value + 0.1
    assert after["map"].value == pytest.approx(before["map"].value)
    assert all(threshold < 0.5 for threshold in decision["thresholds"])
    assert "thresholds" not in tuned.arguments() and tuned.decide([], {}) == decision
    assert MultiLabelTask(fields=(FIELD,), **tuned.arguments(), **decision) == tuned


def test_rare_classes_keep_one_half() -> None:
    outputs, targets = drawn(60)
    targets[:, 1] = 0
    targets[:4, 1] = 1
    decision = task().decide(task().decode(outputs), {"labels": targets})
    assert decision["thresholds"][1] == 0.5


def test_thresholds_of_wrong_length_are_refused() -> None:
    with pytest.raises(SaccadeError, match="thresholds: expected 3"):
        task(thresholds=(0.5,))
