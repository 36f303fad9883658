from __future__ import annotations

import pytest
import torch
from torch import nn

from saccade.errors import SaccadeError
from saccade.layers import ACTS, NORMS, StochasticDepth, divisible, make_act, make_norm


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
