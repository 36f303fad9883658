"""What the probe measures, beside plain formulas on networks whose state is known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from saccade.tap import drop_after
from saccade.tasks import table
from saccade.training.device import choose
from saccade.training.health import (
    COLUMNS,
    probe,
    probe_size,
    rows,
    snapshot,
    twins,
    update_ratios,
    variances,
)
from saccade.types import Batch, Field

TASK = table.create("classification", (Field(name="label", kind="label", classes=("a", "b")),))
HARDWARE = choose("cpu", "fp32")


def batch(count: int = 20) -> Batch:
    generator = torch.Generator().manual_seed(0)
    return Batch(
        inputs=torch.randn(count, 1, 6, 6, generator=generator),
        targets={"label": torch.arange(count) % 2},
        indices=torch.arange(count),
    )


def read(model: nn.Module) -> dict[str, dict[str, float]]:
    table_ = probe(TASK.build(table.own(model)), TASK, batch(), HARDWARE)
    names = [
        name
        for name, each in model.named_modules()
        if hasattr(each, "weight") and isinstance(each, nn.Conv2d | nn.Linear)
    ]
    return {
        name: dict(zip(COLUMNS, line, strict=True))
        for name, line in zip(names, table_.tolist(), strict=True)
    }


def conv(act: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), act, nn.Flatten(), nn.Linear(64, 2))


def test_dead_units_are_counted() -> None:
    model = conv(nn.ReLU())
    with torch.no_grad():
        model[0].bias[1] = -100.0
    assert read(model)["0"]["dead"] == 0.25
    assert read(model)["0"]["saturated"] != read(model)["0"]["saturated"]  # not applicable


@pytest.mark.parametrize("act", [nn.Sigmoid(), nn.Tanh()])
def test_saturated_units_are_counted(act: nn.Module) -> None:
    model = conv(act)
    assert read(model)["0"]["saturated"] == 0
    with torch.no_grad():
        model[0].bias[:3] = torch.tensor([50.0, -50.0, 50.0])
    assert read(model)["0"]["saturated"] == 0.75


def test_norms_means_and_gradients_are_those_of_a_plain_pass() -> None:
    model = conv(nn.ReLU())
    found = read(model)
    outputs: list[Tensor] = []
    hidden = model[0](batch().inputs)
    hidden.retain_grad()
    activated = model[1](hidden)
    loss = nn.functional.cross_entropy(model[3](model[2](activated)), batch().targets["label"])
    loss.backward()
    outputs.append(activated)
    assert found["0"]["weight_norm"] == pytest.approx(float(model[0].weight.detach().norm()))
    assert found["0"]["gradient_norm"] == pytest.approx(
        float(model[0].weight.grad.norm()), rel=1e-4
    )
    assert found["0"]["mean"] == pytest.approx(float(activated.detach().mean()), rel=1e-4)
    assert found["0"]["variance"] == pytest.approx(float(activated.detach().var()), rel=1e-4)
    expected = float(hidden.grad.var()) * 20**2
    assert found["0"]["gradient_variance"] == pytest.approx(expected, rel=1e-4)


def test_the_probe_leaves_the_model_as_it_was() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2)
    )
    network = TASK.build(table.own(model)).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    random = torch.get_rng_state()
    probe(network, TASK, batch(), HARDWARE)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert torch.equal(random, torch.get_rng_state())
    assert not any(module._forward_hooks for module in network.modules())


def test_twins_are_units_of_equal_weights() -> None:
    torch.manual_seed(0)
    weight = torch.randn(8, 3, 3, 3)
    assert float(twins(weight)) == 0
    weight[5] = weight[2]
    weight[7] = weight[2]
    assert float(twins(weight)) == 3 / 8
    assert float(twins(torch.zeros(4, 9))) == 1
    assert float(twins(torch.full((4, 9), 0.3))) == 1
    assert float(twins(torch.randn(1, 9))) == 0
    slightly = torch.randn(1, 9) + 0.01 * torch.randn(6, 9)
    assert float(twins(slightly)) == 0


def test_update_ratios() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))
    before = snapshot(model)
    with torch.no_grad():
        model[0].weight.mul_(1.01)
        model[1].weight.zero_()
    assert update_ratios(model, before) == pytest.approx([0.01, 1.0], rel=1e-3)


def test_lines_of_the_file_leave_out_what_does_not_apply() -> None:
    table_ = torch.full((2, len(COLUMNS)), torch.nan).double()
    table_[:, 0] = 1.5
    lines = rows([table_, table_], ["a", "b"])
    assert lines[0] == {"epoch": 0, "layer": "a", "weight_norm": 1.5}
    assert [(line["epoch"], line["layer"]) for line in lines] == [
        (0, "a"),
        (0, "b"),
        (1, "a"),
        (1, "b"),
    ]


def test_variances_of_a_deep_stack_fall_with_sigmoid_and_stay_with_he() -> None:
    def stack(act: type[nn.Module], std: float) -> nn.Sequential:
        torch.manual_seed(0)
        layers: list[nn.Module] = []
        for _ in range(10):
            layers += [nn.Linear(64, 64), act()]
            nn.init.normal_(layers[-2].weight, 0, std)  # type: ignore[arg-type]
        return nn.Sequential(nn.Flatten(), *layers)

    inputs = torch.randn(100, 1, 8, 8)
    he = variances(stack(nn.ReLU, (2 / 64) ** 0.5), inputs)
    sigmoid = variances(stack(nn.Sigmoid, (1 / 64) ** 0.5), inputs)
    assert [each.layer for each in he] == [str(number) for number in range(1, 21, 2)]
    assert 0.1 < he[-1].forward / he[0].forward < 10
    assert 0.1 < he[0].backward / he[-1].backward < 10
    assert sigmoid[0].backward / sigmoid[-1].backward < 1e-8


def test_probe_size() -> None:
    assert [probe_size(count) for count in (5, 100, 6000, 60000)] == [5, 16, 30, 64]


def test_dropout_behind_layers_acts_in_training_alone() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 400, 3), nn.Flatten(), nn.Linear(400, 300))
    names = list(model.state_dict())
    plain = model.eval()(torch.ones(2, 1, 3, 3))
    drop_after(model, {"0": 0.25, "2": 0.5})
    assert torch.equal(model(torch.ones(2, 1, 3, 3)), plain)
    dropped = model.train()(torch.ones(2, 1, 3, 3))
    assert 0.4 < float((dropped == 0).float().mean()) < 0.6
    assert list(model.state_dict()) == names
    with pytest.raises(Exception, match="conv9"):
        drop_after(model, {"conv9": 0.1})
