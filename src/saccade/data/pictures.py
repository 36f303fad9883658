"""Batches as the network gets them, for people to look at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from saccade.data.follow import spatial_kind
from saccade.types import Batch, Preprocessing

PAPER, INK = (255, 255, 255), (32, 33, 36)
COLOURS = (
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66),
    (0, 114, 178), (213, 94, 0), (204, 121, 167),
)  # fmt: skip
"""Told apart by colour-blind people too (Okabe and Ito 2008)."""
GAP = 8
SIDE = 160
"""Pixels of a tile's longer side; smaller inputs are enlarged by a whole factor up to it."""
LETTERS = 13


def mosaic(
    batch: Batch,
    preprocessing: Preprocessing,
    titles: Sequence[str] | None = None,
    *,
    limit: int = 24,
) -> Image.Image:
    """The first pictures of a batch in a grid, normalisation undone, annotations drawn in.

    Args:
        batch: inputs (N, C, H, W); boxes, points and masks among its targets are drawn.
        preprocessing: whose mean and std are undone.
        titles: (N,) written below the pictures, cut to their width.
        limit: most pictures shown.

    Returns:
        An RGB image.
    """
    count = min(limit, len(batch))
    tiles = [_tile(batch, row, preprocessing) for row in range(count)]
    width, height = tiles[0].size
    columns = _columns(count, width, height)
    footer = LETTERS + 8 if titles is not None else 0
    rows = math.ceil(count / columns)
    sheet = Image.new(
        "RGB",
        (GAP + columns * (width + GAP), GAP + rows * (height + footer + GAP)),
        PAPER,
    )
    pen = ImageDraw.Draw(sheet)
    for place, tile in enumerate(tiles):
        x = GAP + place % columns * (width + GAP)
        y = GAP + place // columns * (height + footer + GAP)
        sheet.paste(tile, (x, y))
        if titles is not None:
            text = shortened(titles[place], width)
            pen.text((x + width / 2, y + height + 4), text, INK, _font(), anchor="mt")
    return sheet


def pixels_of(inputs: Tensor, preprocessing: Preprocessing) -> np.ndarray:
    """Network inputs (N, C, H, W) back to (N, H, W, C) uint8 pictures, clipped to 0..255."""
    mean, std = (
        torch.tensor(values)[:, None, None] for values in (preprocessing.mean, preprocessing.std)
    )
    values = (inputs.detach().cpu().float() * std + mean) * 255
    pictures: np.ndarray = values.round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
    return pictures


def shortened(text: str, width: int) -> str:
    """`text`, its middle left out where it is wider than `width` pixels."""
    font = _font()
    if font.getlength(text) <= width:
        return text
    keep = len(text)
    while keep > 1:
        keep -= 1
        short = text[: (keep + 1) // 2] + "…" + text[len(text) - keep // 2 :]
        if font.getlength(short) <= width:
            return short
    return ""


@cache
def _font() -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size=LETTERS)


def _columns(count: int, width: int, height: int) -> int:
    """A sheet about half again as wide as high."""
    wanted = math.sqrt(1.5 * count * height / width)
    return max(1, min(count, round(wanted)))


def _tile(batch: Batch, row: int, preprocessing: Preprocessing) -> Image.Image:
    pixels = pixels_of(batch.inputs[row : row + 1], preprocessing)[0]
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).convert("RGB")
    zoom = SIDE / max(image.size)
    zoom = float(int(zoom)) if zoom >= 1 else zoom
    size = round(image.width * zoom), round(image.height * zoom)
    method = Image.Resampling.NEAREST if zoom >= 1 else Image.Resampling.LANCZOS
    image = image.resize(size, method)
    for name in batch.targets:
        kind = spatial_kind(name, batch.targets)
        value: Tensor = batch.targets[name][row]
        if kind == "mask":
            image = _tinted(image, value)
        elif kind in ("box", "boxes"):
            _draw_boxes(image, value.view(-1, 4), batch.targets[name + ".label"][row], zoom)
        elif kind == "points":
            _draw_points(image, value, batch.targets[name + ".visible"][row], zoom)
    return image


def _tinted(image: Image.Image, mask: Tensor) -> Image.Image:
    """Classes 1, 2 ... in colour over the picture; ignored pixels in grey."""
    table = np.zeros((256, 4), dtype=np.uint8)
    for index in range(1, 255):
        table[index] = (*COLOURS[(index - 1) % len(COLOURS)], 110)
    table[255] = (128, 128, 128, 150)
    over = Image.fromarray(table[mask.cpu().numpy().astype(np.int64) & 255])
    over = over.resize(image.size, Image.Resampling.NEAREST)
    return Image.alpha_composite(image.convert("RGBA"), over).convert("RGB")


def _draw_boxes(image: Image.Image, boxes: Tensor, labels: Tensor, zoom: float) -> None:
    pen = ImageDraw.Draw(image)
    for box, label in zip(boxes.tolist(), labels.view(-1).tolist(), strict=True):
        if label >= 0 and all(map(math.isfinite, box)):
            x1, y1, x2, y2 = (round(edge * zoom) for edge in box)
            colour = COLOURS[label % len(COLOURS)]
            edges = (x1, y1, max(x1, x2 - 1), max(y1, y2 - 1))
            pen.rectangle(edges, outline=INK, width=4)  # seen on any ground
            pen.rectangle(edges, outline=colour, width=2)


def _draw_points(image: Image.Image, points: Tensor, visible: Tensor, zoom: float) -> None:
    pen = ImageDraw.Draw(image)
    for number, (place, seen) in enumerate(zip(points.tolist(), visible.tolist(), strict=True)):
        if seen:
            x, y = place[0] * zoom, place[1] * zoom
            colour = COLOURS[number % len(COLOURS)]
            pen.ellipse((x - 3, y - 3, x + 3, y + 3), fill=colour, outline=INK)
