"""Decoding a data set once: right pixels, right geometry, nothing lost in silence."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFilter

from saccade.data.dataset import Dataset
from saccade.data.facts import measure
from saccade.data.ingest import ingest
from saccade.data.read import decode
from saccade.data.resize import fit_picture, read_picture, side_needed
from saccade.types import Example, Field, Preprocessing


class Files:
    """A source in memory."""

    def __init__(self, files: Mapping[str, bytes | np.ndarray]) -> None:
        self.files = files

    def load(self, key: str) -> bytes | np.ndarray:
        return self.files[key]


def dataset(files: Mapping[str, bytes | np.ndarray], fields: tuple[Field, ...] = ()) -> Dataset:
    examples = tuple(Example(key=key) for key in files)
    return Dataset(name="d", root="d", examples=examples, fields=fields, source=Files(files))


def encoded(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def scene(width: int, height: int, seed: int = 0) -> Image.Image:
    """Something like a photo: soft shapes, edges and grain."""
    generator = np.random.default_rng(seed)
    image = Image.new("RGB", (width, height), (90, 120, 160))
    pen = ImageDraw.Draw(image)
    for _ in range(60):
        x, y = generator.integers(0, width), generator.integers(0, height)
        r = int(generator.integers(4, 8 + min(width, height) // 5))
        colour = tuple(int(v) for v in generator.integers(0, 256, 3))
        pen.ellipse((x - r, y - r, x + r, y + r // 2), fill=colour)
    image = image.filter(ImageFilter.GaussianBlur(1.5))
    grain = generator.normal(0, 4, (height, width, 3))
    return Image.fromarray(np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8))


def test_files_of_every_kind_in_order() -> None:
    images = {f"{n}.png": scene(40 + n, 30 + 2 * n, n) for n in range(9)}
    files: dict[str, bytes | np.ndarray] = {k: encoded(v) for k, v in images.items()}
    files["array"] = np.asarray(scene(50, 50))
    seen = ingest(dataset(files), height=24, width=32)
    assert seen.pixels.shape == (10, 3, 24, 32) and seen.pixels.dtype == torch.uint8
    assert seen.rows.tolist() == list(range(10)) and not seen.broken
    assert (seen.fit, seen.channels, seen.inside) == ("crop", 3, None)
    assert seen.images["width"].tolist() == [*range(40, 49), 50]
    assert seen.geometry.size[:, 0].tolist() == [*range(30, 48, 2), 50]
    assert seen.images["sha256"][3] == hashlib.sha256(files["3.png"]).hexdigest()
    assert set(seen.images["mode"]) == {"RGB"}


@pytest.mark.parametrize("workers", [1, 3, 8])
def test_workers_change_nothing(workers: int) -> None:
    files: dict[str, bytes | np.ndarray] = {
        f"{n}": encoded(scene(60, 40 + n % 5, n), "JPEG") for n in range(70)
    }
    files["13"], files["55"] = b"", files["55"][:-400]
    told: list[tuple[int, int]] = []
    one = ingest(dataset(files), height=16, width=16, workers=0)
    other = ingest(
        dataset(files), height=16, width=16, workers=workers,
        progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert torch.equal(one.pixels, other.pixels)
    assert torch.equal(one.geometry.matrix, other.geometry.matrix)
    assert one.rows.tolist() == other.rows.tolist() == [n for n in range(70) if n not in (13, 55)]
    for name in one.images:
        assert np.array_equal(one.images[name], other.images[name])
    assert one.broken == other.broken
    assert told == sorted(told) and told[-1] == (69, 69)


def test_broken_files_are_named_with_the_reason() -> None:
    good = encoded(scene(30, 30), "JPEG")
    files: dict[str, bytes | np.ndarray] = {
        "a": good, "empty1": b"", "empty2": b"", "text": b"hello", "cut1": good[:300],
        "cut2": good[:340], "b": good, "strange": np.zeros((2, 2, 2, 2), np.uint8),
        "float": np.zeros((4, 4)),
    }  # fmt: skip
    seen = ingest(dataset(files), height=8, width=8)
    assert seen.rows.tolist() == [0, 6] and len(seen.pixels) == 2
    named = sorted(key for notice in seen.broken for key in notice.files)
    assert named == ["cut1", "cut2", "empty1", "empty2", "float", "strange", "text"]
    together = [notice for notice in seen.broken if "empty1" in notice.files]
    assert together[0].files == ("empty1", "empty2") and "empty" in together[0].message
    assert all(notice.name == "broken-file" for notice in seen.broken)
    nothing = ingest(dataset({"x": b"", "y": b"no"}))
    assert nothing.pixels.shape[0] == 0 and len(nothing.rows) == 0 and len(nothing.broken) == 2


def test_what_is_chosen() -> None:
    grey = {f"{n}": np.full((28, 28), n, np.uint8) for n in range(3)}
    seen = ingest(dataset(grey))
    assert (seen.height, seen.width, seen.channels, seen.fit) == (28, 28, 1, "crop")
    assert seen.pixels[:, 0, 0, 0].tolist() == [0, 1, 2]
    mixed = {**grey, "c": np.zeros((28, 28, 3), np.uint8)}
    assert ingest(dataset(mixed)).channels == 3
    other = {**grey, "o": np.zeros((28, 30), np.uint8)}
    assert ingest(dataset(other)).pixels.shape[2:] == (224, 224)
    boxes = ingest(dataset(other, (Field(name="b", kind="boxes", classes=("x",)),)), height=32)
    assert boxes.fit == "pad" and boxes.pixels.shape[2:] == (32, 32)
    assert boxes.inside is not None and boxes.inside[3].tolist() == [0, 1, 32, 31]
    wide = ingest(dataset(grey), height=20, width=20, margin=1.2)
    assert wide.pixels.shape[2:] == (24, 24) and wide.margin == 1.2


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("size", [(90, 61), (61, 90), (64, 64), (9, 7)])
@pytest.mark.parametrize("canvas", [(32, 32), (40, 24), (100, 130)])
def test_a_painted_dot_lands_where_the_matrix_says(
    fit: Any, size: tuple[int, int], canvas: tuple[int, int]
) -> None:
    height, width = size
    rows, columns = np.mgrid[0:height, 0:width] + 0.5
    at = (width * 0.47, height * 0.56)
    spread = 2 * (min(size) / 8) ** 2
    spot = 255 * np.exp(-((columns - at[0]) ** 2 + (rows - at[1]) ** 2) / spread)
    laid, matrix = fit_picture(spot.round().astype(np.uint8)[..., None], size, canvas, fit)
    assert laid.shape == (*canvas, 1)
    x, y, _ = matrix @ [*at, 1]
    rows, columns = np.mgrid[0 : canvas[0], 0 : canvas[1]] + 0.5
    weight = laid[..., 0].astype(float)
    weight[weight < 20] = 0  # what is cut off must not pull the centre
    found = (weight * columns).sum() / weight.sum(), (weight * rows).sum() / weight.sum()
    assert math.dist(found, (x, y)) < 0.02 * max(canvas)
    inner = np.array([[0, 0, 1], [width, height, 1]]) @ matrix.T
    if fit == "stretch":
        assert np.allclose(inner[:, :2], [[0, 0], [canvas[1], canvas[0]]])
    elif fit == "crop":
        assert inner[0, :2].max() == pytest.approx(0, abs=1e-9) and np.all(
            inner[1, :2] >= np.array(canvas[::-1]) - 1e-9
        )
    else:
        assert np.all(inner[0, :2] >= 0) and np.all(inner[1, :2] <= np.array(canvas[::-1]))


def test_own_size_is_kept_to_the_bit() -> None:
    picture = np.asarray(scene(32, 32))
    for fit in ("crop", "pad", "stretch"):
        laid, matrix = fit_picture(picture, (32, 32), (32, 32), fit)  # type: ignore[arg-type]
        assert np.array_equal(laid, picture) and np.array_equal(matrix, np.eye(3))


@pytest.mark.parametrize("size", [(1600, 1200), (1015, 768), (640, 427), (300, 260)])
def test_reduced_decoding_is_close_to_the_reference(size: tuple[int, int]) -> None:
    photo = scene(*size)
    data = encoded(photo, "JPEG", quality=92)
    needed = side_needed((size[1], size[0]), (224, 224), "crop")
    small = decode(data, channels=3, at_least=needed)
    full = decode(data, channels=3)
    assert needed == 224 and small.shape[0] >= 224
    laid, _ = fit_picture(small, (size[1], size[0]), (224, 224), "crop")
    scale = 224 / size[1]
    resized = torch.nn.functional.interpolate(
        torch.from_numpy(full).permute(2, 0, 1)[None].float(),
        (224, round(size[0] * scale)), mode="bilinear", antialias=True,
    )[0]  # fmt: skip
    edge = (resized.shape[2] - 224) // 2
    reference = resized[:, :, edge : edge + 224].permute(1, 2, 0).numpy()
    assert np.abs(laid.astype(float) - reference).mean() <= 2.0


def test_prediction_reads_the_same_pixels() -> None:
    data = encoded(scene(900, 700), "JPEG")
    preprocessing = Preprocessing(
        height=64, width=64, channels=3, fit="pad", mean=(0.5,) * 3, std=(0.2,) * 3
    )
    pixels, size = read_picture(data, preprocessing)
    assert size == (700, 900) and pixels.shape[0] < 700
    laid, matrix = fit_picture(pixels, size, (64, 64), "pad")
    seen = ingest(dataset({"x": data}), height=64, width=64, fit="pad")
    assert np.array_equal(seen.pixels[0].permute(1, 2, 0).numpy(), laid)
    assert np.array_equal(seen.geometry.matrix[0].numpy(), matrix)


def test_same_pixels_have_the_same_hash() -> None:
    photo = scene(50, 40)
    files = {
        "png": encoded(photo), "bmp": encoded(photo, "BMP"), "array": np.asarray(photo),
        "other": encoded(scene(50, 40, 1)), "turned": encoded(photo.rotate(180)),
    }  # fmt: skip
    hashes = ingest(dataset(files), height=20, width=20).images["pixel_hash"]
    assert hashes[0] == hashes[1] == hashes[2] and len(set(hashes)) == 3


def test_facts() -> None:
    flat, sharp = np.full((40, 40, 1), 77, np.uint8), np.indices((40, 40)).sum(0) % 2 * 200
    pixels = np.stack([flat, sharp.astype(np.uint8)[..., None]])
    facts = measure(pixels)
    assert facts["mean"].tolist() == [77, 100] and facts["std"].tolist() == [0, 100]
    laplacian = 4 * 200.0  # each pixel differs from its four neighbours by 200
    assert facts["sharpness"][0] == 0 and facts["sharpness"][1] == pytest.approx(laplacian**2)
    padded = np.zeros((2, 60, 40, 1), np.uint8)
    padded[:, 10:50] = pixels
    inside = torch.tensor([[0, 10, 40, 50]] * 2)
    same = measure(padded, inside)
    for name in ("mean", "std", "sharpness"):
        assert np.allclose(same[name], facts[name])
    assert facts["phash"].dtype == np.uint64


def test_photos(shared: Any) -> None:
    from saccade.data.open import open_dataset

    photos = open_dataset(shared / "hymenoptera").select(range(0, 390, 13))
    seen = ingest(photos, height=64, width=64, margin=1.25)
    assert seen.pixels.shape == (30, 3, 80, 80) and not seen.broken
    assert len(set(seen.images["phash"].tolist())) == 30
