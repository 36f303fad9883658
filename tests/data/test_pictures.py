"""Pictures of batches show what the network gets."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from saccade.data.batches import prepare
from saccade.data.pictures import SIDE, mosaic, pixels_of, shortened
from saccade.types import Batch, Preprocessing


def batch(
    count: int, channels: int, side: int, targets: dict[str, Any] | None = None
) -> tuple[Batch, Preprocessing, np.ndarray]:
    generator = np.random.default_rng(0)
    arrays = generator.integers(0, 256, (count, side, side, channels), dtype=np.uint8)
    preprocessing = Preprocessing(
        height=side, width=side, channels=channels, fit="crop",
        mean=(0.3, 0.4, 0.5)[:channels], std=(0.2, 0.3, 0.4)[:channels],
    )  # fmt: skip
    inputs, geometry = prepare(list(arrays), preprocessing)
    made = Batch(
        inputs=inputs, targets=targets or {}, indices=torch.arange(count), geometry=geometry
    )
    return made, preprocessing, arrays


def test_normalisation_is_undone_to_the_bit() -> None:
    made, preprocessing, arrays = batch(5, 3, 9)
    assert np.array_equal(pixels_of(made.inputs, preprocessing), arrays)


def test_grid() -> None:
    made, preprocessing, arrays = batch(7, 1, 16)
    sheet = mosaic(made, preprocessing, limit=6)
    tile = 16 * (SIDE // 16)
    assert sheet.mode == "RGB" and sheet.size == (8 + 3 * (tile + 8), 8 + 2 * (tile + 8))
    first = np.asarray(sheet)[8 : 8 + tile, 8 : 8 + tile]
    assert np.array_equal(first[5::10, 5::10, 0], arrays[0, :, :, 0])
    titled = mosaic(made, preprocessing, [f"class {n}" for n in range(7)], limit=6)
    assert titled.height > sheet.height and titled.width == sheet.width
    assert mosaic(batch(1, 3, 300)[0], preprocessing=batch(1, 3, 300)[1]).size == (176, 176)


def test_annotations_are_drawn() -> None:
    targets = {
        "box": torch.tensor([[2.0, 2, 12, 12], [0, 0, 0, 0]]),
        "box.label": torch.tensor([0, -1]),
        "dot": torch.tensor([[[8.0, 8]], [[8.0, 8]]]),
        "dot.visible": torch.tensor([[True], [False]]),
    }
    made, preprocessing, _ = batch(2, 3, 16, targets)
    plain, _, _ = batch(2, 3, 16)
    drawn = np.asarray(mosaic(made, preprocessing)).astype(int)
    empty = np.asarray(mosaic(plain, preprocessing)).astype(int)
    changed = (drawn != empty).any(2)
    assert changed[:, : 8 + SIDE].any() and not changed[:, 8 + SIDE :].any()
    mask = torch.zeros(2, 16, 16, dtype=torch.int64)
    mask[0, :4], mask[1, :4] = 1, -1
    made, _, _ = batch(2, 3, 16, {"mask": mask})
    changed = (np.asarray(mosaic(made, preprocessing)).astype(int) != empty).any(2)
    assert changed[8:48].mean() > 0.7 and not changed[50:].any()


def test_long_titles_lose_their_middle() -> None:
    assert shortened("cat", 100) == "cat"
    short = shortened("a very long name of a file.jpg", 100)
    assert "…" in short and short.startswith("a v") and short.endswith("jpg")
    assert shortened("anything", 1) == ""
