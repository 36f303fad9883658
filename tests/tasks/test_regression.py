"""Regression: standardised inside, the user's units outside, metrics against scikit-learn."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn import metrics

from saccade.errors import SaccadeError
from saccade.tasks.regression import RegressionTask, target_statistics
from saccade.types import Field

AGE = Field(name="values", kind="values", classes=("age",))
BOTH = Field(name="values", kind="values", classes=("age", "income"))
NAN = math.nan


def drawn(count: int) -> torch.Tensor:
    return torch.randn(count, 2) * torch.tensor([10.0, 20_000.0]) + torch.tensor([40.0, 5e4])


def test_statistics_leave_out_what_is_missing() -> None:
    values = torch.tensor([[1.0, 7, NAN], [3, 7, NAN], [NAN, 7, NAN]])
    mean, std = target_statistics(values)
    assert mean == (2.0, 7.0, 0.0) and std == (1.0, 1.0, 1.0)
    table = drawn(500)
    mean, std = target_statistics(table)
    assert mean == pytest.approx(table.double().mean(0).tolist())
    assert std == pytest.approx(table.double().std(0, correction=0).tolist())


@pytest.mark.parametrize(("loss_name", "function"), [("mse", F.mse_loss), ("huber", F.huber_loss)])
def test_loss_is_torchs_on_standardised_targets(stub, make_batch, loss_name, function) -> None:
    values = drawn(4)
    values[0, 1] = NAN
    values[1] = NAN
    chosen = RegressionTask(fields=(BOTH,), loss_name=loss_name).fit({"values": drawn(99)})
    model = chosen.build(stub())
    batch = make_batch(values=values)
    found = chosen.loss(model, batch)["loss"]
    standard = (values - torch.tensor(chosen.mean)) / torch.tensor(chosen.std)
    each = function(model(batch.inputs), standard.nan_to_num(), reduction="none")
    expected = torch.stack([each[0, 0], torch.tensor(0.0), each[2].mean(), each[3].mean()])
    assert torch.allclose(found, expected, atol=1e-6)
    found.sum().backward()
    assert bool(model.fc.weight.grad.isfinite().all())


def test_results_and_errors_are_in_the_users_units(stub, make_batch) -> None:
    values = drawn(5)
    values[1, 0] = NAN
    values[2] = NAN
    chosen = RegressionTask(fields=(BOTH,), mean=(40, 5e4), std=(10, 2e4))
    model = chosen.build(stub()).eval()
    batch = make_batch(values=values)
    scored = chosen.evaluate(model, batch)
    expected = model(batch.inputs).detach() * torch.tensor([10.0, 2e4]) + torch.tensor([40.0, 5e4])
    stacked = torch.stack([result.values for result in scored.results])
    assert torch.allclose(stacked, expected)
    assert float(scored.errors[0]) == pytest.approx(
        float((expected[0] - values[0]).abs().mean()), rel=1e-5
    )
    assert float(scored.errors[1]) == pytest.approx(
        float((expected - values)[1, 1].abs()), rel=1e-5
    )
    assert scored.errors[2].isnan() and scored.losses[2].isnan()
    assert chosen.predict(model, batch)[0].as_dict()["values"].keys() == {"age", "income"}


def test_large_targets_are_learnt_thanks_to_their_scale(stub, make_batch) -> None:
    batch = make_batch(values=torch.tensor([[1e6], [2e6], [3e6], [1.5e6]]))
    chosen = RegressionTask(fields=(AGE,)).fit(batch.targets)
    model = chosen.build(stub())
    optimizer = torch.optim.Adam(model.parameters(), 0.05)
    for _ in range(150):
        optimizer.zero_grad()
        chosen.loss(model, batch)["loss"].mean().backward()
        optimizer.step()
    assert float(chosen.evaluate(model.eval(), batch).errors.mean()) < 2e5


def test_metrics_are_sklearns(measure) -> None:
    values = drawn(250)
    chosen = RegressionTask(fields=(BOTH,)).fit({"values": values})
    noisy = values + torch.randn(250, 2) * torch.tensor([5.0, 9e3])
    outputs = (noisy - torch.tensor(chosen.mean)) / torch.tensor(chosen.std)
    metric = measure(chosen, outputs, values=values)
    found = metric.compute()
    true, guess = values.double().numpy(), noisy.double().numpy()
    for name, function in (
        ("mae", metrics.mean_absolute_error),
        ("rmse", metrics.root_mean_squared_error),
        ("r2", metrics.r2_score),
    ):
        assert found[name].value == pytest.approx(function(true, guess), rel=1e-4)
        assert found[name].low < found[name].value < found[name].high
    assert metric.main == "r2" and metric.higher_is_better
    rows = metric.details()["per_target"]
    expected = metrics.mean_absolute_error(true, guess, multioutput="raw_values")
    assert [rows[name]["mae"]["value"] for name in ("age", "income")] == pytest.approx(
        expected.tolist(), rel=1e-4
    )
    json.dumps(metric.details(), allow_nan=False)


def test_missing_targets_and_a_constant_one(measure) -> None:
    values = torch.tensor([[1.0, 7], [2, 7], [NAN, 7], [NAN, NAN], [4, NAN]])
    outputs = torch.tensor([[1.5, 7], [2, 8], [0, 7], [0, 0], [5, 0]])
    chosen = RegressionTask(fields=(BOTH,))
    metric = measure(chosen, outputs, values=values)
    found = metric.compute()
    assert found["mae"].value == pytest.approx(np.mean([0.5, 1 / 3])) and found["mae"].n == 4
    assert found["r2"].value == pytest.approx(metrics.r2_score([1, 2, 4], [1.5, 2, 5]))
    assert metric.details()["per_target"]["income"]["r2"]["value"] is None


def test_one_target_is_judged_by_its_error(measure) -> None:
    chosen = RegressionTask(fields=(AGE,))
    metric = measure(chosen, torch.tensor([[1.0]]), values=torch.tensor([[3.0]]))
    assert metric.main == "mae" and not metric.higher_is_better
    found = metric.compute()
    assert found["mae"].value == 2 and math.isnan(found["r2"].value)
    assert math.isnan(chosen.metric().compute()["mae"].value)


def test_a_result_that_is_not_finite_spoils_the_mean(measure) -> None:
    outputs = torch.tensor([[NAN], [2.0]])
    found = measure(RegressionTask(fields=(AGE,)), outputs, values=torch.ones(2, 1)).compute()
    assert math.isnan(found["mae"].value)


def test_arguments_travel_as_json() -> None:
    fitted = RegressionTask(fields=(BOTH,), loss_name="huber").fit({"values": drawn(20)})
    again = RegressionTask(fields=(BOTH,), **json.loads(json.dumps(fitted.arguments())))
    assert again == fitted and again.fit({"values": drawn(20)}) == fitted


@pytest.mark.parametrize("options", [{"std": (0.0,)}, {"mean": (1.0, 2.0)}, {"loss_name": "l1"}])
def test_options_out_of_range_are_refused(options) -> None:
    with pytest.raises(SaccadeError):
        RegressionTask(fields=(AGE,), **options)
