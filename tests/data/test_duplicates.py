from __future__ import annotations

import io
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from made import photo
from saccade.data.duplicates import (
    candidate_pairs,
    clusters,
    near_duplicates,
    perceptual_hashes,
    similarity,
    worth_searching,
)


def canvas(picture: Image.Image, side: int = 128) -> np.ndarray:
    """(3, side, side): the middle of the picture, the shorter side scaled."""
    scale = side / min(picture.size)
    size = (max(side, round(picture.width * scale)), max(side, round(picture.height * scale)))
    picture = picture.convert("RGB").resize(size, Image.Resampling.BILINEAR)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return np.asarray(picture.crop((left, top, left + side, top + side))).transpose(2, 0, 1)


def saved_again(picture: Image.Image, scale: float, quality: int) -> Image.Image:
    size = (int(picture.width * scale), int(picture.height * scale))
    buffer = io.BytesIO()
    picture.convert("RGB").resize(size, Image.Resampling.BICUBIC).save(
        buffer, "JPEG", quality=quality
    )
    return Image.open(buffer)


def read(pictures: list[Image.Image]) -> tuple[torch.Tensor, np.ndarray]:
    pixels = torch.from_numpy(np.stack([canvas(picture) for picture in pictures]))
    return pixels, perceptual_hashes(pixels.float().mean(1))


@given(st.lists(st.integers(0, 2**64 - 1), max_size=40), st.data())
@settings(max_examples=40, deadline=None)
def test_every_close_pair_of_hashes_is_found(values: list[int], data: st.DataObject) -> None:
    for value in values[:5]:
        bits = data.draw(st.sets(st.integers(0, 63), max_size=8))
        values = [*values, value ^ sum(1 << bit for bit in bits)]
    found = {tuple(pair) for pair in candidate_pairs(np.array(values, dtype=np.uint64)).tolist()}
    close = {
        (i, j)
        for (i, a), (j, b) in itertools.combinations(enumerate(values), 2)
        if (a ^ b).bit_count() <= 8
    }
    assert found == close


def test_a_crowd_of_equal_hashes_stays_linear() -> None:
    pairs = candidate_pairs(np.zeros(5000, dtype=np.uint64))
    assert len(pairs) < 10_000
    assert set(clusters(pairs, 5000).tolist()) == {0}


def test_a_hundred_thousand_hashes_with_copies() -> None:
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, 100_000, dtype=np.uint64)
    flipped = hashes[:1000].copy()
    for _ in range(6):
        flipped ^= np.uint64(1) << rng.integers(0, 64, 1000).astype(np.uint64)
    found = candidate_pairs(np.concatenate([hashes, flipped]))
    assert {(i, 100_000 + i) for i in range(1000)} <= set(map(tuple, found.tolist()))
    assert len(found) < 1100


def test_brightness_and_contrast_leave_the_hash_alone() -> None:
    grey = torch.from_numpy(np.asarray(photo(3).convert("L")).copy())[None].float()
    assert perceptual_hashes(grey) == perceptual_hashes(grey * 0.5 + 20)
    assert perceptual_hashes(grey).dtype == np.uint64
    assert perceptual_hashes(torch.zeros(0, 8, 8)).shape == (0,)


def test_drawn_copies_are_found_and_nothing_else() -> None:
    originals = [photo(seed) for seed in range(60)]
    copies = [saved_again(picture, 0.6, 70) for picture in originals[:20]]
    pixels, hashes = read([*originals, *copies])
    pairs = near_duplicates(pixels, hashes)
    assert pairs.tolist() == [[i, 60 + i] for i in range(20)]
    searched = np.ones(80, dtype=bool)
    searched[60] = False
    assert len(near_duplicates(pixels, hashes, searched)) == 19
    assert similarity(pixels, np.empty((0, 2), dtype=np.int64)).shape == (0,)


def test_small_and_empty_pictures_are_not_searched() -> None:
    images = {
        "width": np.array([28, 100, 100]),
        "height": np.array([28, 40, 100]),
        "std": np.array([60.0, 40.0, 1.0]),
    }
    assert worth_searching(images).tolist() == [False, True, False]


@pytest.mark.parametrize(("scale", "quality"), [(0.5, 50), (1.5, 90), (0.25, 60)])
def test_copies_of_photographs(shared: Path, scale: float, quality: int) -> None:
    paths = sorted((shared / "hymenoptera").glob("*/*/*.jp*g"))[::4]
    originals = [Image.open(path).convert("RGB") for path in paths]
    count = len(originals)
    pixels, hashes = read([*originals, *(saved_again(p, scale, quality) for p in originals)])
    pairs = near_duplicates(pixels, hashes)
    right = sum(second - first == count for first, second in pairs.tolist())
    assert right / count >= 0.95  # recall
    assert (len(pairs) - right) / max(len(pairs), 1) <= 0.01  # false pairs
