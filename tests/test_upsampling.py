"""Ways to enlarge, against torch's own."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from saccade.models import catalog
from saccade.upsampling import UPSAMPLING, Transposed, max_unpool, mirrored


def test_max_unpool_is_torchs() -> None:
    x = torch.randn(2, 3, 8, 10)
    pooled, positions = F.max_pool2d(x, 2, return_indices=True)
    assert torch.equal(max_unpool(pooled, positions, (8, 10)), F.max_unpool2d(pooled, positions, 2))


@pytest.mark.parametrize("factor", [2, 3, 8])
def test_a_transposed_convolution_begins_as_bilinear(factor: int) -> None:
    layer = Transposed(4, 4, factor=factor)
    x = torch.randn(1, 4, 6, 5)
    wanted = F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)
    found = layer(x)
    assert found.shape == wanted.shape
    inner = slice(factor, -factor)
    assert torch.allclose(found[..., inner, inner], wanted[..., inner, inner], atol=1e-5)


def test_other_channels_begin_without_a_checkerboard() -> None:
    torch.manual_seed(0)
    flat = Transposed(6, 9, factor=2)(torch.ones(1, 6, 8, 8))[..., 2:-2, 2:-2]
    assert flat.std(dim=(2, 3)).max() < 1e-5


def test_mirror_images_however_wide() -> None:
    line = torch.arange(3.0).view(1, 1, 1, 3)
    assert mirrored(line, (0, 4), (0, 4))[0, 0, 0].tolist() == [
        2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0,
    ]  # fmt: skip


@pytest.mark.parametrize("upsampling", UPSAMPLING)
@pytest.mark.parametrize("backbone", ["resnet20", "squeezenet1_1", "lenet5", "convnet"])
def test_a_decoder_over_any_backbone_answers_for_every_pixel(
    backbone: str, upsampling: str
) -> None:
    network = catalog.create(
        "unet", backbone=backbone, in_channels=1, num_classes=3, upsampling=upsampling
    )
    assert network(torch.randn(2, 1, 51, 46)).shape == (2, 3, 51, 46)
