"""Classification through the promise: losses, one sigmoid unit, metrics against scikit-learn."""

from __future__ import annotations

import json
import math
import time

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn import metrics

from saccade.errors import SaccadeError
from saccade.ops.intervals import wilson
from saccade.tasks.classification import ClassificationTask
from saccade.types import Batch, Field

FIELD = Field(name="label", kind="label", classes=("cat", "dog", "owl"))
MANY = Field(name="label", kind="label", classes=tuple(f"c{k}" for k in range(10)))
TWO = Field(name="label", kind="label", classes=("no", "yes"))


def task(**options) -> ClassificationTask:
    return ClassificationTask(fields=(FIELD,), **options)


def test_loss_is_torchs_and_missing_labels_count_0(stub, make_batch) -> None:
    chosen = task(label_smoothing=0.1, class_weights=(1.0, 2.0, 3.0))
    model = chosen.build(stub())
    batch = make_batch(label=torch.tensor([0, 2, -1, 1]))
    parts = chosen.loss(model, batch)
    expected = F.cross_entropy(
        model(batch.inputs),
        batch.targets["label"],
        weight=torch.tensor([1.0, 2.0, 3.0]),
        label_smoothing=0.1,
        ignore_index=-1,
        reduction="none",
    )
    assert list(parts) == ["loss"] and torch.allclose(parts["loss"], expected)
    assert parts["loss"][2] == 0


def test_focal_counts_sure_examples_less(stub, make_batch) -> None:
    batch = make_batch(label=torch.tensor([0, 2, 1, 1]))
    model = task().build(stub())
    plain = task().loss(model, batch)["loss"]
    found = task(loss_name="focal", gamma=2.0).loss(model, batch)["loss"]
    assert torch.allclose(found, (1 - (-plain).exp()) ** 2 * plain, atol=1e-6)


def test_answers_are_averaged_over_views(stub, make_batch) -> None:
    batch = make_batch(label=torch.tensor([0, 2, 1, 1]))
    several = task(views="mirror")
    model = several.build(stub()).eval()
    with torch.inference_mode():
        logits = (model(batch.inputs) + model(batch.inputs.flip(-1))) / 2
        expected = logits.softmax(1)
        for results in (several.predict(model, batch), several.evaluate(model, batch).results):
            found = torch.stack([each.probabilities for each in results])
            assert torch.allclose(found, expected, atol=1e-6)
    with pytest.raises(SaccadeError, match="views"):
        task(views="upside down")


def test_auxiliary_heads_enter_training_alone(stub, make_batch) -> None:
    model = task().build(stub(auxiliary=True))
    batch = make_batch(label=torch.tensor([0, 2, 1, 1]))
    parts = task().loss(model, batch)
    logits = model.auxiliary(model.maps(batch.inputs))[0]
    expected = 0.3 * F.cross_entropy(logits, batch.targets["label"], reduction="none")
    assert torch.allclose(parts["loss_auxiliary1"], expected)
    assert list(task().loss(model.eval(), batch)) == ["loss"]


def test_evaluate_in_one_pass_gives_plain_losses(stub, make_batch) -> None:
    chosen = task(label_smoothing=0.3, class_weights=(1.0, 9.0, 9.0))
    model = chosen.build(stub()).eval()
    batch = make_batch(label=torch.tensor([0, 2, -1, 1, 1]))
    with torch.inference_mode():
        scored = chosen.evaluate(model, batch)
        assert model.passes == 1
        logits = model(batch.inputs)
    labels = batch.targets["label"]
    known = labels >= 0
    expected = F.cross_entropy(logits[known], labels[known], reduction="none")
    assert torch.allclose(scored.losses[known], expected)
    assert torch.equal(scored.errors[known], (logits[known].argmax(1) != labels[known]).float())
    assert scored.losses[2].isnan() and scored.errors[2].isnan()
    assert scored.embeddings.shape == (5, 4)
    stacked = torch.stack([result.probabilities for result in scored.results])
    assert torch.allclose(stacked, logits.softmax(1))
    alone = Batch(inputs=batch.inputs, targets={}, indices=batch.indices)
    predicted = chosen.predict(model, alone)
    assert [item.label for item in predicted] == [item.label for item in scored.results]


def test_outputs_are_float32_under_autocast(stub, make_batch) -> None:
    model = task().build(stub()).eval()
    batch = make_batch(label=torch.tensor([0, 2]))
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        scored = task().evaluate(model, batch)
        assert task().loss(model, batch)["loss"].dtype == torch.float32
    assert scored.results[0].probabilities.dtype == torch.float32
    assert scored.losses.dtype == scored.embeddings.dtype == torch.float32


def test_one_sigmoid_unit_is_binary_cross_entropy(stub, make_batch) -> None:
    chosen = ClassificationTask(fields=(TWO,), binary="sigmoid")
    model = chosen.build(stub())
    batch = make_batch(label=torch.tensor([0, 1, 1, -1]))
    units = model(batch.inputs).detach()
    assert units.shape == (4, 1)
    expected = F.binary_cross_entropy_with_logits(
        units[:3, 0], torch.tensor([0.0, 1.0, 1.0]), reduction="none"
    )
    assert torch.allclose(chosen.loss(model, batch)["loss"][:3], expected)
    first = chosen.predict(model, batch)[0]
    assert float(first.probabilities[1]) == pytest.approx(float(units[0, 0].sigmoid()), abs=1e-6)
    assert chosen.evaluate(model, batch).errors[3].isnan()


def test_balanced_weights_come_from_the_training_targets(stub, make_batch) -> None:
    chosen = task(class_weights="balanced")
    batch = make_batch(label=torch.tensor([0, 0, 0, 1, 2, 2, -1]))
    with pytest.raises(SaccadeError, match="fit"):
        chosen.loss(chosen.build(stub()), batch)
    fitted = chosen.fit(batch.targets)
    assert fitted.class_weights == pytest.approx((6 / 9, 2.0, 1.0))
    again = ClassificationTask(fields=(FIELD,), **json.loads(json.dumps(fitted.arguments())))
    assert again == fitted


def test_training_learns_noise(stub, make_batch) -> None:
    model = task().build(stub())
    batch = make_batch(label=torch.tensor([0, 1, 2, 0]))
    optimizer = torch.optim.Adam(model.parameters(), 0.05)
    for _ in range(120):
        optimizer.zero_grad()
        task().loss(model, batch)["loss"].mean().backward()
        optimizer.step()
    assert task().evaluate(model.eval(), batch).errors.sum() == 0


def test_metrics_are_sklearns(measure) -> None:
    chosen = ClassificationTask(fields=(MANY,))
    labels = torch.randint(0, 8, (400,))  # two classes never occur
    outputs = torch.randn(400, 10) + 2 * F.one_hot(labels, 10)
    outputs[:, 9] -= 20  # and one is never predicted either
    labels[:50] = -1
    known = labels >= 0
    metric = measure(chosen, outputs, label=labels)
    found = metric.compute()
    true, guess = labels[known].numpy(), outputs[known].argmax(1).numpy()
    accuracy = metrics.accuracy_score(true, guess)
    assert found["accuracy"].value == pytest.approx(accuracy)
    low, high = wilson(accuracy * 350, 350)
    assert (found["accuracy"].low, found["accuracy"].high) == pytest.approx((low, high))
    assert found["accuracy"].n == 350
    probabilities = outputs[known].softmax(1).double().numpy()
    top5 = metrics.top_k_accuracy_score(true, probabilities, k=5, labels=range(10))
    assert found["top5"].value == pytest.approx(top5)
    assert found["f1"].value == pytest.approx(metrics.f1_score(true, guess, average="macro"))
    details = metric.details()
    expected = metrics.confusion_matrix(true, guess, labels=range(10))
    assert details["confusion"] == expected.tolist()
    per_class = details["per_class"]["c3"]
    row = metrics.precision_recall_fscore_support(true, guess, labels=[3])
    values = [per_class[name]["value"] for name in ("precision", "recall", "f1")]
    assert values == pytest.approx([float(part[0]) for part in row[:3]])
    for name in ("precision", "recall", "f1"):
        assert per_class[name]["low"] < per_class[name]["value"] < per_class[name]["high"]
    assert details["per_class"]["c9"]["recall"]["value"] is None
    json.dumps(details, allow_nan=False)


def test_metric_without_examples_is_unknown() -> None:
    metric = task().metric()
    found = metric.compute()
    assert math.isnan(found["accuracy"].value) and found["accuracy"].n == 0
    assert "top5" not in found
    json.dumps(metric.details(), allow_nan=False)


def test_a_dev_part_of_one_class_all_right(measure) -> None:
    labels = torch.full((20,), 1)
    outputs = torch.randn(20, 3) + 20 * F.one_hot(labels, 3)
    found = measure(task(), outputs, label=labels).compute()
    assert found["f1"].value == 1 and found["f1"].low == pytest.approx(wilson(20, 20)[0])


def test_results_that_are_not_finite_are_wrong(measure) -> None:
    labels = torch.tensor([0, 0, 1, 2])
    outputs = 9.0 * F.one_hot(labels, 3)
    outputs[0] = math.nan
    metric = measure(task(), outputs, label=labels)
    assert task().score(outputs, {"label": labels}).errors.tolist() == [1, 0, 0, 0]
    assert metric.compute()["accuracy"].value == 0.75
    assert metric.details()["per_class"]["cat"]["recall"]["value"] == 0.5


def test_sixty_thousand_examples_are_quick() -> None:
    chosen = ClassificationTask(fields=(MANY,))
    labels = torch.randint(0, 10, (60_000,))
    outputs = torch.randn(60_000, 10) + F.one_hot(labels, 10)
    metric = chosen.metric()
    start = time.perf_counter()
    for rows in torch.arange(60_000).split(500):
        batch = Batch(
            inputs=torch.zeros(500, 1, 1, 1), targets={"label": labels[rows]}, indices=rows
        )
        metric.update(chosen.score(outputs[rows], batch.targets), batch)
    found = metric.compute()
    assert time.perf_counter() - start < 3  # 0.5 s alone on one core
    half = (found["f1"].high - found["f1"].low) / 2
    # accuracy and macro F1 of equally frequent classes have almost the same spread
    assert half == pytest.approx((found["accuracy"].high - found["accuracy"].low) / 2, rel=0.15)


@pytest.mark.parametrize(
    "options",
    [
        {"label_smoothing": 1.0},
        {"label_smoothing": -0.1},
        {"label_smoothing": 2, "loss_name": "focal"},
        {"loss_name": "hinge"},
        {"binary": "tanh"},
        {"class_weights": (1.0, 2.0)},
        {"class_weights": (1.0, 2.0, math.nan)},
    ],
)
def test_options_out_of_range_are_refused(options) -> None:
    with pytest.raises(SaccadeError) as caught:
        task(**options)
    assert caught.value.name == "bad-option"


def test_one_class_is_refused() -> None:
    with pytest.raises(SaccadeError, match="two classes"):
        ClassificationTask(fields=(Field(name="label", kind="label", classes=("a",)),))


def test_weights_may_be_a_tensor_or_array() -> None:
    weights = (1.0, 2.0, 3.0)
    assert task(class_weights=torch.tensor(weights)).class_weights == weights
    assert task(class_weights=np.array(weights)).class_weights == weights
