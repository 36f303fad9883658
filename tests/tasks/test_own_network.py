"""A user's plain module: trains, evaluates and predicts like ours, or is told what is wrong."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

from saccade.errors import SaccadeError
from saccade.protocols import Backbone
from saccade.tasks import table
from saccade.tasks.own import OwnModule, as_backbone
from saccade.types import Field

LABEL = Field(name="label", kind="label", classes=("cat", "dog", "owl"))
FIELDS = {
    "classification": (LABEL, torch.tensor([0, 1, 2, -1])),
    "multilabel": (
        Field(name="labels", kind="labels", classes=("a", "b", "c")),
        torch.tensor([[1.0, 0, 0], [0, 1, 1], [1, 1, 0], [0, 0, 0]]),
    ),
    "regression": (
        Field(name="values", kind="values", classes=("x", "y", "z")),
        torch.randn(4, 3, generator=torch.Generator().manual_seed(0)),
    ),
}


def plain(outputs: int = 3) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.Tanh(), nn.Linear(8, outputs))


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("head", [None, "3"])
def test_trains_evaluates_and_predicts(make_batch, name, head) -> None:
    field, targets = FIELDS[name]
    task = table.create(name, [field]).fit({field.name: targets})
    network = OwnModule(plain(3 if head is None else 100), head=head)
    assert isinstance(network, Backbone)
    model = task.build(network)
    batch = make_batch(**{field.name: targets})
    optimizer = torch.optim.Adam(model.parameters(), 0.05)
    before = task.loss(model, batch)["loss"].mean().item()
    for _ in range(60):
        optimizer.zero_grad()
        task.loss(model, batch)["loss"].mean().backward()
        optimizer.step()
    assert task.loss(model, batch)["loss"].mean().item() < before / 2
    scored = task.evaluate(model.eval(), batch)
    assert scored.embeddings.shape == (4, 3 if head is None else 8)
    assert len(task.predict(model, batch)) == 4
    assert torch.equal(model(batch.inputs), model.classify(model.maps(batch.inputs)[-1]))


def test_a_plain_module_is_wrapped_and_a_backbone_is_not(stub) -> None:
    backbone = stub()
    assert as_backbone(backbone) is backbone
    wrapped = as_backbone(plain())
    assert as_backbone(wrapped) is wrapped
    with pytest.raises(SaccadeError, match="found str"):
        as_backbone("resnet18")


def test_weights_of_a_closed_module_stay(make_batch) -> None:
    module = plain()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    table.create("classification", [LABEL]).build(table.own(module))
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())


def test_wrong_number_of_outputs_tells_what_to_do(make_batch) -> None:
    task = table.create("classification", [LABEL])
    model = task.build(table.own(plain(100)))
    with pytest.raises(SaccadeError, match=r"gives 100 outputs, the task needs 3.*head='3'"):
        task.loss(model, make_batch(label=torch.tensor([0, 1])))


def test_a_tuple_is_refused(make_batch) -> None:
    class Pair(nn.Module):
        def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return inputs, inputs

    with pytest.raises(SaccadeError, match="Pair returns tuple"):
        as_backbone(Pair())(torch.zeros(1, 1, 2, 2))


@pytest.mark.parametrize("head", ["", "2", "nothing", "0.1"])
def test_a_head_that_is_no_linear_layer_is_refused(head) -> None:
    with pytest.raises(SaccadeError, match="linear layers are: 1, 3"):
        OwnModule(plain(), head=head)


def test_one_output_without_its_axis(make_batch) -> None:
    class Flat(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(36, 1)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return self.fc(inputs.flatten(1))[:, 0]

    task = table.create("regression", [Field(name="v", kind="values", classes=("x",))])
    model = task.build(table.own(Flat()))
    assert task.loss(model, make_batch(v=torch.ones(3, 1)))["loss"].shape == (3,)


def test_a_network_of_torchvision_gets_a_head_of_the_tasks_size() -> None:
    task = table.create("classification", [LABEL])
    model = task.build(OwnModule(torchvision.models.shufflenet_v2_x0_5(), head="fc")).eval()
    inputs = torch.zeros(2, 3, 64, 64)
    assert model(inputs).shape == (2, 3) and model.embed(model.maps(inputs)[-1]).shape == (2, 1024)
