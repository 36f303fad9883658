"""What can be seen of a picture without a person: the automatic tags of the error table."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from saccade.diagnose import pictures
from saccade.diagnose.labels import out_of_sample
from saccade.types import Evidence

TRAITS = (
    "blurred",
    "dark",
    "small",
    "at the border",
    "odd aspect",
    "near-duplicate",
    "suspected label",
)
"""Every automatic tag, in the order in which they are shown."""

FAR = 2.0
"""Robust standard deviations from the median at which a picture counts as unlike the others."""

SMALL, ODD = 0.5, 1.5
"""Times the usual shorter side, and the usual width over height."""

MOST = 0.5
"""What is true of more pictures than this tells none of them apart."""

SIDE = 48
"""Pixels of the thumbnails on which objects at the border are looked for."""

EVEN, SAME, APART, TOUCHING = 0.7, 10, 40, 0.04
"""Share of the border that has to show an even background, grey levels within which tones are the
same and beyond which they are not, and the share of the border on which something else is seen."""


def traits(evidence: Evidence, part: str, thumbnails: Mapping[int, bytes]) -> dict[str, np.ndarray]:
    """Tag -> (n,) bool over the rows of the part's predictions; tags that fit nothing are left out.

    thumbnails: index -> JPEG.
    """
    rows = evidence.predictions[part]
    index = np.asarray(rows["index"])
    found = _facts(evidence, index) if len(evidence.images) else {}
    found["at the border"] = _border(evidence, rows, thumbnails)
    found["near-duplicate"] = _copies(evidence, part, index)
    if evidence.task == "classification" and len(index) > 1:
        keys = {suspect.key for suspect in out_of_sample(evidence, part)}
        found["suspected label"] = np.array([key in keys for key in rows["key"]])
    return {name: found[name] for name in TRAITS if name in found and _tells(found[name])}


def _tells(values: np.ndarray) -> bool:
    return bool(values.any()) and float(values.mean()) <= MOST


def _facts(evidence: Evidence, index: np.ndarray) -> dict[str, np.ndarray]:
    """Tags from data.parquet; what is usual is the median of all pictures."""
    images = evidence.images
    std = np.maximum(images["std"].astype(np.float64), 1.0)
    # contrast raises the Laplacian as blur lowers it, so it is divided out
    detail = np.log(np.maximum(images["sharpness"].astype(np.float64), 1e-3) / std**2)
    width, height = (images[name].astype(np.float64) for name in ("width", "height"))
    side, aspect = np.minimum(width, height), np.log(width / height)
    found = {
        "blurred": _unusual(detail) < -FAR,
        "dark": _unusual(images["mean"].astype(np.float64)) < -FAR,
        "small": side < SMALL * np.median(side),
        "odd aspect": np.abs(aspect - np.median(aspect)) > np.log(ODD),
    }
    return {name: values[index] for name, values in found.items()}


def _unusual(values: np.ndarray) -> np.ndarray:
    """Distance from the median in standard deviations, these by the median absolute deviation."""
    off = values - np.median(values)
    spread = 1.4826 * float(np.median(np.abs(off)))
    return off / spread if spread > 0 else np.zeros_like(off)


def _copies(evidence: Evidence, part: str, index: np.ndarray) -> np.ndarray:
    """A copy lies in training, or twice in this part."""
    images = evidence.images
    if not len(images.get("split", ())):
        return np.zeros(len(index), dtype=bool)
    own = np.flatnonzero(images["split"] == part)
    leaked = np.zeros(len(images["split"]), dtype=bool)
    if part != "train":
        leaked[own] = pictures.leaked(evidence, part)
    _, back, counts = np.unique(
        images["pixel_hash"][index].astype(str), return_inverse=True, return_counts=True
    )
    return np.asarray(leaked[index] | (counts[back.reshape(-1)] > 1))


def _border(
    evidence: Evidence, rows: Mapping[str, Any], thumbnails: Mapping[int, bytes]
) -> np.ndarray:
    """Something reaches the border: a named box, else what is not the even background."""
    pairs = zip(rows["target"], rows["index"].tolist(), strict=True)
    boxes = [_reaches(text, evidence, index) for text, index in pairs]
    if any(value is not None for value in boxes):
        return np.array([bool(value) for value in boxes])
    if (evidence.recipe.get("data") or {}).get("fit") == "pad":
        return np.zeros(len(boxes), dtype=bool)  # the padding is a border of its own
    return np.array([_touches(thumbnails.get(int(index))) for index in rows["index"]])


def _reaches(text: Any, evidence: Evidence, index: int) -> bool | None:
    """Whether an annotated box ends at the rim of its picture; None where there is no box."""
    if not isinstance(text, str) or '"box"' not in text:
        return None
    target = json.loads(text)
    objects = target if isinstance(target, list) else [target]
    boxes = [item["box"] for item in objects if isinstance(item, dict) and item.get("box")]
    if not boxes or not len(evidence.images):
        return False
    width, height = (int(evidence.images[name][index]) for name in ("width", "height"))
    return any(min(x1, y1) <= 1 or x2 >= width - 1 or y2 >= height - 1 for x1, y1, x2, y2 in boxes)


def _touches(jpeg: bytes | None) -> bool:
    if jpeg is None:
        return False
    with Image.open(io.BytesIO(jpeg)) as picture:
        picture.draft("L", (SIDE, SIDE))
        grey = np.asarray(picture.convert("L").resize((SIDE, SIDE)), dtype=np.int16)
    rim = np.concatenate([grey[0], grey[-1], grey[1:-1, 0], grey[1:-1, -1]])
    off = np.abs(rim - np.median(rim))
    return bool((off <= SAME).mean() >= EVEN and (off > APART).mean() >= TOUCHING)
