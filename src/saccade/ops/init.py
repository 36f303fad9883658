"""How weights begin: the notes' initialisations by name, and filters that whiten patches."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from saccade.errors import unknown_name

WEIGHTED = (
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
    nn.Linear,
)


def _fans(weight: Tensor) -> tuple[int, int]:
    """Inputs that reach one output unit, outputs that one input unit reaches."""
    window = math.prod(weight.shape[2:])
    return weight.shape[1] * window, weight.shape[0] * window


def _zeros(weight: Tensor) -> None:
    weight.zero_()


def _normal(weight: Tensor) -> None:
    weight.normal_(0, 0.01)


def _lecun(weight: Tensor) -> None:
    weight.normal_(0, 1 / math.sqrt(_fans(weight)[0]))


def _he(weight: Tensor) -> None:
    weight.normal_(0, math.sqrt(2 / _fans(weight)[0]))


def _xavier(weight: Tensor) -> None:
    weight.normal_(0, math.sqrt(2 / sum(_fans(weight))))


def _orthogonal(weight: Tensor) -> None:
    if weight.device.type != "meta":
        nn.init.orthogonal_(weight)


def _dirac(weight: Tensor) -> None:
    """Pass the first channels through; what exceeds them keeps He's random filters."""
    _he(weight)
    if weight.ndim > 2:
        same = min(weight.shape[0], weight.shape[1])
        nn.init.dirac_(weight[:same])


INITS: dict[str, Callable[[Tensor], None]] = {
    "zeros": _zeros,
    "normal": _normal,
    "lecun": _lecun,
    "he": _he,
    "xavier": _xavier,
    "orthogonal": _orthogonal,
    "dirac": _dirac,
}
"""zeros: the notes' failure to show; normal: 0.01 N(0, 1); lecun: variance 1 / n; he: 2 / n;
xavier: 2 / (n_in + n_out); orthogonal; dirac: identity where channels allow it."""


@torch.no_grad()
def initialise(
    model: nn.Module, name: str, *, kinds: tuple[type[nn.Module], ...] = WEIGHTED
) -> None:
    """Draw the weights of convolutions and linear layers anew; their biases become 0.

    `kinds` narrows the layers concerned. Normalisation layers keep scale 1 and shift 0.
    """
    if name not in INITS:
        raise unknown_name("initialisation", name, INITS)
    for module in model.modules():
        if isinstance(module, kinds):
            weight, bias = module.weight, module.bias
            assert isinstance(weight, Tensor)
            INITS[name](weight)
            if isinstance(bias, Tensor):
                bias.zero_()


@torch.no_grad()
def whitening_filters(patches: Tensor, *, eps: float = 5e-4) -> Tensor:
    """Filters whose responses to the patches have about unit variance and no correlation.

    patches (N, C, h, w), normalised pixels -> (2 * C * h * w, C, h, w): the principal axes, each
    divided by its standard deviation, then their negatives. Largest variance first (Jordan 2024,
    section 3.1, https://arxiv.org/abs/2404.00498). `eps` bounds the gain on flat directions.
    """
    flat = patches.flatten(1).double()
    covariance = flat.T @ flat / len(flat)
    variances, axes = torch.linalg.eigh(covariance)
    filters = (axes / (variances.clamp(min=0) + eps).sqrt()).T.flip(0)
    filters = filters.reshape(-1, *patches.shape[1:]).to(patches.dtype)
    return torch.cat([filters, -filters])
