"""A classifier of closely cropped pictures run over whole ones: convolutional sliding windows.

Its dense layers become convolutions with the same numbers, so that one pass over a picture answers
for every window of it (Sermanet et al. 2013, https://arxiv.org/abs/1312.6229); pictures are passed
at several scales for objects of several sizes. Where no layer pads, an answer equals that of the
window cut out; padded layers see a little of the surroundings in the place of zeros.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from saccade.errors import SaccadeError, unknown_name
from saccade.ops import boxes
from saccade.ops.cost import describe, total
from saccade.ops.fully_convolutional import FullyConvolutional, fully_convolutional
from saccade.ops.losses import two_logits
from saccade.ops.suppression import suppress
from saccade.predict import Prediction, Predictor
from saccade.protocols import Backbone
from saccade.types import Detections

BACKGROUNDS = frozenset(
    ["background", "none", "nothing", "other", "others", "negative", "empty", "no object"]
)
"""What people call the class of windows without an object."""

STEP = 2**0.5
"""Between two scales."""

LARGEST = 4.0
"""Times that a picture is enlarged at most."""

TIMED = 16
"""Windows cut out and classified one by one, to tell what all of them would have taken."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """conf: least probability of an object; iou: overlap above which the weaker box goes; scales:
    of the picture; background: name of the class without object, None = told from the names.
    """

    conf: float = 0.9
    iou: float = 0.3
    scales: int = 5
    background: str | None = None

    def __post_init__(self) -> None:
        for name in ("conf", "iou"):
            if not 0 <= getattr(self, name) <= 1:
                raise SaccadeError(f"--{name} {getattr(self, name)}: expected 0 to 1")
        if not 1 <= self.scales <= 20:
            raise SaccadeError(f"--scales {self.scales}: expected 1 to 20")


@dataclass
class Spent:
    """What the passes cost, and what the same windows would have cost cut out one by one."""

    windows: int = 0
    multiply_adds: int = 0
    apart: int = 0
    seconds: float = 0.0
    seconds_apart: float = 0.0

    def sentence(self) -> str:
        if not self.windows:
            return "no window fits into these pictures"
        return (
            f"{self.windows:,} windows in one pass per scale: {self.multiply_adds / 1e9:.3g} G "
            f"multiply-adds and {self.seconds:.2g} s, instead of {self.apart / 1e9:.3g} G "
            f"({self.apart / self.multiply_adds:.1f} x) and about {self.seconds_apart:.2g} s "
            f"({self.seconds_apart / max(self.seconds, 1e-9):.1f} x) window by window"
        )


class SlidingWindows:
    """A classifier's `Predictor` as a detector. spent: what all calls cost so far.

    Raises SaccadeError where the run does not classify, or its head has no place on a map.
    """

    def __init__(self, predictor: Predictor, settings: Settings | None = None) -> None:
        card = predictor.card
        if card.task != "classification":
            raise SaccadeError(
                f"sliding windows need a run of classification, this one is of {card.task}",
                name="wrong-task",
            )
        self.predictor = predictor
        self.settings = settings or Settings()
        self.classes = card.fields[0].classes
        self.background = _background(self.classes, self.settings.background)
        shape = (card.preprocessing.channels, card.preprocessing.height, card.preprocessing.width)
        self.network: FullyConvolutional = fully_convolutional(
            cast(Backbone, predictor.model), shape
        )
        self.spent = Spent()
        self._costs: dict[tuple[int, ...], int] = {}

    def sentence(self) -> str:
        """What was spent and saved; and a hint where every window counts as an object."""
        told = self.spent.sentence()
        if self.background is None:
            told += (
                "; no class is called background, so every window was taken for an object: train "
                "with windows without one, or name their class with --background"
            )
        return told

    def __call__(self, sources: Any) -> list[Prediction]:
        """One prediction per picture, as `Predictor` gives them, with `Detections` as results."""
        return list(self.predictor.one_by_one(sources, self.find))

    @torch.inference_mode()
    def find(self, pixels: np.ndarray) -> Detections:
        """Objects of one picture (H, W, C), boxes in its pixels."""
        height, width = pixels.shape[:2]
        found: list[tuple[Tensor, Tensor, Tensor]] = []
        for inputs, scale in self.pyramid(pixels):
            started = time.perf_counter()
            chances = self.probabilities(inputs)
            self._count(inputs, chances, time.perf_counter() - started)
            found.append(self._candidates(chances, scale))
        if not found:
            nothing = torch.zeros(0)
            return Detections(classes=self.classes, boxes=torch.zeros(0, 4), scores=nothing,
                              labels=nothing.long())  # fmt: skip
        placed, scores, labels = (torch.cat(each) for each in zip(*found, strict=True))
        placed = boxes.clip(placed, height, width)
        kept = suppress(placed, scores, labels, threshold=self.settings.iou)
        return Detections(
            classes=self.classes, boxes=placed[kept], scores=scores[kept], labels=labels[kept]
        )

    def pyramid(self, pixels: np.ndarray) -> Iterator[tuple[Tensor, tuple[float, float]]]:
        """(1, C, h, w) normalised input and scale (x, y), from the largest windows to the smallest.

        The first scale lays the window over the picture's shorter side; a picture that is enlarged
        more than LARGEST times shows nothing new.
        """
        preprocessing = self.predictor.card.preprocessing
        height, width = pixels.shape[:2]
        mean = torch.tensor(preprocessing.mean).view(-1, 1, 1)
        std = torch.tensor(preprocessing.std).view(-1, 1, 1)
        plain = torch.from_numpy(pixels.copy()).permute(2, 0, 1).float()[None] / 255
        first = max(preprocessing.height / height, preprocessing.width / width)
        for step in range(self.settings.scales):
            scale = first * STEP**step
            if step and scale > LARGEST:
                return
            size = (
                max(preprocessing.height, round(height * scale)),
                max(preprocessing.width, round(width * scale)),
            )
            resized = F.interpolate(plain, size=size, mode="bilinear", antialias=True)
            yield (resized - mean) / std, (size[1] / width, size[0] / height)

    def probabilities(self, inputs: Tensor) -> Tensor:
        """(1, C, h, w) -> (K, rows, columns) of every window."""
        hardware = self.predictor.hardware
        logits = self.network(inputs.to(hardware.device)).float().cpu()
        maps = logits[0].flatten(1).T  # (windows, K)
        maps = two_logits(maps) if maps.shape[1] == 1 else maps
        return maps.softmax(dim=1).T.view(-1, *logits.shape[2:])

    def _candidates(
        self, chances: Tensor, scale: tuple[float, float]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Windows that are sure of an object: boxes in the picture, probabilities, classes."""
        best, labels = chances.max(dim=0)  # (rows, columns)
        chosen = best >= self.settings.conf
        if self.background is not None:
            chosen &= labels != self.background
        rows, columns = chosen.nonzero(as_tuple=True)
        height, width = self.network.window
        left, top = columns * self.network.stride, rows * self.network.stride
        placed = torch.stack([left, top, left + width, top + height], dim=1)
        return placed / torch.tensor([*scale, *scale]), best[chosen], labels[chosen]

    def _count(self, inputs: Tensor, chances: Tensor, seconds: float) -> None:
        shape, windows = tuple(inputs.shape[1:]), chances[0].numel()
        window = (shape[0], *self.network.window)
        for each in (shape, window):
            if each not in self._costs:
                self._costs[each] = total(describe(self.network, each)).multiply_adds
        self.spent.windows += windows
        self.spent.multiply_adds += self._costs[shape]
        self.spent.apart += windows * self._costs[window]
        self.spent.seconds += seconds
        self.spent.seconds_apart += windows * self._seconds_each(inputs, windows)

    def _seconds_each(self, inputs: Tensor, windows: int) -> float:
        """Time of one window that is cut out, measured on some of them together."""
        height, width = self.network.window
        crops = inputs[:, :, :height, :width].expand(min(TIMED, windows), -1, -1, -1).contiguous()
        crops = crops.to(self.predictor.hardware.device)
        self.predictor.model(crops)
        started = time.perf_counter()
        torch.as_tensor(self.predictor.model(crops)).cpu()  # waits for what was launched
        return (time.perf_counter() - started) / len(crops)


def _background(classes: Sequence[str], named: str | None) -> int | None:
    """Place of the class without object; None = every class is an object."""
    if named is not None:
        if named not in classes:
            raise unknown_name("class", named, classes)
        return classes.index(named)
    known = [place for place, name in enumerate(classes) if name.casefold() in BACKGROUNDS]
    return known[0] if known else None
