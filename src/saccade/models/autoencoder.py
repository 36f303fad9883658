"""A convolutional autoencoder around any backbone: it learns from pictures without labels.

Masci et al. 2011, "Stacked Convolutional Auto-Encoders for Hierarchical Feature Extraction"
(https://doi.org/10.1007/978-3-642-21735-7_7). Differs from the paper: the encoder is a whole
backbone trained at once, the decoder enlarges by nearest neighbours before each convolution (Odena
et al. 2016 on checkerboards), and patches of the input are hidden, which the network has to fill in
(Vincent et al. 2008, denoising autoencoders; a plain one learns to copy).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from saccade.protocols import Backbone

NARROWEST = 16
"""Channels of the decoder, at least."""


class Autoencoder(nn.Module):
    """From pictures (N, C, H, W) to pictures again, through the backbone's last map alone.

    hidden  share of the patches that the encoder does not see while training
    patch   side of a patch, in pixels
    """

    def __init__(
        self, encoder: Backbone, *, in_channels: int, hidden: float = 0.5, patch: int = 4
    ) -> None:
        super().__init__()
        assert isinstance(encoder, nn.Module)
        self.encoder: Backbone = encoder
        self.hidden, self.patch = hidden, patch
        width, layers = encoder.channels[-1], list[nn.Module]()
        for _ in range(round(math.log2(encoder.strides[-1]))):
            narrow = max(NARROWEST, width // 2)
            layers += [
                nn.Upsample(scale_factor=2),
                nn.Conv2d(width, narrow, 3, padding=1, bias=False),
                nn.BatchNorm2d(narrow),
                nn.ReLU(),
            ]
            width = narrow
        self.decoder = nn.Sequential(*layers, nn.Conv2d(width, in_channels, 3, padding=1))

    def forward(self, inputs: Tensor) -> Tensor:
        seen = self.hide(inputs) if self.training else inputs
        last = self.encoder.maps(seen)[-1]
        pictures = self.decoder(last)
        return F.interpolate(pictures, size=inputs.shape[2:])

    def hide(self, inputs: Tensor) -> Tensor:
        """The inputs with random patches at 0, the mean of normalised pictures."""
        height, width = (math.ceil(side / self.patch) for side in inputs.shape[2:])
        kept = torch.rand(len(inputs), 1, height, width, device=inputs.device) >= self.hidden
        large = F.interpolate(kept.to(inputs.dtype), scale_factor=self.patch)
        return inputs * large[..., : inputs.shape[2], : inputs.shape[3]]
