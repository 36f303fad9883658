from __future__ import annotations

import pytest
import torch
from torch import nn

from saccade.errors import SaccadeError
from saccade.tap import Tap, first_non_finite, layer_names


def model() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2))


def test_outputs_and_gradients_equal_autograds() -> None:
    net, inputs = model(), torch.rand(3, 4)
    with Tap(net, ["1"], gradients=True) as tap:
        net(inputs).square().sum().backward()
    inner = net[1](net[0](inputs)).detach().requires_grad_()
    net[2](inner).square().sum().backward()
    assert torch.allclose(tap.outputs["1"], inner)
    assert inner.grad is not None
    assert torch.allclose(tap.gradients["1"], inner.grad)
    assert not net[1]._forward_hooks


def test_unknown_layer_lists_near_names() -> None:
    with pytest.raises(SaccadeError, match="no layer 'layer9'"):
        Tap(model(), ["layer9"])


def test_first_non_finite_names_the_layer() -> None:
    net = model()
    assert first_non_finite(net, torch.rand(3, 4)) is None
    nn.init.constant_(net[2].weight, float("inf"))
    assert first_non_finite(net, torch.rand(3, 4)) == "2"
    assert first_non_finite(net, torch.full((1, 4), float("nan"))) == "inputs"


def test_layer_names_in_order() -> None:
    assert layer_names(model(), (nn.Linear,)) == ["0", "2"]
