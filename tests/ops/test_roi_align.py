"""Regions of a map against torchvision's walk from sample to sample."""

from __future__ import annotations

import pytest
import torch
from torchvision.ops import roi_align as walked

from saccade.ops.roi_align import roi_align


@pytest.mark.parametrize(("size", "samples"), [(7, 2), (3, 1), (14, 4)])
def test_the_same_numbers_as_torchvision(size: int, samples: int) -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(5, 13, 21, generator=generator, requires_grad=True)
    corner = torch.rand(300, 2, generator=generator) * torch.tensor([24.0, 16.0]) - 2
    extent = torch.rand(300, 2, generator=generator) * 12  # some beyond the rim, some very thin
    regions = torch.cat([corner, corner + extent], 1)
    ours = roi_align(image, regions, size, samples)
    theirs = walked(image[None], [regions], size, sampling_ratio=samples)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    (mine,) = torch.autograd.grad(ours.square().sum(), image)
    (other,) = torch.autograd.grad(theirs.square().sum(), image)
    torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-3)


def test_no_regions_give_nothing() -> None:
    assert roi_align(torch.zeros(4, 8, 8), torch.zeros(0, 4), 7).shape == (0, 4, 7, 7)
