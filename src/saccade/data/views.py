"""Where each pixel of an augmented input comes from: windows of whole pixels, or any projection.

Stored pictures lie on a canvas, the input is a view of it. A view is a matrix from canvas to input
in the coordinates of `types.Geometry`, so that boxes, points and masks follow it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from saccade.data.augment import Augment, Padding

MIRROR, FLIP, DOWN, ACROSS, SCALE, RATIO, ROTATE, SHEAR, TILT_ACROSS, TILT_DOWN = range(10)
ERASE_DOWN, ERASE_ACROSS = 10, 11
"""Which of an example's random numbers decides what; `color` takes those from COLOR on."""
COLOR = 12
BEND_STEP, BEND_NODES = 64, 9
"""Pixels between nodes of elastic displacements; nodes on a side at most."""


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Pieces of canvases in whole pixels. All (N,): top, left int64; mirrored, flipped bool."""

    top: Tensor
    left: Tensor
    mirrored: Tensor
    flipped: Tensor

    def matrices(self, size: tuple[int, int]) -> Tensor:
        """(N, 3, 3) float64 from canvas to the input of `size` (height, width)."""
        height, width = size
        zero = torch.zeros(len(self.top), dtype=torch.float64)
        across, down = 1 - 2.0 * self.mirrored.double(), 1 - 2.0 * self.flipped.double()
        x = self.mirrored * width - across * self.left
        y = self.flipped * height - down * self.top
        return _stack([across, zero, x], [zero, down, y], [zero, zero, zero + 1])

    @property
    def alike(self) -> bool:
        """Whether all are the same piece, and not turned."""
        moved = (self.top != self.top[:1]) | (self.left != self.left[:1])
        return not bool((moved | self.mirrored | self.flipped).any())

    def positions(self, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Rows (N, H) and columns (N, W) of the canvas, in part beyond its edges."""
        down = _line(size[0], self.flipped) + self.top[:, None]
        across = _line(size[1], self.mirrored) + self.left[:, None]
        return down, across


def _line(length: int, turned: Tensor) -> Tensor:
    line = torch.arange(length)
    return torch.where(turned[:, None], length - 1 - line, line)


def _stack(*rows: list[Tensor]) -> Tensor:
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def centre_windows(count: int, canvas: tuple[int, int], size: tuple[int, int]) -> Windows:
    """The middle of each canvas, for use and evaluation."""
    never = torch.zeros(count, dtype=torch.bool)
    top, left = (canvas[0] - size[0]) // 2, (canvas[1] - size[1]) // 2
    return Windows(
        top=torch.full((count,), top),
        left=torch.full((count,), left),
        mirrored=never,
        flipped=never,
    )


def draw_windows(
    augment: Augment,
    mirrored: Tensor,
    flipped: Tensor,
    chance: Tensor,
    canvas: tuple[int, int],
    size: tuple[int, int],
) -> Windows:
    """Windows anywhere on the canvas, and beyond it by `augment.shift`; see `draw_views`."""
    corners = []
    for side, slot in ((0, DOWN), (1, ACROSS)):
        beyond = round(augment.shift * size[side])
        places = canvas[side] - size[side] + 2 * beyond + 1
        corners.append((chance[:, slot].double() * places).long() - beyond)
    return Windows(top=corners[0], left=corners[1], mirrored=mirrored, flipped=flipped)


def draw_views(
    augment: Augment,
    mirrored: Tensor,
    flipped: Tensor,
    chance: Tensor,
    canvas: tuple[int, int],
    size: tuple[int, int],
) -> Tensor:
    """Draw projections: scale, ratio, shear, rotation, mirroring, then perspective.

    Args:
        augment: what is drawn.
        mirrored: (N,) bool, left and right exchanged.
        flipped: (N,) bool, top and bottom exchanged.
        chance: (N, >= COLOR) of `uniforms`.
        canvas: height, width of the stored pictures in pixels.
        size: height, width of the input in pixels.

    Returns:
        (N, 3, 3) float64 from canvas to input.
    """
    u = chance.double().T.contiguous()  # one contiguous row per draw: the same bits at any N
    height, width = size
    area = _between(u[SCALE], *augment.scale)
    ratio = torch.exp(_between(u[RATIO], math.log(augment.ratio[0]), math.log(augment.ratio[1])))
    seen_across, seen_down = width * (area * ratio).sqrt(), height * (area / ratio).sqrt()
    x = _place(u[ACROSS], canvas[1], seen_across, augment.shift * width)
    y = _place(u[DOWN], canvas[0], seen_down, augment.shift * height)
    a, b, c, d = _turns(augment, u)
    zoom_x, zoom_y = width / seen_across, height / seen_down
    across, down = 1 - 2.0 * mirrored.double(), 1 - 2.0 * flipped.double()
    a, b, c, d = across * a * zoom_x, across * b * zoom_y, down * c * zoom_x, down * d * zoom_y
    tilt_x = _between(u[TILT_ACROSS], -augment.warp, augment.warp) / width
    tilt_y = _between(u[TILT_DOWN], -augment.warp, augment.warp) / height
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    seen = _stack([a, b, -(a * x + b * y)], [c, d, -(c * x + d * y)], [zero, zero, one])
    tilted = _stack([one, zero, zero], [zero, one, zero], [tilt_x, tilt_y, one]) @ seen
    centre = torch.tensor([[1.0, 0, width / 2], [0, 1, height / 2], [0, 0, 1]]).double()
    return centre @ tilted


def _turns(augment: Augment, u: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Shear, then rotation: the matrix a, b; c, d."""
    angle = torch.deg2rad(_between(u[ROTATE], -augment.rotate, augment.rotate))
    slant = torch.deg2rad(_between(u[SHEAR], -augment.shear, augment.shear)).tan()
    cos, sin = angle.cos(), angle.sin()
    return cos, cos * slant - sin, sin, sin * slant + cos


def _between(chance: Tensor, low: float, high: float) -> Tensor:
    return low + (high - low) * chance


def _place(chance: Tensor, side: int, seen: Tensor, shift: float) -> Tensor:
    """Centre of what is seen of a canvas's side: inside where it fits, and up to `shift` beyond."""
    free = (side - seen).clamp(min=0) / 2 + shift
    return side / 2 + (2 * chance - 1) * free


def gather(
    store: Tensor,
    rows: Tensor,
    windows: Windows,
    size: tuple[int, int],
    padding: Padding = "reflect",
) -> tuple[Tensor, Tensor, Tensor]:
    """Cut windows out of stored pictures without resampling.

    Args:
        store: (M, canvas height, canvas width, C), contiguous, on any device.
        rows: (N,) int64 into `store`, on the CPU.
        windows: one per row.
        size: height, width of the windows.
        padding: what lies beyond the canvas; its reflection stands in for the mean.

    Returns:
        (N, H, W, C) of the store's type; and the rows (N, H) and columns (N, W) of the canvas
        that are seen, below 0 and beyond the last where padding is the mean.
    """
    _, height, width, channels = store.shape
    down, across = windows.positions(size)
    if windows.alike and len(rows):
        top, left = int(windows.top[0]), int(windows.left[0])
        if 0 <= top <= height - size[0] and 0 <= left <= width - size[1]:
            piece = store[:, top : top + size[0], left : left + size[1]]
            return piece.index_select(0, rows.to(store.device)), down, across
    y, x = _back(down, height, padding), _back(across, width, padding)
    line = (rows[:, None] * height + y) * width  # (N, H)
    index = line.to(store.device)[:, :, None] + x.to(store.device)[:, None]
    pixels = store.view(-1, channels).index_select(0, index.view(-1))
    pixels = pixels.view(len(rows), *size, channels)
    return (pixels, down, across) if padding == "mean" else (pixels, y, x)


def _back(position: Tensor, length: int, padding: Padding) -> Tensor:
    """Positions up to one length beyond 0 ... length - 1, brought back there."""
    if padding == "edge":
        return position.clamp(0, length - 1)
    position = torch.where(position < 0, -1 - position, position)
    return torch.where(position >= length, 2 * length - 1 - position, position)


def draw_bends(chance: Tensor, strength: float, size: tuple[int, int]) -> Tensor:
    """Smooth displacements: normal numbers on a coarse grid, cubic between its nodes.

    Args:
        chance: (N, 2 * BEND_NODES^2) of `uniforms`.
        strength: standard deviation at a node, in pixels of the input.
        size: height, width of the input.

    Returns:
        (N, 2, H, W) float32: how far along x and y each input pixel looks aside.
    """
    nodes = (-(-size[0] // BEND_STEP) + 1, -(-size[1] // BEND_STEP) + 1)
    rows, columns = (min(count, BEND_NODES) for count in nodes)
    normal = torch.special.ndtri(chance.double().clamp(2.0**-25, 1 - 2.0**-25))
    grid = normal.view(len(chance), 2, BEND_NODES, BEND_NODES)[:, :, :rows, :columns].float()
    large = functional.interpolate(strength * grid, size, mode="bicubic", align_corners=True)
    return large


def resample(
    pixels: Tensor,
    views: Tensor,
    size: tuple[int, int],
    padding: Padding,
    mode: Literal["bilinear", "nearest"] = "bilinear",
    bends: Tensor | None = None,
) -> Tensor:
    """See pictures through projections.

    Args:
        pixels: (N, C, canvas height, canvas width) float32, contiguous; 0 is the mean colour.
        views: (N, 3, 3) float64 from canvas to input, on the CPU.
        size: height, width of the input.
        padding: what lies beyond the canvas; the mean is 0.
        mode: between pixels.
        bends: of `draw_bends`; None = straight lines stay straight.

    Returns:
        (N, C, H, W) float32.
    """
    height, width = pixels.shape[2:]
    half = torch.tensor([[2 / width, 0, -1], [0, 2 / height, -1], [0, 0, 1]]).double()
    back = (half @ torch.linalg.inv(views)).float().to(pixels.device)
    grid = _grid(back, size, None if bends is None else bends.to(pixels.device))
    beyond = {"reflect": "reflection", "edge": "border", "mean": "zeros"}[padding]
    return functional.grid_sample(pixels, grid, mode=mode, padding_mode=beyond, align_corners=False)


def _grid(back: Tensor, size: tuple[int, int], bends: Tensor | None) -> Tensor:
    """(N, H, W, 2) from (N, 3, 3): each pixel centre's place on the canvas, -1..1.

    Products and sums are written out: a matrix product may round differently at another N.
    """
    x = torch.arange(size[1], device=back.device) + 0.5
    y = (torch.arange(size[0], device=back.device) + 0.5)[:, None]
    if bends is not None:
        x, y = x + bends[:, 0], y + bends[:, 1]  # (N, H, W)
    row = back[:, :, :, None, None]  # (N, 3, 3, 1, 1)
    grid = torch.empty(len(back), *size, 2, device=back.device)
    for axis in (0, 1):
        line = row[:, axis, 1] * y + row[:, axis, 2]  # (N, H, 1)
        torch.add(row[:, axis, 0] * x, line, out=grid[..., axis])
    if bool((back[:, 2, :2] != 0).any()):
        grid /= (row[:, 2, 0] * x + row[:, 2, 1] * y + row[:, 2, 2])[..., None]
    return grid
