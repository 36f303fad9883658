"""Stored pictures -> network input: what was drawn for a batch, carried out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from saccade.data.augment import NONE, Augment
from saccade.data.color import Colors, draw_colors, is_plain
from saccade.data.views import (
    ERASE_ACROSS,
    ERASE_DOWN,
    FLIP,
    MIRROR,
    Windows,
    centre_windows,
    draw_views,
    draw_windows,
    gather,
    resample,
)

Size = tuple[int, int]
CUT, SEEN = 1 << 21, 1 << 18
"""Values made at once on a CPU (cut out, resampled), so that steps find them in its caches."""


@dataclass(frozen=True, kw_only=True)
class Draw:
    """What happens to each of N examples. All on the CPU.

    augment  what this was drawn from
    views    (N, 3, 3) float64 canvas -> input
    windows  the same in whole pixels, None where pictures are resampled
    colors   matrix (N, C, C) and offset (N, C) of `draw_colors`, None = normalisation alone
    erased   (N, 4) int64 left, top, right, bottom in the input, None = nothing
    bends    (N, 2, H, W) of `draw_bends`, None = nothing
    """

    augment: Augment
    views: Tensor
    windows: Windows | None
    colors: tuple[Tensor, Tensor] | None
    erased: Tensor | None
    bends: Tensor | None = None


def still(count: int, canvas: Size, size: Size) -> Draw:
    """The middle of the canvas, only normalised."""
    middle = centre_windows(count, canvas, size)
    views = middle.matrices(size)
    return Draw(augment=NONE, views=views, windows=middle, colors=None, erased=None)


def draw(
    augment: Augment,
    chance: Tensor,
    canvas: Size,
    size: Size,
    colors: Colors,
    *,
    mirrored: Tensor | None = None,
    bends: Tensor | None = None,
) -> Draw:
    """Turn random numbers into what happens to each example.

    Args:
        augment: what may happen.
        chance: (N, num_uniforms(C)) in [0, 1).
        canvas: height, width of stored pictures.
        size: height, width of the input.
        colors: of the data set.
        mirrored: (N,) bool, None = as `augment.mirror` says.
        bends: of `draw_bends`, None = nothing.
    """
    if mirrored is None:
        mirrored = chance[:, MIRROR] < augment.mirror
    flipped = chance[:, FLIP] < augment.flip
    windows = None
    if augment.moves_whole_pixels:
        windows = draw_windows(augment, mirrored, flipped, chance, canvas, size)
        views = windows.matrices(size)
    else:
        views = draw_views(augment, mirrored, flipped, chance, canvas, size)
    return Draw(
        augment=augment,
        views=views,
        windows=windows,
        colors=None if is_plain(augment) else draw_colors(augment, chance, colors),
        erased=_erased(augment.erase, chance, size) if augment.erase else None,
        bends=bends,
    )


def _erased(share: float, chance: Tensor, size: Size) -> Tensor:
    """Squares centred anywhere on the input, cut off at its edges."""
    side = round(share * min(size))
    top = (chance[:, ERASE_DOWN].double() * size[0]).long() - side // 2
    left = (chance[:, ERASE_ACROSS].double() * size[1]).long() - side // 2
    return torch.stack([left, top, left + side, top + side], dim=1)


def normalise(pixels: Tensor, scale: Tensor, offset: Tensor, out: Tensor) -> None:
    """Out = pixels * scale + offset, (N, H, W, C); scale, offset (C,) or (N, C).

    Written as whole lines of pixels: three channels alone are too short a loop.
    """
    count, height, width, channels = pixels.shape
    shape = (-1, 1, width * channels)
    line_scale = scale.view(-1, 1, channels).expand(-1, width, -1).reshape(shape)
    line_offset = offset.view(-1, 1, channels).expand(-1, width, -1).reshape(shape)
    out.view(count, height, width * channels).copy_(pixels.view(count, height, -1))
    out.view(count, height, -1).mul_(line_scale).add_(line_offset)


@dataclass(frozen=True, kw_only=True)
class Renderer:
    """Makes inputs of stored pictures.

    store          (M, canvas height, canvas width, C) uint8, contiguous
    inside         (M, 4) int64 of `resize.content`: beyond it the mean colour is seen; None = all
    size           height, width of the input
    device         where inputs are made
    """

    store: Tensor
    colors: Colors
    inside: Tensor | None
    size: Size
    device: torch.device
    memory_format: torch.memory_format

    @property
    def canvas(self) -> Size:
        return self.store.shape[1], self.store.shape[2]

    def inputs(self, rows: Tensor, drawn: Draw) -> Tensor:
        """(N, C, H, W) float32 in the memory format."""
        channels = self.store.shape[3]
        made = torch.empty(len(rows), *self.size, channels, device=self.device)
        at_once = SEEN if drawn.windows is None else CUT
        for part in self._chunks(len(rows), at_once):
            if drawn.windows is not None:
                self._cut(rows[part], _windows(drawn.windows, part), drawn, part, made[part])
            else:
                self._see(rows[part], drawn, part, made[part])
        if drawn.erased is not None:
            made.masked_fill_(_box(drawn.erased, self.size).to(self.device)[..., None], 0.0)
        return made.permute(0, 3, 1, 2).contiguous(memory_format=self.memory_format)

    def mask(self, masks: Tensor, rows: Tensor, drawn: Draw) -> Tensor:
        """Masks (M, canvas height, canvas width) seen as the inputs are: (N, H, W) int64, CPU."""
        padding, windows = drawn.augment.padding, drawn.windows
        if windows is not None:
            seen, down, across = gather(masks[..., None], rows, windows, self.size, padding)
            moved = seen[..., 0].long()
            beyond = ~_within(down, across, None, self.canvas)
        else:
            values = masks[rows][:, None].float() + 1  # 0 stands for beyond
            seen = resample(
                values, drawn.views, self.size, padding, mode="nearest", bends=drawn.bends
            )
            return seen[:, 0].round().long() - 1
        return moved.masked_fill(beyond, -1)

    def _chunks(self, count: int, at_once: int) -> Iterator[slice]:
        step = count
        if self.device.type == "cpu":
            step = max(1, at_once // self.store[0].numel())
        for start in range(0, count, step):
            yield slice(start, min(start + step, count))

    def _cut(self, rows: Tensor, windows: Windows, drawn: Draw, part: slice, out: Tensor) -> None:
        """Windows in whole pixels: gathered as uint8, then one multiplication and addition."""
        padding = drawn.augment.padding
        pixels, down, across = gather(self.store, rows, windows, self.size, padding)
        pixels = pixels.to(self.device, non_blocking=True)
        scale, offset = (value.to(self.device) for value in self.colors.plain())
        fill = torch.zeros(1, pixels.shape[3])
        if drawn.colors is None:
            normalise(pixels, scale, offset, out)
        else:
            matrix, fill = (value[part] for value in drawn.colors)
            self._recolor(self._centred(pixels), matrix, fill, out)
        if self.inside is not None or (padding == "mean" and drawn.augment.shift):
            bounds = None if self.inside is None else self.inside[rows]
            within = _within(down, across, bounds, self.canvas).to(self.device)
            torch.where(within[..., None], out, fill[:, None, None].to(self.device), out=out)

    def _see(self, rows: Tensor, drawn: Draw, part: slice, out: Tensor) -> None:
        """Projections: centred on the mean colour, resampled, then one map of the channels."""
        pixels = self.store[rows.to(self.store.device)].to(self.device, non_blocking=True)
        centred = self._centred(pixels)
        if self.inside is not None:
            centred *= _box(self.inside[rows], self.canvas).to(self.device)[:, None]
        bends = None if drawn.bends is None else drawn.bends[part]
        seen = resample(centred, drawn.views[part], self.size, drawn.augment.padding, bends=bends)
        if drawn.colors is None:
            std = self.colors.std.to(self.device)
            seen /= 255 * std[:, None, None]
            out.copy_(seen.permute(0, 2, 3, 1))
            return
        matrix, offset = (value[part] for value in drawn.colors)
        self._recolor(seen, matrix, offset, out)

    def _centred(self, pixels: Tensor) -> Tensor:
        """(N, H, W, C) uint8 -> (N, C, H, W) float32, less the mean colour."""
        planes = pixels.permute(0, 3, 1, 2)
        planes = planes.to(torch.float32, memory_format=torch.contiguous_format)
        return planes.sub_(255 * self.colors.mean.to(self.device)[:, None, None])

    def _recolor(self, planes: Tensor, matrix: Tensor, offset: Tensor, out: Tensor) -> None:
        """Matrix (N, C, C) times planes (N, C, H, W), plus offset (N, C), into (N, H, W, C)."""
        matrix, offset = matrix.to(self.device), offset.to(self.device)
        mapped = torch.baddbmm(offset[..., None], matrix, planes.flatten(2))
        out.copy_(mapped.view_as(planes).permute(0, 2, 3, 1))


def _windows(windows: Windows, part: slice) -> Windows:
    return Windows(
        top=windows.top[part],
        left=windows.left[part],
        mirrored=windows.mirrored[part],
        flipped=windows.flipped[part],
    )


def _box(boxes: Tensor, size: Size) -> Tensor:
    """(N, 4) left, top, right, bottom -> (N, height, width) bool, true inside."""
    left, top, right, bottom = boxes[:, :, None, None].unbind(1)
    x, y = torch.arange(size[1]), torch.arange(size[0])[:, None]
    return (x >= left) & (x < right) & (y >= top) & (y < bottom)


def _within(down: Tensor, across: Tensor, inside: Tensor | None, canvas: Size) -> Tensor:
    """(N, H, W): whether rows (N, H), columns (N, W) of the canvas show the picture."""
    height, width = canvas
    if inside is None:
        inside = torch.tensor([[0, 0, width, height]])
    left, top, right, bottom = inside[:, :, None].unbind(1)
    rows = (down >= top) & (down < bottom)
    columns = (across >= left) & (across < right)
    return rows[:, :, None] & columns[:, None]
