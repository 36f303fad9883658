"""Where torchvision has the network, its state dict loads unchanged and the logits agree."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
import torchvision
from torch import nn

from saccade.models import catalog

RUN = {  # numbers for one variant of each block, at an input that reaches every layer
    "resnet18": 64,
    "resnet50": 64,
}
SHAPES_ONLY = ["resnet34", "resnet101", "resnet152"]


def theirs(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # their notes on initialisation
        return getattr(torchvision.models, name)(weights=None)


@pytest.mark.parametrize("name", RUN)
def test_logits_agree(name: str) -> None:
    torch.manual_seed(0)
    reference, ours = theirs(name).eval(), catalog.create(name)
    assert isinstance(ours, nn.Module)
    for module in reference.modules():  # batch norms that do something
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.8, 1.2)
    ours.load_state_dict(reference.state_dict())
    images = torch.randn(2, 3, RUN[name], RUN[name])
    with torch.no_grad():
        assert torch.allclose(ours.eval()(images), reference(images), atol=1e-4)


@pytest.mark.parametrize("name", SHAPES_ONLY)
def test_state_dicts_have_the_same_names_and_shapes(name: str) -> None:
    with torch.device("meta"):
        reference, ours = theirs(name), catalog.create(name)
    assert isinstance(ours, nn.Module)
    expected = {key: value.shape for key, value in reference.state_dict().items()}
    assert {key: value.shape for key, value in ours.state_dict().items()} == expected
