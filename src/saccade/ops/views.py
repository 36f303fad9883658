"""One picture seen in several ways, whose answers are averaged (test-time augmentation)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

VIEWS = ("plain", "mirror", "shift", "mirror+shift")
"""plain: the picture alone; mirror: and its mirror image; shift: and two copies moved by a pixel
along the diagonal, as airbench94 does (Jordan 2024, arXiv 2404.00498, section 3.5)."""


def views_of(inputs: Tensor, which: str) -> list[Tensor]:
    """Inputs (N, C, H, W) -> one to six tensors of that shape, `inputs` first."""
    views = [inputs]
    if "shift" in which:
        height, width = inputs.shape[-2:]
        padded = F.pad(inputs, (1, 1, 1, 1), "replicate")
        views += [
            padded[..., :height, :width],
            padded[..., 2 : 2 + height, 2 : 2 + width],
        ]
    if "mirror" in which:
        views += [view.flip(-1) for view in views]
    return views
