"""From a decoded picture of any size to the canvas the network sees, and where everything went."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from saccade.data.read import decode, from_array, header
from saccade.types import Geometry, Preprocessing

Fit = Literal["crop", "pad", "stretch"]
Size = tuple[int, int]
"""height, width in pixels."""


def canvas_of(height: int, width: int, margin: float) -> Size:
    """Size of the stored picture for an input of height x width."""
    return round(height * margin), round(width * margin)


def side_needed(size: Size, canvas: Size, fit: Fit) -> int:
    """How long the shorter side must stay when a picture of `size` is decoded at reduced scale."""
    scales = [canvas[0] / size[0], canvas[1] / size[1]]
    scale = min(scales) if fit == "pad" else max(scales)
    return max(1, math.ceil(min(size) * scale))


def read_picture(data: bytes | np.ndarray, preprocessing: Preprocessing) -> tuple[np.ndarray, Size]:
    """Decode what a source gave just as large as `prepare` needs it.

    Returns:
        (H, W, channels) uint8, camera photos at reduced scale, and the displayed picture's size;
        both go to `prepare`.

    Raises:
        SaccadeError: "broken-file" with the reason.
    """
    channels, background = preprocessing.channels, preprocessing.background
    if isinstance(data, np.ndarray):
        pixels = from_array(data, channels=channels, background=background)
        return pixels, (pixels.shape[0], pixels.shape[1])
    most = preprocessing.max_pixels
    head = header(data, max_pixels=most)
    size = (head.height, head.width)
    canvas = canvas_of(preprocessing.height, preprocessing.width, preprocessing.margin)
    needed = side_needed(size, canvas, preprocessing.fit)
    pixels = decode(
        data, channels=channels, background=background, max_pixels=most, at_least=needed
    )
    return pixels, size


Box = tuple[float, float, float, float]


class Placing(NamedTuple):
    """Where a picture lies on its canvas.

    box     the part that is seen: left, top, right, bottom in displayed pixels
    inner   height, width of that part on the canvas;  start: its top and left there
    matrix  (3, 3) float64 of `types.Geometry`
    """

    box: Box
    inner: Size
    start: tuple[int, int]
    matrix: np.ndarray


def placing(size: Size, canvas: Size, fit: Fit) -> Placing:
    """Where `fit_picture` lays a displayed picture of `size`."""
    height, width = size
    if fit == "crop":
        scale = max(canvas[0] / height, canvas[1] / width)
        seen_y, seen_x = canvas[0] / scale, canvas[1] / scale
        top, left = (height - seen_y) / 2, (width - seen_x) / 2
        matrix = np.array([[scale, 0, -left * scale], [0, scale, -top * scale], [0, 0, 1.0]])
        return Placing((left, top, left + seen_x, top + seen_y), canvas, (0, 0), matrix)
    whole = (0.0, 0.0, float(width), float(height))
    if fit == "stretch":
        matrix = np.diag([canvas[1] / width, canvas[0] / height, 1.0])
        return Placing(whole, canvas, (0, 0), matrix)
    scale = min(canvas[0] / height, canvas[1] / width)
    inner = max(1, round(height * scale)), max(1, round(width * scale))
    top, left = (canvas[0] - inner[0]) // 2, (canvas[1] - inner[1]) // 2
    matrix = np.array([[inner[1] / width, 0, left], [0, inner[0] / height, top], [0, 0, 1.0]])
    return Placing(whole, inner, (int(top), int(left)), matrix)


def fit_picture(
    pixels: np.ndarray, size: Size, canvas: Size, fit: Fit
) -> tuple[np.ndarray, np.ndarray]:
    """Scale a picture onto a canvas, with every source pixel counted (antialiasing).

    Args:
        pixels: (H, W, C) uint8, C 1 or 3, perhaps decoded at reduced scale.
        size: of the displayed picture.
        canvas: of the result.
        fit: crop, the canvas is filled and the rest cut off evenly; pad, the whole picture is
            seen, centred on zeros; stretch, both sides are scaled.

    Returns:
        canvas (height, width, C) uint8 and the matrix (3, 3) float64 of `types.Geometry`.
    """
    place = placing(size, canvas, fit)
    scaled = _resize(pixels, size, place.box, place.inner)
    if place.inner == canvas:
        return scaled, place.matrix
    top, left = place.start
    laid = np.zeros((*canvas, pixels.shape[2]), dtype=np.uint8)
    laid[top : top + place.inner[0], left : left + place.inner[1]] = scaled
    return laid, place.matrix


def _resize(pixels: np.ndarray, size: Size, box: Box, target: Size) -> np.ndarray:
    """The part `box` (left, top, right, bottom, in displayed pixels) at the `target` size."""
    height, width, channels = pixels.shape
    across, down = width / size[1], height / size[0]
    left, top = box[0] * across, box[1] * down
    right, bottom = min(box[2] * across, width), min(box[3] * down, height)
    if (right - left, bottom - top) == (target[1], target[0]) and left % 1 == top % 1 == 0:
        return pixels[int(top) : int(bottom), int(left) : int(right)]
    image = Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels)
    scaled = image.resize(
        (target[1], target[0]),
        Image.Resampling.BILINEAR,
        box=(max(0.0, left), max(0.0, top), right, bottom),
        reducing_gap=3.0,
    )
    return np.asarray(scaled).reshape(*target, channels)


def content(geometry: Geometry, canvas: Size) -> Tensor | None:
    """(N, 4) int64 left, top, right, bottom of each picture on its canvas; None = all filled."""
    if not len(geometry.matrix):
        return None
    scale = geometry.matrix[:, [0, 1], [0, 1]]
    start = geometry.matrix[:, :2, 2]
    end = start + scale * geometry.size.flip(1)
    limit = torch.tensor([canvas[1], canvas[0]])
    start = torch.minimum(start.round().long().clamp(min=0), limit)
    end = torch.minimum(end.round().long().clamp(min=0), limit)
    filled = bool((start == 0).all() and (end == limit).all())
    return None if filled else torch.cat([start, end], dim=1)


def lay_out(
    pictures: Sequence[np.ndarray], sizes: Sequence[Size], preprocessing: Preprocessing
) -> tuple[Tensor, Geometry]:
    """Pictures (H, W, C) on canvases: (N, height, width, C) uint8, and picture -> canvas."""
    canvas = canvas_of(preprocessing.height, preprocessing.width, preprocessing.margin)
    laid = [
        fit_picture(pixels, size, canvas, preprocessing.fit)
        for pixels, size in zip(pictures, sizes, strict=True)
    ]
    store = np.zeros((len(laid), *canvas, preprocessing.channels), dtype=np.uint8)
    matrices = np.zeros((len(laid), 3, 3))
    for row, (pixels, matrix) in enumerate(laid):
        store[row], matrices[row] = pixels, matrix
    size = torch.tensor(list(sizes), dtype=torch.int64).view(-1, 2)
    return torch.from_numpy(store), Geometry(matrix=torch.from_numpy(matrices), size=size)
