from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from saccade.errors import SaccadeError
from saccade.ops.init import initialise, whitening_filters


def layers() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(32, 96, 3), nn.BatchNorm2d(96), nn.Linear(400, 200))


@pytest.mark.parametrize(
    ("name", "conv", "linear"),
    [  # standard deviations written out by hand: fan-in 288 and 400, fan-out 864 and 200
        ("zeros", 0.0, 0.0),
        ("normal", 0.01, 0.01),
        ("lecun", 1 / math.sqrt(288), 0.05),
        ("he", math.sqrt(2 / 288), math.sqrt(2 / 400)),
        ("xavier", math.sqrt(2 / 1152), math.sqrt(2 / 600)),
    ],
)
def test_standard_deviations(name: str, conv: float, linear: float) -> None:
    model = layers()
    initialise(model, name)
    assert model[0].weight.std().item() == pytest.approx(conv, rel=0.02)
    assert model[2].weight.std().item() == pytest.approx(linear, rel=0.02)
    assert not model[0].bias.any() and not model[2].bias.any()
    assert bool((model[1].weight == 1).all())


def test_orthogonal_keeps_lengths() -> None:
    model = layers()
    initialise(model, "orthogonal")
    rows = model[2].weight
    assert torch.allclose(rows @ rows.T, torch.eye(200), atol=1e-5)


def test_dirac_passes_pictures_through() -> None:
    conv = nn.Conv2d(3, 8, 3, padding=1)
    initialise(conv, "dirac")
    images = torch.rand(2, 3, 6, 6)
    assert torch.allclose(conv(images)[:, :3], images)
    assert conv.weight[3:].abs().sum() > 0


def test_kinds_narrow_the_layers() -> None:
    model = layers()
    before = model[2].weight.clone()
    initialise(model, "zeros", kinds=(nn.Conv2d,))
    assert not model[0].weight.any()
    assert torch.equal(model[2].weight, before)


def test_unknown_name_lists_near_ones() -> None:
    with pytest.raises(SaccadeError, match=r"near names: .*xavier"):
        initialise(layers(), "xavir")


def test_whitened_patches_have_unit_covariance() -> None:
    torch.manual_seed(0)
    patches = (torch.randn(4000, 12) @ torch.randn(12, 12)).reshape(-1, 3, 2, 2)
    filters = whitening_filters(patches, eps=1e-8)
    assert filters.shape == (24, 3, 2, 2)
    assert torch.equal(filters[12:], -filters[:12])
    responses = patches.flatten(1) @ filters[:12].flatten(1).T
    assert torch.allclose(responses.T @ responses / 4000, torch.eye(12), atol=1e-2)


def test_whitening_survives_flat_pictures() -> None:
    assert torch.isfinite(whitening_filters(torch.zeros(10, 1, 2, 2))).all()
