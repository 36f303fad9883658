"""A detector run over large pictures in tiles: small things stay as large as in training."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from saccade.errors import SaccadeError
from saccade.ops.tiles import merge, tiles
from saccade.predict import Prediction, Predictor
from saccade.protocols import Selects
from saccade.types import Detections

OVERLAP = 4
"""Of two tiles: one of so many parts of their side. Things up to that size lie whole in a tile."""

EDGE = 0.01
"""Of a tile's side: a box that ends so close to an inner border may be cut by it."""

SMALLEST = 16


class Tiles:
    """A detector's `Predictor` for large pictures.

    Every tile is seen as a picture of its own, and boxes found twice are merged. The whole picture
    is seen as well, for things larger than the overlap of two tiles. Pictures no larger than a tile
    are predicted as always.

    Args:
        predictor: of a run of detection.
        side: of a tile, in pixels of the picture; None = the usual side of training pictures.
        batch: tiles at once.

    Raises SaccadeError where the task does not answer with boxes, or for a side below 16.
    """

    def __init__(self, predictor: Predictor, side: int | None = None, *, batch: int = 32) -> None:
        if not isinstance(predictor.task, Selects):
            raise SaccadeError(
                "tiles are for runs of detection, and for masks, where large pictures are cut by "
                f"themselves; this run is of {predictor.card.task}",
                name="wrong-task",
            )
        if side is not None and side < SMALLEST:
            raise SaccadeError(f"--tile {side}: expected {SMALLEST} pixels or more")
        card = predictor.card
        usual = card.data.get("side") or max(card.preprocessing.height, card.preprocessing.width)
        self.predictor = predictor
        self.side = int(side or usual)
        self.batch = batch
        self.seen = 0

    def sentence(self) -> str:
        """What was looked at."""
        return (
            f"{self.seen:,} tiles of {self.side} x {self.side} pixels, boxes found twice are merged"
            if self.seen
            else f"no picture is larger than a tile of {self.side} x {self.side} pixels"
        )

    def __call__(self, sources: Any) -> list[Prediction]:
        """One prediction per picture, as `Predictor` gives them."""
        return list(self.predictor.one_by_one(sources, self.find))

    def find(self, pixels: np.ndarray) -> Detections:
        """Objects of one picture (H, W, C), boxes in its pixels."""
        whole = self._detected([pixels])[0]
        if max(pixels.shape[:2]) <= self.side:
            return whole
        overlap = self.side // OVERLAP
        size = (pixels.shape[0], pixels.shape[1])
        places = list(tiles(size, self.side, overlap, multiple=1))
        self.seen += len(places)
        parts = self._detected([pixels[rows, columns] for rows, columns in places])
        moved = [
            each.boxes + torch.tensor([columns.start, rows.start] * 2)
            for each, (rows, columns) in zip(parts, places, strict=True)
        ]
        cut = [
            self._cut(each.boxes, place, size) for each, place in zip(parts, places, strict=True)
        ]
        # smaller things are seen better in the tiles
        large = (whole.boxes[:, 2:] - whole.boxes[:, :2]).amax(1) > overlap
        boxes = torch.cat([whole.boxes[large], *moved])
        scores = torch.cat([whole.scores[large], *(each.scores for each in parts)])
        labels = torch.cat([whole.labels[large], *(each.labels for each in parts)])
        pieces = torch.cat([torch.zeros_like(labels[: int(large.sum())], dtype=torch.bool), *cut])
        task = cast(Selects, self.predictor.task)
        most = task.most * (1 + len(places))
        kept = merge(boxes, scores, labels, pieces, threshold=task.iou, limit=most)
        return Detections(
            classes=whole.classes, boxes=boxes[kept], scores=scores[kept], labels=labels[kept]
        )

    def _detected(self, pictures: list[np.ndarray]) -> list[Detections]:
        answers = self.predictor(pictures, batch=self.batch)
        return [cast(Detections, answer.result) for answer in answers]

    def _cut(self, boxes: Tensor, place: tuple[slice, slice], size: tuple[int, int]) -> Tensor:
        """(M,) whether boxes (M, 4) of a tile end at one of its borders within the picture."""
        rows, columns = place
        edge = EDGE * self.side
        x1, y1, x2, y2 = boxes.unbind(1)
        cut: Tensor = (
            ((x1 < edge) & (columns.start > 0))
            | ((y1 < edge) & (rows.start > 0))
            | ((x2 > columns.stop - columns.start - edge) & (columns.stop < size[1]))
            | ((y2 > rows.stop - rows.start - edge) & (rows.stop < size[0]))
        )
        return cut
