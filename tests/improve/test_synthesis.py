"""Training pictures that are made to look like dev's: what was done to dev is found and done."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageFilter

from saccade.improve.sources import Change, alike, fit, look, typical


def scene(seed: int, side: int = 48) -> np.ndarray:
    """Discs and bars of many sizes on a dark ground."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    found = np.full((side, side), 40.0)
    for _ in range(6):
        cy, cx, r = *random.uniform(8, side - 8, 2).tolist(), random.uniform(3, 8)
        found[(y - cy) ** 2 + (x - cx) ** 2 < r**2] = random.uniform(90, 240)
    return found.round().astype(np.uint8)[:, :, None]


def spoiled(pixels: np.ndarray, seed: int) -> np.ndarray:
    """Blurred by 1.3 pixels, at 0.6 of the light and 20 more, with noise of 12."""
    picture = Image.fromarray(pixels[:, :, 0]).filter(ImageFilter.GaussianBlur(1.3))
    values = np.asarray(picture).astype(np.float64) * 0.6 + 20
    values += np.random.default_rng((9, seed)).normal(0, 12, values.shape)
    return values.clip(0, 255).astype(np.uint8)[:, :, None]


def test_what_was_done_to_dev_is_found() -> None:
    train = [scene(seed) for seed in range(40)]
    dev = [spoiled(scene(100 + seed), seed) for seed in range(40)]
    here, there = (typical([look(each) for each in kind]) for kind in (train, dev))
    change = fit(train, here, there)
    assert change.blur == pytest.approx(1.3, abs=0.35)
    assert change.noise == pytest.approx(12, abs=3)
    # noise adds to the contrast, blur takes from it
    assert 0.45 < change.gain < 0.75
    assert change.quality == 100
    # 40 became 44 or so, which is no other background
    assert change.ground is None


def test_made_pictures_look_like_dev() -> None:
    train = [scene(seed) for seed in range(40)]
    dev = [spoiled(scene(100 + seed), seed) for seed in range(40)]
    here, there = (typical([look(each) for each in kind]) for kind in (train, dev))
    random = np.random.default_rng(0)
    made = typical([look(alike(each, fit(train, here, there), random)) for each in train])
    for name in ("light", "contrast", "noise"):
        before, after = (abs(getattr(at, name) - getattr(there, name)) for at in (here, made))
        assert after < 0.4 * before, name
    assert abs(made.detail - there.detail) < abs(here.detail - there.detail)


def test_noise_is_measured_as_it_was_put_on() -> None:
    flat = np.full((200, 200, 1), 128.0)
    noisy = flat + np.random.default_rng(0).normal(0, 10, flat.shape)
    assert look(noisy.round().astype(np.uint8)).noise == pytest.approx(10, rel=0.05)


@pytest.mark.parametrize("quality", [30, 60, 85])
def test_quality_of_a_jpeg(quality: int) -> None:
    file = io.BytesIO()
    pixels = scene(0)
    Image.fromarray(pixels[:, :, 0]).save(file, "JPEG", quality=quality)
    assert look(pixels, file.getvalue()).quality == pytest.approx(quality, abs=3)


def test_pictures_of_one_kind_need_no_change() -> None:
    train = [scene(seed) for seed in range(60)]
    dev = [scene(100 + seed) for seed in range(60)]
    here, there = (typical([look(each) for each in kind]) for kind in (train, dev))
    change = fit(train, here, there)
    assert (change.blur, change.noise, change.quality, change.ground) == (0.0, 0.0, 100.0, None)
    assert change.gain == pytest.approx(1, abs=0.1)


def test_another_background_replaces_the_even_one() -> None:
    dark = scene(1)
    change = Change(ground=(40.0, 200.0))
    bright = alike(dark, change, np.random.default_rng(0))
    assert np.median(bright[dark == 40]) == 200
    assert (bright[dark > 80] == dark[dark > 80]).all()
    assert change.words() == ("background 40 -> 200",)
