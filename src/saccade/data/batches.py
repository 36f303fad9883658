"""Whole batches as a few tensor operations, from stored pictures and encoded targets."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from saccade.data.augment import Augment
from saccade.data.color import Colors, num_uniforms, principal, statistics
from saccade.data.follow import follow, spatial_kind
from saccade.data.mixing import mix
from saccade.data.order import balanced, once, repeated, replaced
from saccade.data.render import Draw, Renderer, draw, still
from saccade.data.resize import Size, content, lay_out
from saccade.data.sight import Sight, find_sight
from saccade.data.targets import encode_targets
from saccade.data.uniforms import uniforms
from saccade.data.views import BEND_NODES, draw_bends
from saccade.errors import SaccadeError
from saccade.types import Batch, Geometry, Preprocessing

__all__ = ["Batches", "encode_targets", "prepare", "principal", "statistics"]

Rows = Tensor | np.ndarray | Sequence[int]
ON_DEVICE = 0.3
"""Share of an accelerator's free memory that stored pictures may take."""


class Batches:
    """The batches of one part of the data, epoch after epoch.

    Args:
        pixels: (M, C, canvas height, canvas width) uint8, best channels-last in memory.
        geometry: displayed picture -> canvas, M rows.
        targets: of `encode_targets`, M rows.
        rows: (N,) which of the M; `Batch.indices` holds them.
        height: of the network input in pixels, at most the canvas's.
        width: likewise.
        mean: per channel on the 0..1 scale; what lies beyond a picture gets it too.
        std: likewise.
        augment: random changes; None = the middle of the canvas as it is.
        batch: examples in a batch at most; an epoch is cut into even batches.
        seed: of order and augmentation.
        device: where batches are made.
        weights: (M,) of the examples' losses.
        sampling: each row once an epoch; classes equally often (the first label decides); or as
            many draws as rows, each from all of them (with replacement).
        shuffle: another order every epoch; None = where there is augmentation.
        memory_format: of the inputs.
        views: how often an epoch sees each row, each time anew; with sampling once.
        sight: share of crops that look at a pixel of a class, each class alike, where there are
            masks and the input is smaller than the canvas.
    """

    def __init__(
        self,
        pixels: Tensor,
        geometry: Geometry,
        targets: Mapping[str, Any],
        rows: Rows,
        *,
        height: int,
        width: int,
        mean: Sequence[float],
        std: Sequence[float],
        augment: Augment | None = None,
        batch: int = 256,
        seed: int = 0,
        device: torch.device | str = "cpu",
        weights: Tensor | None = None,
        sampling: Literal["once", "balanced", "replacement"] = "once",
        shuffle: bool | None = None,
        memory_format: torch.memory_format = torch.channels_last,
        views: int = 1,
        sight: float = 0.0,
    ) -> None:
        self._rows = torch.as_tensor(rows, dtype=torch.int64)
        self._size = (height, width)
        canvas = (pixels.shape[2], pixels.shape[3])
        if height > canvas[0] or width > canvas[1]:
            raise SaccadeError(f"input {self._size} is larger than the stored pictures, {canvas}")
        if len(self._rows) == 0:
            raise SaccadeError("no examples to make batches of", name="no-examples")
        inside = content(geometry, canvas)
        colors = Colors(mean=torch.tensor(mean), std=torch.tensor(std))
        if augment is not None and augment.lighting:
            axes, variances = principal(pixels, self._rows, inside)
            colors = replace(colors, axes=axes, variances=variances)
        self._renderer = Renderer(
            store=_placed(pixels, torch.device(device)),
            colors=colors,
            inside=inside,
            size=self._size,
            device=torch.device(device),
            memory_format=memory_format,
        )
        self._geometry, self._targets, self._weights = geometry, targets, weights
        self._masks = [name for name in targets if spatial_kind(name, targets) == "mask"]
        self._augment, self._seed, self._batch = augment, seed, batch
        self._shuffle = (augment is not None) if shuffle is None else shuffle
        self._labels = _labels(targets)[self._rows] if sampling == "balanced" else None
        self._again = sampling == "replacement"
        self._channels = pixels.shape[1]
        self._views = views if sampling == "once" else 1
        self._share = sight if augment is not None and self._masks and canvas != self._size else 0.0
        self._sight: Sight | None = None
        _check_elastic(augment, targets)
        self._part, self._turn = (0, 1), (0, 1)

    def part_of(self, rank: int, count: int) -> Batches:
        """The same batches cut into `count` parts each, of which this has number `rank`."""
        own = copy.copy(self)
        own._part = (rank, count)
        return own

    def turn_of(self, rank: int, count: int) -> Batches:
        """Every `count`-th of the same batches, from number `rank` on."""
        own = copy.copy(self)
        own._turn = (rank, count)
        return own

    @property
    def rows(self) -> Tensor:
        """(N,) int64: the rows drawn from, as given."""
        return self._rows

    @property
    def examples(self) -> int:
        """How many examples an epoch draws."""
        if self._labels is None:
            return len(self._rows) * self._views
        return int((self._labels >= 0).sum())

    @property
    def smallest(self) -> int:
        """Examples of the smallest batch of an epoch."""
        return self.examples // len(self)

    def __len__(self) -> int:
        return -(-self.examples // self._batch)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from number `start` on, as an unbroken epoch would give them."""
        rows, keys = self._order(epoch)
        steps = len(self)
        rank, count = self._part
        turn, turns = self._turn
        for step in range(start + (turn - start) % turns, steps, turns):
            # even shares: a last batch of one example would upset batch norm
            first, last = (len(rows) * each // steps for each in (step, step + 1))
            begin, end = ((last - first) * each // count for each in (rank, rank + 1))
            if self._augment is None or not (self._augment.mixup or self._augment.cutmix):
                span = slice(first + begin, first + end)
                yield self._make(epoch, rows[span], keys[span])
                continue
            # a mixture may need a picture of another part
            whole = self._make(epoch, rows[first:last], keys[first:last])
            yield mix(whole, self._augment, seed=self._seed, epoch=epoch, step=step).part(
                begin, end
            )

    def _order(self, epoch: int) -> tuple[Tensor, Tensor]:
        if self._labels is not None:
            return balanced(self._seed, epoch, self._rows, self._labels)
        if self._again:
            return replaced(self._seed, epoch, self._rows)
        if self._views > 1:
            return repeated(self._seed, epoch, self._rows, self._views)
        if self._shuffle:
            return once(self._seed, epoch, self._rows)
        return self._rows, self._rows

    def _make(self, epoch: int, rows: Tensor, keys: Tensor) -> Batch:
        drawn = self._draw(epoch, rows, keys)
        inputs = self._renderer.inputs(rows, drawn)
        matrices = drawn.views @ self._geometry.matrix[rows]
        targets = follow(self._targets, rows, matrices, self._size)
        for name in self._masks:
            targets[name] = self._renderer.mask(self._targets[name], rows, drawn)
        device = self._renderer.device
        batch = Batch(
            inputs=inputs,
            targets=targets,
            indices=rows,
            geometry=Geometry(matrix=matrices, size=self._geometry.size[rows]),
            weights=None if self._weights is None else self._weights[rows],
        )
        return batch if device.type == "cpu" else batch.to(device)

    def _draw(self, epoch: int, rows: Tensor, keys: Tensor) -> Draw:
        canvas, augment = self._renderer.canvas, self._augment
        if augment is None:
            return still(len(keys), canvas, self._size)
        chance = uniforms(self._seed, epoch, keys, num_uniforms(self._channels))
        mirrored = None
        if augment.alternate:
            first = uniforms(self._seed, -1, keys, 1)[:, 0] < 0.5
            mirrored = first ^ bool(epoch % 2)
        if self._share:
            more = uniforms(self._seed + AIM, epoch, keys, 3)
            chance = self._aim(rows, chance, more)
        bends = None
        if augment.elastic:
            more = uniforms(self._seed + BEND, epoch, keys, 2 * BEND_NODES**2)
            bends = draw_bends(more, augment.elastic, self._size)
        colors = self._renderer.colors
        return draw(augment, chance, canvas, self._size, colors, mirrored=mirrored, bends=bends)

    def _aim(self, rows: Tensor, chance: Tensor, more: Tensor) -> Tensor:
        if self._sight is None:  # once, and only where crops are drawn
            masks: Tensor = self._targets[self._masks[0]]
            self._sight = find_sight(masks, self._rows, int(masks.max()) + 1)
        shift = self._augment.shift if self._augment is not None else 0.0
        return self._sight.aim(
            rows, chance, more, self._renderer.canvas, self._share, self._size, shift
        )


AIM, BEND = 1 << 33, 1 << 34
"""Added to the seed: random numbers of their own for where crops look, and for elastic moves."""


def _check_elastic(augment: Augment | None, targets: Mapping[str, Any]) -> None:
    """Boxes and points do not follow what only a map of displacements tells."""
    placed = [name for name in targets if spatial_kind(name, targets) not in (None, "mask")]
    if augment is not None and augment.elastic and placed:
        raise SaccadeError(
            f"augment.elastic bends pictures, and {placed[0]} cannot follow; leave it at 0",
            name="bad-augment",
        )


def _placed(pixels: Tensor, device: torch.device) -> Tensor:
    """(M, H, W, C) contiguous; on the accelerator where it fits well, else where it is."""
    store = pixels.permute(0, 2, 3, 1).contiguous()
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        if store.numel() <= ON_DEVICE * free:
            return store.to(device)
    return store


def _labels(targets: Mapping[str, Any]) -> Tensor:
    for value in targets.values():
        if isinstance(value, Tensor) and value.dtype == torch.int64 and value.ndim == 1:
            return value
    raise SaccadeError(
        "sampling: balanced needs a single label for each example; use once", name="bad-sampling"
    )


def prepare(
    arrays: Sequence[np.ndarray],
    preprocessing: Preprocessing,
    sizes: Sequence[Size] | None = None,
) -> tuple[Tensor, Geometry]:
    """Decoded pictures as network input, in exactly the numbers that training and evaluation see.

    Args:
        arrays: (H, W, channels) uint8 each.
        preprocessing: of the model card.
        sizes: (height, width) of the displayed pictures where arrays were decoded at reduced scale
            (see `resize.read_picture`); None = the arrays' own.

    Returns:
        inputs (N, channels, height, width) float32, channels-last, and picture -> input.
    """
    shapes = [(array.shape[0], array.shape[1]) for array in arrays] if sizes is None else sizes
    store, geometry = lay_out(arrays, shapes, preprocessing)
    size, canvas = (preprocessing.height, preprocessing.width), (store.shape[1], store.shape[2])
    colors = Colors(mean=torch.tensor(preprocessing.mean), std=torch.tensor(preprocessing.std))
    renderer = Renderer(
        store=store,
        colors=colors,
        inside=content(geometry, canvas),
        size=size,
        device=torch.device("cpu"),
        memory_format=torch.channels_last,
    )
    drawn = still(len(store), canvas, size)
    inputs = renderer.inputs(torch.arange(len(store)), drawn)
    return inputs, Geometry(matrix=drawn.views @ geometry.matrix, size=geometry.size)
