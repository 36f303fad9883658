"""Masks as they are written down: small pictures, and how many things they show."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from saccade.data.dataset import Dataset
from saccade.ops.cells import components
from saccade.ops.pixels import on_grid
from saccade.types import Batch, Scored, Segmentation

SIDE = 512
"""Longer side of a mask that is kept, at most."""

SMALLEST = 4
"""Pixels of the smallest thing that is counted."""


@dataclass
class MaskRecords:
    """Collects predicted and true masks of scored batches, on the network's input."""

    predicted: list[bytes] = field(default_factory=list)
    true: list[bytes] = field(default_factory=list)
    things: list[int] = field(default_factory=list)

    def add(self, scored: Scored, batch: Batch, name: str) -> None:
        """Name: of the field of masks."""
        truths = batch.targets[name].cpu()
        size = (truths.shape[1], truths.shape[2])
        step = -(-max(size) // SIDE)
        for row, (result, truth) in enumerate(zip(scored.results, truths, strict=True)):
            guess = result.mask.long()
            self.things.append(count_things(guess.numpy() > 0))
            if batch.geometry is not None:
                guess = on_grid(guess, batch.geometry.matrix[row], size)
            self.predicted.append(_png(guess.numpy()[::step, ::step]))
            self.true.append(_png(truth.numpy()[::step, ::step]))

    def columns(self, targets: list[Any], dataset: Dataset) -> dict[str, list[Any]]:
        """mask, true_mask: PNG, 0 ignored or beyond, else class + 1; things where instances are.

        targets: of the examples, a mask's path each
        """
        table: dict[str, list[Any]] = {"mask": self.predicted, "true_mask": self.true}
        counted = getattr(dataset.source, "instances", None)
        if counted is not None:
            known = [counted(target) if isinstance(target, str) else None for target in targets]
            if any(count is not None for count in known):
                table |= {"things": self.things, "true_things": known}
        return table


def mask_field(scored: Scored, batch: Batch) -> str | None:
    """The name of the field that the results are masks of; None where they are no masks."""
    if not scored.results or not isinstance(scored.results[0], Segmentation):
        return None
    masks = [name for name, value in batch.targets.items() if getattr(value, "ndim", 0) == 3]
    return masks[0] if masks else None


def count_things(mask: np.ndarray) -> int:
    """Connected pieces of (H, W) bool that are no specks."""
    numbers, _ = components(mask)
    return int((np.bincount(numbers.ravel())[1:] >= SMALLEST).sum())


def _png(mask: np.ndarray) -> bytes:
    file = io.BytesIO()
    kind = np.uint8 if mask.max(initial=0) < 255 else np.uint16
    Image.fromarray((mask + 1).astype(kind)).save(file, "PNG", compress_level=3)
    return file.getvalue()
