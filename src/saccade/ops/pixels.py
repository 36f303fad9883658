"""Losses and counts of masks: every pixel is a question of its own.

Shapes: logits (N, K, H, W), masks (N, H, W) int64 with -1 for pixels that nobody labelled. Losses
are (N,) float32, one number per picture, 0 where no pixel has a label.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def mean_over_pixels(values: Tensor, known: Tensor, weights: Tensor | None = None) -> Tensor:
    """(N, H, W) -> (N,): the mean over known pixels, each counted by its weight."""
    shares = known.to(values.dtype) if weights is None else known * weights
    total = shares.flatten(1).sum(1)
    return (values * shares).flatten(1).sum(1) / total.clamp(min=1e-6)


def cross_entropy(
    logits: Tensor,
    masks: Tensor,
    *,
    class_weights: Tensor | None = None,
    weights: Tensor | None = None,
    smoothing: float = 0.0,
    gamma: float = 0.0,
) -> Tensor:
    """-log softmax(logits)[class], a weighted mean over each picture's known pixels.

    class_weights  (K,);  weights: (N, H, W) of each pixel
    gamma          of the focal factor (1 - p)^gamma (Lin et al. 2017); 0 = plain
    """
    known = masks >= 0
    each = F.cross_entropy(
        logits, masks, ignore_index=-1, reduction="none", label_smoothing=smoothing
    )
    if gamma:
        p = logits.softmax(1).gather(1, masks.clamp(min=0)[:, None])[:, 0]
        each = each * (1 - p).clamp(min=1e-6) ** gamma
    shares = weights
    if class_weights is not None:
        own = class_weights[masks.clamp(min=0)]
        shares = own if weights is None else own * weights
    return mean_over_pixels(each, known, shares)


def dice(logits: Tensor, masks: Tensor, *, smooth: float = 1.0) -> Tensor:
    """1 - Dice of softmax probabilities, a mean over the classes that a picture holds.

    Milletari et al. 2016, https://arxiv.org/abs/1606.04797, equation in section 3, with p and not
    p^2 in the sum. `smooth` pixels are added to both sides, so that tiny classes do not jump.
    """
    known = (masks >= 0)[:, None]
    truth = torch.zeros_like(logits).scatter_(1, masks.clamp(min=0)[:, None], 1.0) * known
    p = logits.softmax(1) * known
    common = (p * truth).flatten(2).sum(2)  # (N, K)
    both = p.flatten(2).sum(2) + truth.flatten(2).sum(2)
    each = 1 - (2 * common + smooth) / (both + smooth)
    present = truth.flatten(2).any(2)
    return (each * present).sum(1) / present.sum(1).clamp(min=1)


def counts(predicted: Tensor, masks: Tensor, num_classes: int) -> Tensor:
    """(N, 3, K) int64 pixels: right, predicted, true, of each class in each picture.

    predicted  (N, H, W) int64; where the mask is -1 nothing counts
    """
    rows = []
    for guess, truth in zip(predicted, masks, strict=True):
        known = truth >= 0
        guess, truth = guess[known], truth[known]
        parts = (guess[guess == truth], guess, truth)
        rows.append(torch.stack([torch.bincount(part, minlength=num_classes) for part in parts]))
    return torch.stack(rows) if rows else torch.zeros(0, 3, num_classes, dtype=torch.int64)


def edges(masks: Tensor) -> Tensor:
    """(N, H, W) -> bool: pixels whose right or lower neighbour is of another class, and those."""
    found = torch.zeros_like(masks, dtype=torch.bool)
    across = masks[:, :, 1:] != masks[:, :, :-1]
    down = masks[:, 1:] != masks[:, :-1]
    found[:, :, 1:] |= across
    found[:, :, :-1] |= across
    found[:, 1:] |= down
    found[:, :-1] |= down
    return found


def boundary_counts(
    predicted: Tensor, masks: Tensor, num_classes: int, *, tolerance: int = 2
) -> Tensor:
    """(N, 4, K) int64 pixels on boundaries of each class: predicted, of those near a true one,
    true, of those near a predicted one.

    tolerance  in pixels (of a square): how far two boundaries may lie apart and be the same.
    Precision and recall of Csurka et al. 2013 ("What is a good evaluation measure for semantic
    segmentation?", BMVC), summed over pictures. Ignored pixels and their edges do not count.
    """
    found = torch.zeros(len(masks), 4, num_classes, dtype=torch.int64)
    for row, (guess, truth) in enumerate(zip(predicted, masks, strict=True)):
        known = truth >= 0
        guess = torch.where(known, guess, -1)
        both = torch.cat([guess[known], truth[known]])
        for index in torch.bincount(both, minlength=1).nonzero()[:, 0].tolist():
            own = torch.stack([guess == index, truth == index])
            lines = edges(own.to(torch.uint8)) & own & known & ~_near(~known, 1)
            near = _near(lines, tolerance)
            found[row, :, index] = torch.stack(
                [
                    lines[0].sum(),
                    (lines[0] & near[1]).sum(),
                    lines[1].sum(),
                    (lines[1] & near[0]).sum(),
                ]
            )
    return found


def _near(lines: Tensor, tolerance: int) -> Tensor:
    """(..., H, W) bool, thickened by `tolerance` to every side."""
    side = 2 * tolerance + 1
    flat = lines.reshape(-1, 1, *lines.shape[-2:]).float()
    # rows first, then columns: as a square, at a fraction of the cost
    wide = F.max_pool2d(flat, (1, side), 1, (0, tolerance))
    return (F.max_pool2d(wide, (side, 1), 1, (tolerance, 0)) > 0).view_as(lines)


def on_grid(mask: Tensor, matrix: Tensor, size: tuple[int, int]) -> Tensor:
    """A picture's mask (h, w) as the network's input sees it: (H, W) int64, -1 beyond the picture.

    matrix  (3, 3) of `types.Geometry`, without rotation;  size: height, width of the input
    """
    lines, inside = [], []
    for axis, place in ((1, 0), (0, 1)):  # y with rows, x with columns
        line = (torch.arange(size[place]) + 0.5 - matrix[axis, 2]) / matrix[axis, axis]
        line = line.floor().long()
        inside.append((line >= 0) & (line < mask.shape[place]))
        lines.append(line.clamp(0, mask.shape[place] - 1))
    seen = mask[lines[0][:, None], lines[1]].long()
    return seen.masked_fill(~(inside[0][:, None] & inside[1]), -1)


AT_ONCE = 1 << 24
"""Numbers that are enlarged at a time, to bound memory with many classes."""


def on_picture(logits: Tensor, matrix: Tensor, size: tuple[int, int]) -> Tensor:
    """The most probable class of every pixel of a picture, from logits of the network's input.

    Args:
        logits: (K, H, W) float32 on the CPU.
        matrix: (3, 3) of `types.Geometry`, without rotation.
        size: height, width of the picture.

    Returns:
        (height, width) uint8, or int16 with more than 256 classes. Logits are interpolated before
        the choice, so that edges stay smooth; what lies beyond the input gets its nearest answer.
    """
    kind = torch.uint8 if len(logits) <= 256 else torch.int16
    scale, start = matrix[[0, 1], [0, 1]], matrix[:2, 2]
    corner = [int(start[1].round()), int(start[0].round())]
    whole = bool((scale == 1).all()) and bool((start == start.round()).all())
    ends = [corner[0] + size[0], corner[1] + size[1]]
    if whole and min(corner) >= 0 and ends[0] <= logits.shape[1] and ends[1] <= logits.shape[2]:
        return logits[:, corner[0] : ends[0], corner[1] : ends[1]].argmax(0).to(kind)
    x = (torch.arange(size[1]) + 0.5) * float(scale[0]) + float(start[0])
    y = (torch.arange(size[0]) + 0.5) * float(scale[1]) + float(start[1])
    x, y = 2 * x / logits.shape[2] - 1, 2 * y / logits.shape[1] - 1
    mask = torch.empty(size, dtype=kind)
    step = max(1, AT_ONCE // (len(logits) * size[1]))
    for top in range(0, size[0], step):
        rows = y[top : top + step]
        grid = torch.stack([x.expand(len(rows), -1), rows[:, None].expand(-1, len(x))], dim=-1)
        seen = F.grid_sample(
            logits[None], grid[None].float(), padding_mode="border", align_corners=False
        )
        mask[top : top + step] = seen[0].argmax(0).to(kind)
    return mask
