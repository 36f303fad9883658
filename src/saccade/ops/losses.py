"""Losses of single examples, masked where a target is missing.

Every function returns (N,) float32: one number per example, 0 where the example has no target, so
that a caller can weight, average and rank examples. Letters: N examples, K classes, T target
values. Missing: label -1; NaN in targets of numbers.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor


@lru_cache(maxsize=64)
def constant(values: tuple[float, ...], device: torch.device) -> Tensor:
    """(len(values),) float32 on `device`, made once: a copy in each step stalls it."""
    with torch.inference_mode(False):  # an inference tensor could not enter a later training step
        return torch.tensor(values, dtype=torch.float32, device=device)


def two_logits(units: Tensor) -> Tensor:
    """One sigmoid unit (N, 1) as two softmax logits (N, 2).

    softmax((0, z)) is (1 - sigmoid(z), sigmoid(z)), so every loss of logits below serves one unit
    too: its cross-entropy is the binary cross-entropy of z.
    """
    return torch.cat((torch.zeros_like(units), units), dim=1)


def cross_entropy(
    logits: Tensor, labels: Tensor, *, weights: Tensor | None = None, smoothing: float = 0.0
) -> Tensor:
    """-log softmax(logits)[label], for logits (N, K) and labels (N,) int64.

    weights    (K,): factor of each class
    smoothing  e in [0, 1): the target is 1 - e + e / K for the label and e / K for the others
    """
    return F.cross_entropy(
        logits, labels, weight=weights, ignore_index=-1, reduction="none", label_smoothing=smoothing
    )


def focal(
    logits: Tensor,
    labels: Tensor,
    *,
    gamma: float,
    weights: Tensor | None = None,
    smoothing: float = 0.0,
) -> Tensor:
    """(1 - p)^gamma times the cross-entropy above, with p = softmax(logits)[label].

    Lin et al. 2017, https://arxiv.org/abs/1708.02002, equation 4, for K classes.
    """
    log_p = logits.log_softmax(dim=1).gather(1, labels.clamp(min=0)[:, None])[:, 0]
    plain = cross_entropy(logits, labels, weights=weights, smoothing=smoothing)
    return _one_minus_exp(log_p) ** gamma * plain


def binary_cross_entropy(
    logits: Tensor,
    targets: Tensor,
    *,
    positive_weights: Tensor | None = None,
    smoothing: float = 0.0,
    gamma: float = 0.0,
) -> Tensor:
    """Sum over an example's known labels of the sigmoid cross-entropy.

    Every label is a question of its own: with the mean, each would be learnt K times slower at the
    same learning rate.

    logits            (N, K);  targets: (N, K) of 0 and 1, NaN missing
    positive_weights  (K,): factor of the loss of each class where its target is 1
    smoothing         e in [0, 1): targets become e / 2 and 1 - e / 2
    gamma             of the focal factor (1 - p)^gamma, p the probability of the true answer
    """
    known = ~targets.isnan()
    answers = torch.where(known, targets, torch.zeros_like(targets))
    smooth = answers * (1 - smoothing) + smoothing / 2
    losses = F.binary_cross_entropy_with_logits(
        logits, smooth, pos_weight=positive_weights, reduction="none"
    )
    if gamma:
        log_p = F.logsigmoid(torch.where(answers > 0.5, logits, -logits))
        losses = losses * _one_minus_exp(log_p) ** gamma
    return torch.where(known, losses, torch.zeros_like(losses)).sum(dim=1)


def squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean over an example's known targets of (output - target)^2, for (N, T) with NaN missing."""
    known = ~targets.isnan()
    return masked_mean(_difference(outputs, targets, known).square(), known)


def huber(outputs: Tensor, targets: Tensor, *, delta: float = 1.0) -> Tensor:
    """Mean over known targets of d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2)."""
    known = ~targets.isnan()
    distance = _difference(outputs, targets, known).abs()
    near = distance.clamp(max=delta)
    return masked_mean(near * (distance - near / 2), known)


def absolute_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean over an example's known targets of |output - target|, for (N, T) with NaN missing."""
    known = ~targets.isnan()
    return masked_mean(_difference(outputs, targets, known).abs(), known)


def masked_mean(values: Tensor, known: Tensor) -> Tensor:
    """(N, K) -> (N,): mean over the columns that are known, 0 where none is."""
    kept = torch.where(known, values, torch.zeros_like(values))
    return kept.sum(dim=1) / known.sum(dim=1).clamp(min=1)


def _difference(outputs: Tensor, targets: Tensor, known: Tensor) -> Tensor:
    return outputs - torch.where(known, targets, outputs.detach().to(targets.dtype))


def _one_minus_exp(log_p: Tensor) -> Tensor:
    # 1 - p may round to 0, where a power below 1 has no finite slope
    return (-torch.expm1(log_p)).clamp(min=1e-6)
