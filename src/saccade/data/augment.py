"""Which random changes training pictures get, and what suits which task.

How a change is drawn and applied stands in `views.py` (where each input pixel comes from) and
`color.py` (what becomes of its value).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Literal

from saccade.errors import SaccadeError

Padding = Literal["reflect", "edge", "mean"]


@dataclass(frozen=True, kw_only=True)
class Augment:
    """Random changes of a training picture; zeros (and ones for `scale`, `ratio`) leave it alone.

    mirror      probability of left and right exchanged
    alternate   mirror each picture by chance in the first epoch, then every other epoch
                (Jordan: 94% on CIFAR-10 in 3.29 seconds, 2024); `mirror` is not used then
    flip        probability of top and bottom exchanged
    shift       largest move of the picture, as a share of the input's side
    scale       smallest and largest share of the input's area that is shown, filling the input:
                0.5 zooms in, 2 shows twice the area
    ratio       smallest and largest width by height of what is shown, relative to the input's
    rotate      largest angle in degrees, either way
    shear       largest slant in degrees, either way
    warp        largest perspective: the share by which one side comes nearer, either way; below 1
    brightness  all values times 1 - b ... 1 + b
    contrast    distance from the mean colour times 1 - c ... 1 + c
    saturation  distance from grey times 1 - s ... 1 + s
    color       each channel plus -c ... c, on the 0..1 scale
    lighting    standard deviation of the shift along the principal axes of the channels, in their
                eigenvalues (Krizhevsky and others 2012, section 4.1: 0.1)
    elastic     standard deviation of smooth random displacements, in pixels of the input, at each
                node of a grid of about 64 pixels (Ronneberger et al. 2015: 10)
    erase       side of a square set to the mean, as a share of the input's side
                (DeVries and Taylor: Cutout, 2017)
    padding     what lies beyond the picture: its reflection, its edge again and again, or the mean
                colour
    mixup       two pictures laid over each other, their shares drawn from Beta(mixup, mixup);
                usual 0.2 (see `mixing.py`)
    cutmix      a rectangle of another picture, its area drawn likewise; usual 1. Where both are
                given, each batch gets one of them by chance
    """

    mirror: float = 0.5
    flip: float = 0.0
    shift: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)
    ratio: tuple[float, float] = (1.0, 1.0)
    rotate: float = 0.0
    shear: float = 0.0
    warp: float = 0.0
    elastic: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    color: float = 0.0
    lighting: float = 0.0
    erase: float = 0.0
    alternate: bool = False
    padding: Padding = "reflect"
    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        for item in fields(self):
            if item.name not in ("alternate", "padding"):
                _check(item.name, getattr(self, item.name))
        if self.padding not in ("reflect", "edge", "mean"):
            raise _error("padding", self.padding, "reflect, edge or mean")

    @property
    def moves_whole_pixels(self) -> bool:
        """Whether only mirroring and shifts by whole pixels occur, so that nothing is resampled."""
        same = self.scale == (1.0, 1.0) and self.ratio == (1.0, 1.0)
        return same and not (self.rotate or self.shear or self.warp or self.elastic)


LIMITS = {
    "mirror": 1.0,
    "flip": 1.0,
    "shift": 0.5,
    "scale": 16.0,
    "ratio": 16.0,
    "rotate": 180.0,
    "shear": 60.0,
    "warp": 0.9,
    "elastic": 64.0,
    "erase": 1.0,
}
"""The largest sensible value of each option; 10 for the rest."""


def _check(name: str, value: float | tuple[float, float]) -> None:
    limit = LIMITS.get(name, 10.0)
    if isinstance(value, tuple):
        low, high = value
        if not 1 / limit <= low <= high <= limit:
            raise _error(name, value, f"two rising numbers in {1 / limit:g} ... {limit:g}")
    elif not (math.isfinite(value) and 0 <= value <= limit):
        raise _error(name, value, f"a number in 0 ... {limit:g}")


def _error(name: str, value: object, expected: str) -> SaccadeError:
    return SaccadeError(f"augment.{name} is {value}; expected {expected}", name="bad-augment")


NONE = Augment(mirror=0.0)

DEFAULTS: dict[str, Augment] = {
    # photos: one sees the same thing from nearer, tilted, in other light
    "photos": Augment(
        scale=(0.6, 1.0),
        ratio=(0.85, 1.18),
        rotate=8.0,
        brightness=0.2,
        contrast=0.2,
        saturation=0.2,
        lighting=0.1,
    ),
    # pictures of 17 to 64 pixels: an eighth of the side is 4 of CIFAR's 32 pixels (ResNet, 2015)
    "small": Augment(shift=0.125),
    # at most 16 pixels: letters and digits, which mirroring turns into something else
    "tiny": Augment(mirror=0.0, shift=0.07, scale=(0.85, 1.18), rotate=8.0, padding="edge"),
    # a number may depend on size and place of things, on brightness, and on left and right
    "values": Augment(mirror=0.0, shift=0.05, brightness=0.1, contrast=0.1),
    "values, small": Augment(mirror=0.0, shift=0.0625),
    # boxes: what leaves the picture is gone, and reflections would be objects without a box
    "boxes": Augment(
        shift=0.1,
        scale=(0.5, 1.5),
        ratio=(0.85, 1.18),
        brightness=0.2,
        contrast=0.2,
        saturation=0.2,
        padding="mean",
    ),
    # no mirroring: it would exchange left and right points without their names
    "points": Augment(
        mirror=0.0,
        shift=0.06,
        scale=(0.8, 1.3),
        rotate=15.0,
        brightness=0.2,
        contrast=0.2,
        padding="mean",
    ),
    "masks": Augment(
        scale=(0.5, 1.2), ratio=(0.85, 1.18), rotate=10.0, brightness=0.2, contrast=0.2
    ),
    # one kind of thing on a ground, as cells under a microscope: no side is up (Ronneberger et al.
    # 2015: elastic deformation is what teaches most where few pictures are labelled)
    "things": Augment(
        flip=0.5, scale=(0.7, 1.3), rotate=180.0, elastic=4.0, brightness=0.2, contrast=0.2
    ),
    "faces": Augment(
        shift=0.04, scale=(0.85, 1.1), rotate=5.0, brightness=0.2, contrast=0.2, saturation=0.1
    ),
}
"""What suits which kind of picture and task; see `default_augment`."""

_BY_TASK = {
    "regression": "values",
    "multitask": "values",
    "localization": "boxes",
    "detection": "boxes",
    "landmarks": "points",
    "segmentation": "masks",
    "verification": "faces",
    "recognition": "faces",
}


def default_augment(
    task: str, height: int, width: int, channels: int, mask_classes: int = 0
) -> Augment:
    """The augmentation a task starts with.

    Args:
        task: name in the table of tasks; unknown ones are treated as classification.
        height: of the network input, in pixels.
        width: of the network input, in pixels.
        channels: 1 grey, 3 colour.
        mask_classes: classes of masks, background included.
    """
    side = max(height, width)
    name = _BY_TASK.get(task)
    if name == "masks" and mask_classes == 2:
        name = "things"
    if name == "values" and side <= 64:
        name = "values, small"
    if name is None:
        name = "photos" if side > 64 else "small"
        if side <= 16:
            name = "tiny"
    return DEFAULTS[name]
