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
    "alexnet": 64,
    "vgg11_bn": 32,
    "squeezenet1_0": 64,
    "squeezenet1_1": 64,
    "googlenet": 64,
    "inception_v3": 96,
    "densenet121": 64,
    "mobilenet_v2": 64,
    "efficientnet_b0": 64,
    "efficientnet_b5": 64,
}
SHAPES_ONLY = [
    *("resnet34", "resnet101", "resnet152", "vgg11", "vgg13", "vgg16", "vgg19"),
    *("vgg13_bn", "vgg16_bn", "vgg19_bn", "densenet161", "densenet169", "densenet201"),
    *("efficientnet_b1", "efficientnet_b2", "efficientnet_b3", "efficientnet_b4"),
    *("efficientnet_b6", "efficientnet_b7"),
]
WITH_AUXILIARY = ("googlenet", "inception_v3")


def theirs(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # their notes on initialisation
        options: dict[str, Any] = {"weights": None}
        if name in WITH_AUXILIARY:
            options |= {"aux_logits": True, "init_weights": False}
        return getattr(torchvision.models, name)(**options)


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


def test_inception_v4_agrees_with_timm() -> None:
    timm = pytest.importorskip("timm", reason="timm, the only published code at hand, is absent")
    torch.manual_seed(0)
    reference = timm.create_model("inception_v4", pretrained=False, num_classes=10).eval()
    ours = catalog.create("inception_v4", num_classes=10)
    assert isinstance(ours, nn.Module)
    ours.load_state_dict(reference.state_dict())
    images = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        assert torch.allclose(ours.eval()(images), reference(images), atol=1e-4)
