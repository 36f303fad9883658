"""Mixup and cutmix: a batch of mixtures from a batch of pictures, keyed by (seed, epoch, step).

Mixup: Zhang and others 2018, https://arxiv.org/abs/1710.09412, inputs share * a + (1 - share) * b.
Cutmix: Yun and others 2019, https://arxiv.org/abs/1905.04899, a rectangle of b laid on a. Targets
are not mixed: both travel with the batch (`types.Mix`), and a task adds up the two losses by the
shares, which for cross-entropy is the same as mixed targets and works for any other loss as well.
As published, one share and one rectangle for the whole batch; pairs come from a permutation of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from saccade.data.augment import Augment
from saccade.data.uniforms import permutation
from saccade.types import Batch, Mix

FEW_STEPS = 1 << 24
"""More than the steps of any epoch, so that epoch and step make one number."""


def mix(batch: Batch, augment: Augment, *, seed: int, epoch: int, step: int) -> Batch:
    """The batch mixed as `augment` says; itself where it says nothing or there is no pair."""
    if len(batch) < 2 or not (augment.mixup or augment.cutmix):
        return batch
    moment = epoch * FEW_STEPS + step
    key = np.array([seed, moment], dtype=np.int64).astype(np.uint64)
    draw = np.random.Generator(np.random.Philox(key=key))
    partner = permutation(seed, -1 - moment, len(batch))
    both = augment.mixup > 0 and augment.cutmix > 0
    if (draw.random() < 0.5) if both else bool(augment.mixup):
        share = float(draw.beta(augment.mixup, augment.mixup))
        inputs = _laid_over(batch.inputs, partner, share)
    else:
        inputs, share = _pasted(batch.inputs, partner, draw, augment.cutmix)
    shares = torch.full((len(batch),), share, device=batch.inputs.device)
    return replace(
        batch,
        inputs=inputs,
        weights=_weights(batch.weights, partner, share),
        mix=Mix(targets=_picked(batch.targets, partner), share=shares),
    )


def _laid_over(inputs: Tensor, partner: Tensor, share: float) -> Tensor:
    return torch.lerp(inputs[partner.to(inputs.device)], inputs, share)


def _pasted(
    inputs: Tensor, partner: Tensor, draw: np.random.Generator, strength: float
) -> tuple[Tensor, float]:
    """A rectangle of the partner, of about 1 - Beta of the area; and the share that is left."""
    height, width = inputs.shape[-2:]
    side = np.sqrt(1 - draw.beta(strength, strength))
    center = draw.random(2) * (height, width)
    top, left = np.clip(center - side * np.array((height, width)) / 2, 0, (height, width))
    bottom, right = np.clip(center + side * np.array((height, width)) / 2, 0, (height, width))
    rows, columns = slice(round(top), round(bottom)), slice(round(left), round(right))
    mixed = inputs.clone()
    mixed[..., rows, columns] = inputs[partner.to(inputs.device)][..., rows, columns]
    area = (rows.stop - rows.start) * (columns.stop - columns.start)
    return mixed, 1 - area / (height * width)


def _picked(targets: Mapping[str, Any], rows: Tensor) -> dict[str, Any]:
    return {
        name: value[rows.to(value.device)]
        if isinstance(value, Tensor)
        else [value[row] for row in rows.tolist()]
        for name, value in targets.items()
    }


def _weights(weights: Tensor | None, partner: Tensor, share: float) -> Tensor | None:
    """A mixture weighs what its two examples weigh, by their shares."""
    if weights is None:
        return None
    return share * weights + (1 - share) * weights[partner.to(weights.device)]
