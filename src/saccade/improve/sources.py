"""Training pictures made to look like dev's: background, light, blur, noise, compression.

What differs is measured on a sample of both, and changed in that order, in which a camera does it.
Nothing moves, so that boxes, points and masks stay where they are.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from saccade.data.dataset import Dataset
from saccade.data.read import picture

BLURS = (0.0, 0.4, 0.6, 0.8, 1.0, 1.3, 1.6, 2.0, 2.5, 3.0)
"""Radii that are tried, in pixels."""

EVEN = 20.0
"""Spread of the rim's grey values up to which it is an even background."""

OTHER = 25.0
"""Grey values by which two backgrounds differ so that it shows."""

SPREAD = (0.6, 1.2)
"""Of each picture's own amount, relative to the measured one: dev's pictures differ as well."""

# luminance table of the JPEG standard, Annex K.1, whose first row's sum tells the quality
FIRST_ROW = (16, 11, 10, 16, 24, 40, 51, 61)


@dataclass(frozen=True, kw_only=True)
class Look:
    """What one picture, or the typical one of many, looks like.

    light, contrast  mean and standard deviation of its grey values, 0..255
    detail   share of the variance that lies between neighbouring pixels, noise left out
    noise    standard deviation, grey values (Immerkaer 1996)
    quality  of its JPEG compression, 1..100; 100 = none
    ground   grey value of an even rim, NaN where the rim is not even
    """

    light: float
    contrast: float
    detail: float
    noise: float
    quality: float = 100.0
    ground: float = math.nan


def look(pixels: np.ndarray, data: bytes | None = None) -> Look:
    """(H, W, 1 or 3) uint8, at least 3 x 3; data: the file, for its compression."""
    grey = pixels.astype(np.float64).mean(axis=2)
    inner = grey[1:-1, 1:-1]
    around = _neighbours(grey)
    # the second difference in both directions sees noise and hardly any edges
    second = 4 * inner - 2 * (around[1] + around[3] + around[5] + around[7])
    second = second + around[0] + around[2] + around[6] + around[8]
    noise = math.sqrt(math.pi / 2) / 6 * float(np.abs(second).mean())
    fine = inner - sum(around) / 9
    variance = max(float(grey.var()), 1e-6)
    rim = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    return Look(
        light=float(grey.mean()),
        contrast=math.sqrt(variance),
        detail=max(0.0, float(fine.var()) - 8 / 9 * noise**2) / variance,
        noise=noise,
        quality=_quality(data),
        ground=float(np.median(rim)) if rim.std() < EVEN else math.nan,
    )


def _neighbours(grey: np.ndarray) -> list[np.ndarray]:
    """The nine shifted views of the inner pixels, row by row."""
    height, width = grey.shape
    return [grey[y : height - 2 + y, x : width - 2 + x] for y in range(3) for x in range(3)]


def _quality(data: bytes | None) -> float:
    """Of a JPEG, from its luminance table; 100 for anything else."""
    if data is None or data[:2] != b"\xff\xd8":
        return 100.0
    with Image.open(io.BytesIO(data)) as picture:
        table = getattr(picture, "quantization", {}).get(0)
    if not table:
        return 100.0
    scale = 100 * sum(table[:8]) / sum(FIRST_ROW)
    return float(np.clip(5000 / scale if scale > 100 else (200 - scale) / 2, 1, 100))


def typical(looks: Sequence[Look]) -> Look:
    """Medians. The ground counts where most pictures have an even one."""
    found = {name: [getattr(each, name) for each in looks] for name in vars(looks[0])}
    even = np.isfinite(found["ground"]).mean() > 0.6
    values = {name: float(np.nanmedian(each)) for name, each in found.items() if name != "ground"}
    return Look(**values, ground=float(np.nanmedian(found["ground"])) if even else math.nan)


@dataclass(frozen=True, kw_only=True)
class Change:
    """What makes a training picture look like one of dev. Amounts are typical ones.

    ground   (from, to) grey values of the background, None = stays
    gain, offset  of the light: gain * value + offset;  blur: radius in pixels
    noise    standard deviation;  quality: of a JPEG, 100 = none
    """

    ground: tuple[float, float] | None = None
    gain: float = 1.0
    offset: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    quality: float = 100.0

    def words(self) -> tuple[str, ...]:
        """What it does, for the user; empty where it does nothing."""
        told = []
        if self.ground:
            told.append(f"background {self.ground[0]:.0f} -> {self.ground[1]:.0f}")
        if abs(self.gain - 1) > 0.05 or abs(self.offset) > 5:
            told.append(f"light x {self.gain:.2f} {self.offset:+.0f}")
        told += [f"blur {self.blur:.1f} px"] if self.blur else []
        told += [f"noise {self.noise:.0f}"] if self.noise else []
        told += [f"JPEG quality {self.quality:.0f}"] if self.quality < 100 else []
        return tuple(told)


def fit(train: Sequence[np.ndarray], here: Look, there: Look) -> Change:
    """The change from `here` (training) to `there` (dev). train: pictures to find the blur on."""
    gain = float(np.clip(there.contrast / max(here.contrast, 1.0), 0.25, 4.0))
    found = {radius: _detail(train, radius) for radius in BLURS}
    blur = min(found, key=lambda radius: abs(found[radius] - there.detail))
    if there.detail > 0.9 * here.detail:
        blur = 0.0
    # blurring takes noise away, so dev's own is what has to be put on
    noise = there.noise if blur else math.sqrt(max(0.0, there.noise**2 - (gain * here.noise) ** 2))
    apart = abs(here.ground - there.ground)
    return Change(
        ground=(here.ground, there.ground) if apart > OTHER else None,
        gain=gain,
        offset=there.light - gain * here.light,
        blur=blur,
        noise=noise if noise > 2 else 0.0,
        quality=there.quality if there.quality < here.quality - 5 else 100.0,
    )


def _detail(pictures: Sequence[np.ndarray], radius: float) -> float:
    blurred = [_blur(each.astype(np.float64), radius) for each in pictures]
    return float(np.median([look(each).detail for each in blurred]))


def alike(pixels: np.ndarray, change: Change, random: np.random.Generator) -> np.ndarray:
    """One training picture, (H, W, C) uint8, made to look like dev's."""
    amount = float(random.uniform(*SPREAD))
    values = pixels.astype(np.float64)
    if change.ground is not None:
        before, after = change.ground
        near = np.abs(values.mean(axis=2, keepdims=True) - before) < EVEN
        values = np.where(near, values - before + after, values)
    else:
        values = values * change.gain ** min(1.0, amount) + change.offset * min(1.0, amount)
    if change.blur:
        values = _blur(values.clip(0, 255), change.blur * amount).astype(np.float64)
    if change.noise:
        values = values + random.normal(0, change.noise * amount, values.shape)
    found = values.clip(0, 255).round().astype(np.uint8)
    return _compressed(found, change.quality) if change.quality < 100 else found


def _blur(values: np.ndarray, radius: float) -> np.ndarray:
    """(H, W, C) values 0..255 -> (H, W, C) uint8."""
    found = values.round().astype(np.uint8)
    if radius == 0:
        return found
    layers = [
        np.asarray(Image.fromarray(found[:, :, place]).filter(ImageFilter.GaussianBlur(radius)))
        for place in range(found.shape[2])
    ]
    return np.stack(layers, axis=2)


def _compressed(pixels: np.ndarray, quality: float) -> np.ndarray:
    file = io.BytesIO()
    grey = pixels.shape[2] == 1
    Image.fromarray(pixels[:, :, 0] if grey else pixels).save(file, "JPEG", quality=round(quality))
    again = np.asarray(Image.open(file))
    return again[:, :, None] if grey else again


SAMPLE = 150
"""Pictures of each kind that are looked at."""

COPIES = 4000
"""Training pictures that are copied at most."""


def synthesise(
    dataset: Dataset,
    train: Sequence[str],
    dev: Sequence[str],
    folder: Path,
    *,
    channels: int,
    seed: int = 0,
) -> tuple[Change, dict[str, Path]]:
    """Copies of training pictures that look like dev's, as PNG files in `folder`.

    train, dev: keys;  channels: 1 or 3, as the network takes them. Returns the change and
    key -> copy; no copies where nothing differs.
    """
    random = np.random.default_rng(seed)
    kinds = []
    for keys in (train, dev):
        chosen = [keys[place] for place in random.permutation(len(keys))[:SAMPLE].tolist()]
        kinds.append([_loaded(dataset, key, channels) for key in chosen])
    looks = [typical([look(pixels, data) for pixels, data in kind]) for kind in kinds]
    change = fit([pixels for pixels, _ in kinds[0][:40]], *looks)
    if not change.words():
        return change, {}
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for number, place in enumerate(random.permutation(len(train))[:COPIES].tolist()):
        pixels, _ = _loaded(dataset, train[place], channels)
        made = alike(pixels, change, random)
        path = folder / f"{number}.png"
        Image.fromarray(made[:, :, 0] if channels == 1 else made).save(path)
        found[train[place]] = path
    return change, found


def _loaded(dataset: Dataset, key: str, channels: int) -> tuple[np.ndarray, bytes | None]:
    data = dataset.source.load(key)
    return picture(data, channels=channels), data if isinstance(data, bytes) else None
