from __future__ import annotations

import pytest
import torch

from saccade.models.airbench import Airbench


def make(in_channels: int = 3) -> Airbench:
    torch.manual_seed(0)
    return Airbench(widths=(32, 64, 64), num_classes=10, in_channels=in_channels)


def test_whitened_stem_has_uncorrelated_responses() -> None:
    model = make()
    images = torch.randn(64, 1, 16, 16) + 0.2 * torch.randn(64, 3, 16, 16)  # channels agree mostly
    model.whiten(images)
    responses = torch.nn.functional.conv2d(images, model.whitening.weight[:12])
    flat = responses.transpose(0, 1).flatten(1)
    covariance = flat @ flat.T / flat.shape[1]
    assert torch.allclose(covariance, torch.eye(12), atol=0.05)
    assert not model.whitening.weight.requires_grad
    assert model.whitening.bias is not None and model.whitening.bias.requires_grad


@pytest.mark.parametrize("size", [8, 12, 28, 32, 64])
def test_small_pictures_of_any_size(size: int) -> None:
    assert make(1).eval()(torch.randn(2, 1, size, size)).shape == (2, 10)


def test_maps_of_32_pixels_are_the_published_sizes() -> None:
    sizes = [each.shape[2] for each in make().maps(torch.randn(2, 3, 32, 32))]
    assert sizes == [15, 7, 3]
