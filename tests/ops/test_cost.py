from __future__ import annotations

import contextlib

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from saccade.models import catalog
from saccade.ops.cost import by_stage, describe, empty, total, training_bytes


class Branches(nn.Module):
    """Two branches of different view, functions instead of modules, one weight used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Conv2d(4, 4, 5, padding=2)
        self.narrow = nn.Conv2d(4, 4, 1)
        self.last = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.narrow(F.relu(self.narrow(x)))
        x = torch.cat([self.wide(x), x], 1)
        x = F.max_pool2d(x, 2)
        return self.last(x.mean((2, 3)))


def test_rows_of_a_users_module_by_hand() -> None:
    rows = describe(Branches(), (4, 8, 8))
    assert [(row.name, row.kind, row.parameters, row.multiply_adds) for row in rows] == [
        ("narrow", "conv", 20, 4 * 64 * 4),
        ("relu", "act", 0, 0),
        ("narrow", "conv", 0, 4 * 64 * 4),
        ("wide", "conv", 404, 4 * 64 * 100),
        ("cat", "join", 0, 0),
        ("max_pool2d", "pool", 0, 0),
        ("mean", "pool", 0, 0),
        ("last", "linear", 27, 24),
    ]
    # 5x5, then 2x2 pooling: 6; the mean over 4 x 4 values two pixels apart: 6 + 3 * 2
    assert [row.receptive_field for row in rows] == [1, 1, 1, 5, 5, 6, 12, 12]
    assert rows[4].output == (8, 8, 8)
    assert rows[4].activation_bytes == 8 * 8 * 8 * 4


def test_receptive_field_is_where_gradients_reach() -> None:
    """The slow way: which input pixels change the middle value of the last map."""
    model = nn.Sequential(
        nn.Conv2d(1, 1, 3, stride=2, padding=1),
        nn.AvgPool2d(3, 2, 1),
        nn.Conv2d(1, 1, 3, dilation=2, padding=2),
    )
    images = torch.zeros(1, 1, 65, 65, requires_grad=True)
    for parameter in model.parameters():
        nn.init.ones_(parameter)
    model(images)[0, 0, 8, 8].backward()
    assert images.grad is not None
    seen = images.grad[0, 0].abs().sum(1).nonzero()
    reach = int(seen.max() - seen.min() + 1)
    assert describe(model, (1, 65, 65))[-1].receptive_field == reach


@pytest.mark.parametrize("name", ["resnet50", "airbench", "convnet"])
def test_multiply_adds_agree_with_torchs_own_counter(name: str) -> None:
    model = catalog.create(name)
    shape = catalog.INPUT[name]
    with torch.device("meta"):
        empty = catalog.create(name)
    assert isinstance(empty, nn.Module)
    with FlopCounterMode(display=False) as counter:
        empty.eval()(torch.zeros(1, *shape, device="meta"))
    rows = describe(model, shape)  # type: ignore[arg-type]
    assert total(rows).multiply_adds == counter.get_total_flops() // 2


def test_stages_add_up_and_the_model_stays_as_it_was() -> None:
    model = catalog.create("resnet18")
    assert isinstance(model, nn.Module)
    rows = describe(model, (3, 64, 64))
    stages = by_stage(rows)
    assert list(stages) == [0, 1, 2, 3, -1]
    assert stages[2].output == (256, 4, 4)
    assert stages[-1].output == (1000,)
    assert sum(stage.parameters for stage in stages.values()) == 11_689_512
    assert model.training
    assert model.fc.weight.device.type == "cpu"


def test_training_bytes_of_one_layer_by_hand() -> None:
    # the second convolution keeps its input for the backward pass (the first one's is the picture),
    # tanh its output
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Tanh(), nn.Conv2d(8, 2, 1))
    assert training_bytes(model, (3, 10, 10)) == 8 * 100 * 4


@pytest.mark.parametrize(
    ("name", "side"),
    [  # Araujo et al. 2019, "Computing receptive fields", table of architectures
        ("alexnet", 195),
        ("vgg16", 212),
        ("mobilenet_v1", 315),
        ("inception_v3", 1311),
        ("resnet18", 435),
    ],
)
def test_receptive_fields_of_the_literature(name: str, side: int) -> None:
    with torch.device("meta"):
        model = catalog.create(name)
    assert isinstance(model, nn.Module)
    stages = by_stage(describe(model, catalog.INPUT[name]))
    last_map = max(stages)
    assert stages[last_map].receptive_field == side


@pytest.mark.parametrize("name", ["resnet18", "densenet121"])
def test_quick_norms_keep_what_torchs_keep(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = empty(lambda: catalog.create(name))  # type: ignore[arg-type, return-value]
    quick = training_bytes(model, (3, 64, 64))
    monkeypatch.setattr("saccade.ops.cost._QuickNorms", contextlib.nullcontext)
    assert quick == training_bytes(model, (3, 64, 64))


def test_vgg16_activations_are_counted_in_three_ways() -> None:
    """The lecture slide that says 96 MB (24 M values) lists 15.2 M with the picture."""
    model = empty(lambda: catalog.create("vgg16"))  # type: ignore[arg-type, return-value]
    rows = describe(model, (3, 224, 224))
    sides = ((64, 224, 2), (128, 112, 2), (256, 56, 3), (512, 28, 3), (512, 14, 3))
    convolutions = sum(channels * side**2 * times for channels, side, times in sides)
    pooled = sum(channels * (side // 2) ** 2 for channels, side, _ in sides)
    slide = [row for row in rows if row.kind in ("conv", "pool", "linear")]
    counted = sum(row.activation_bytes for row in slide) // 4
    assert counted == convolutions + pooled + 4096 + 4096 + 1000
    assert counted + 3 * 224 * 224 == 15_237_608
    # each convolution and the first two dense layers have a ReLU
    assert total(rows).activation_bytes == 4 * (counted + convolutions + 2 * 4096)
    assert training_bytes(model, (3, 224, 224)) == 72_753_152


def test_a_network_without_values_has_the_same_rows() -> None:
    model = catalog.create("squeezenet1_1")
    bare = empty(lambda: catalog.create("squeezenet1_1"))  # type: ignore[arg-type, return-value]
    assert all(each.is_meta for each in bare.state_dict().values())
    assert describe(bare, (3, 64, 64)) == describe(model, (3, 64, 64))  # type: ignore[arg-type]


def test_a_gate_does_not_widen_a_stage() -> None:
    model = empty(lambda: catalog.create("efficientnet_b0"))  # type: ignore[arg-type, return-value]
    # 3 (stride 2) + 3 x 3: by hand 3 + 2 * 2 = 7; the gate of the block pools the whole map
    assert by_stage(describe(model, (3, 224, 224)))[0].receptive_field == 7
