"""Where a crop looks in pictures with masks: rare classes stay in sight."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from saccade.data.views import ACROSS, DOWN

SPOTS = 32
"""Pixels remembered of each class in each picture."""


@dataclass(frozen=True, kw_only=True)
class Sight:
    """Pixels of each class in each picture.

    spots  (M, K, SPOTS, 2) int16 y, x on the canvas, in turn where a class has fewer
    there  (M, K) bool: which classes a picture holds
    """

    spots: Tensor
    there: Tensor

    def aim(
        self, rows: Tensor, chance: Tensor, drawn: Tensor, canvas: tuple[int, int], share: float,
        size: tuple[int, int], shift: float,
    ) -> Tensor:  # fmt: skip
        """Random numbers that let some crops look at a pixel of a class, each class alike.

        Args:
            rows: (N,) pictures.
            chance: (N, >= COLOR) of `uniforms`, what `draw` gets.
            drawn: (N, 3) more of them.
            canvas: height, width of stored pictures.
            share: of the crops that are aimed; the others fall anywhere.
            size: height, width of a crop.
            shift: of the augmentation.

        Returns:
            (N, >= COLOR), with other numbers for the place across and down.
        """
        there = self.there[rows]
        counts = there.sum(1)
        aimed = (drawn[:, 0] < share) & (counts > 0)
        turn = (drawn[:, 1].double() * counts).long() + 1
        chosen = (there.cumsum(1) >= turn[:, None]).int().argmax(1)  # the turn-th class there
        spot = (drawn[:, 2].double() * SPOTS).long()
        places = self.spots[rows, chosen, spot].double()  # (N, 2)
        moved = chance.clone()
        for axis, slot in ((0, DOWN), (1, ACROSS)):
            free = max(0.0, canvas[axis] - size[axis]) / 2 + shift * size[axis]
            if free <= 0:
                continue
            wanted = ((places[:, axis] - canvas[axis] / 2) / free + 1) / 2
            wanted = wanted.clamp(0, 1 - 2.0**-24).to(chance.dtype)
            moved[:, slot] = torch.where(aimed, wanted, chance[:, slot])
        return moved


def find_sight(masks: Tensor, rows: Tensor, num_classes: int) -> Sight:
    """Look through masks (M, H, W) once; only `rows` are looked at."""
    spots = torch.zeros(len(masks), num_classes, SPOTS, 2, dtype=torch.int16)
    there = torch.zeros(len(masks), num_classes, dtype=torch.bool)
    width = masks.shape[2]
    generator = torch.Generator().manual_seed(0)
    for row in rows.tolist():
        flat = masks[row].flatten()
        order = torch.randperm(len(flat), generator=generator)
        labels = flat[order]
        counts = torch.bincount(labels[labels >= 0].long(), minlength=num_classes)
        there[row] = counts > 0
        for index in there[row].nonzero()[:, 0].tolist():
            found = order[(labels == index).nonzero()[:SPOTS, 0]]
            found = found[torch.arange(SPOTS) % len(found)]
            spots[row, index] = torch.stack([found // width, found % width], dim=1).short()
    return Sight(spots=spots, there=there)
