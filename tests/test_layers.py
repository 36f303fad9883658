from __future__ import annotations

import pytest
import torch
from torch import nn

from saccade.errors import SaccadeError
from saccade.layers import (
    ACTS,
    NORMS,
    LocallyConnected2d,
    StochasticDepth,
    divisible,
    make_act,
    make_norm,
)
from saccade.ops import cost


@pytest.mark.parametrize("name", ACTS)
def test_acts_keep_shape_and_input(name: str) -> None:
    x = torch.linspace(-2, 2, 24).reshape(2, 3, 2, 2)
    before = x.clone()
    assert make_act(name)(x).shape == x.shape
    assert torch.equal(x, before)


def test_scaled_tanh_maps_ones_to_ones() -> None:
    ones = torch.tensor([-1.0, 1.0])
    assert torch.allclose(make_act("scaled_tanh")(ones), ones, atol=1e-4)


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("channels", [6, 64])
def test_norms_keep_the_shape(name: str, channels: int) -> None:
    x = torch.randn(4, channels, 5, 5)
    assert make_norm(name, channels)(x).shape == x.shape


def test_group_norm_does_not_depend_on_the_batch() -> None:
    x = torch.randn(4, 64, 5, 5)
    norm = make_norm("group", 64)
    assert torch.allclose(norm(x)[:1], norm(x[:1]), atol=1e-6)
    groups = norm(x).reshape(4, 32, -1)
    assert torch.allclose(groups.mean(2), torch.zeros(4, 32), atol=1e-5)


def test_local_norm_equals_the_papers_sum() -> None:
    x = torch.randn(1, 7, 2, 2)
    channel = 3
    around = x[:, channel - 2 : channel + 3].square().sum(1)
    expected = x[:, channel] / (2 + 1e-4 * around) ** 0.75
    assert torch.allclose(make_norm("local", 7)(x)[:, channel], expected)


def test_unknown_names() -> None:
    with pytest.raises(SaccadeError, match="near names: group"):
        make_norm("grup", 4)
    with pytest.raises(SaccadeError, match="no activation"):
        make_act("rellu6")


def test_stochastic_depth_drops_whole_pictures_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    layer = StochasticDepth(0.25)
    out = layer(torch.ones(4000, 2, 2, 2))
    assert out.unique().tolist() == pytest.approx([0, 1 / 0.75])
    assert torch.equal(out.amin((1, 2, 3)), out.amax((1, 2, 3)))
    assert out.mean().item() == pytest.approx(1, abs=0.05)
    assert torch.equal(layer.eval()(torch.ones(3, 1)), torch.ones(3, 1))


def test_divisible_is_mobilenets_rounding() -> None:
    # published channels of MobileNet v2 at 0.35 and 1.4
    assert [divisible(c * 0.35) for c in (32, 24, 96, 320)] == [16, 8, 32, 112]
    assert [divisible(c * 1.4) for c in (32, 24, 64, 320)] == [48, 32, 88, 448]


def test_flat_module_types() -> None:
    assert isinstance(make_norm("none", 3), nn.Identity)


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (1, 2), (2, 1)])
def test_a_locally_connected_layer_with_one_kernel_everywhere_is_the_convolution(
    stride: int, padding: int
) -> None:
    conv = nn.Conv2d(3, 5, 4, stride=stride, padding=padding)
    layer = LocallyConnected2d(3, 5, 4, size=(11, 9), stride=stride, padding=padding)
    layer.share(conv)
    images = torch.randn(2, 3, 11, 9)
    torch.testing.assert_close(layer(images), conv(images), rtol=1e-5, atol=1e-5)
    height, width = conv(images).shape[2:]
    places = height * width
    conv_parameters = sum(each.numel() for each in conv.parameters())
    assert sum(each.numel() for each in layer.parameters()) == places * conv_parameters
    # as many multiply-adds as the convolution, and the same view
    told, of_conv = cost.describe(layer, (3, 11, 9)), cost.describe(conv, (3, 11, 9))
    assert cost.total(told).multiply_adds == cost.total(of_conv).multiply_adds
    assert told[0].receptive_field == of_conv[0].receptive_field == 4


def test_a_locally_connected_layer_shares_nothing() -> None:
    layer = LocallyConnected2d(1, 1, 3, size=(6, 6))
    (out := layer(torch.ones(1, 1, 6, 6)))[0, 0, 1, 2].backward()
    assert out.shape == (1, 1, 4, 4)
    assert layer.weight.grad is not None
    touched = layer.weight.grad.abs().sum((0, 1)).nonzero().tolist()
    assert touched == [[1, 2]]
    with pytest.raises(SaccadeError, match="has weights for pictures of"):
        layer(torch.ones(1, 1, 7, 6))
