"""Pictures that are unlike the others: empty, of odd size or colour, or misnamed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import PurePath

import numpy as np

from saccade.data.checks.facts import Facts, listed, on_pictures
from saccade.types import Notice

CONSTANT = 1.0  # standard deviation of grey levels, 0..255
ELONGATED = 4.0  # times the usual aspect ratio
SIZE_FACTOR = 4.0  # times smaller or larger than the usual shorter side
GREY = frozenset({"1", "L", "LA", "I", "F"})

SUFFIXES = {
    "JPEG": {".jpg", ".jpeg", ".jpe", ".jfif", ".jif"},
    "PNG": {".png", ".apng"},
    "GIF": {".gif"},
    "BMP": {".bmp", ".dib"},
    "TIFF": {".tif", ".tiff"},
    "WEBP": {".webp"},
    "PPM": {".ppm", ".pgm", ".pbm", ".pnm"},
    "AVIF": {".avif", ".avifs"},
    "HEIF": {".heif", ".heic", ".hif"},
}
"""Names of formats as `read.sniff` gives them -> what their files are called."""


def constant_pictures(facts: Facts) -> Iterator[Notice]:
    """Pictures of one even colour."""
    rows = np.flatnonzero(facts.images["std"] < CONSTANT)
    yield from on_pictures(
        facts,
        rows,
        "constant-picture",
        "warning",
        "one even tone, nothing to see; remove or replace them",
    )


def odd_sizes(facts: Facts) -> Iterator[Notice]:
    """Pictures much smaller, larger or more elongated than the others."""
    width, height = (facts.images[name].astype(float) for name in ("width", "height"))
    if not len(width):
        return
    side, aspect = np.minimum(width, height), np.log(width / height)
    usual = float(np.median(side))
    size = np.abs(np.log(side / usual)) > np.log(SIZE_FACTOR)
    shape = np.abs(aspect - np.median(aspect)) > np.log(ELONGATED)
    yield from on_pictures(
        facts,
        np.flatnonzero(size | shape),
        "odd-size",
        "info",
        f"over {SIZE_FACTOR:.0f} times smaller, larger or more elongated than the usual "
        f"({usual:.0f} pixels on the shorter side); look whether they belong here",
    )


def mixed_modes(facts: Facts) -> Iterator[Notice]:
    """Grey pictures among coloured ones, which a network may take for a sign of the class."""
    modes = facts.images["mode"].tolist()
    grey = np.array([str(mode).partition(";")[0] in GREY for mode in modes], dtype=bool)
    fewer = grey if grey.sum() * 2 <= len(grey) else ~grey
    kind = "grey, the others in colour" if fewer is grey else "in colour, the others grey"
    yield from on_pictures(
        facts,
        np.flatnonzero(fewer),
        "mixed-modes",
        "info",
        f"{kind}; look that this does not give the class away (--set data.channels=1 makes "
        "all grey)",
    )


def wrong_suffixes(facts: Facts) -> Iterator[Notice]:
    """Files whose name promises another format than their content has."""
    formats = facts.images.get("format")
    if formats is None:
        return
    known = set().union(*SUFFIXES.values())
    rows = [
        row
        for row, (key, kind) in enumerate(zip(facts.keys, formats.tolist(), strict=True))
        if (suffix := PurePath(key).suffix.lower()) in known
        and kind in SUFFIXES
        and suffix not in SUFFIXES[kind]
    ]
    kinds = Counter(f"{PurePath(facts.keys[row]).suffix} is {formats[row]}" for row in rows)
    told = listed([f"{what} {n} times" for what, n in kinds.most_common()])
    yield from on_pictures(
        facts,
        np.array(rows, dtype=np.int64),
        "extension-mismatch",
        "info",
        f"the name does not fit the content ({told}); read all the same, but "
        "other programs may refuse it: rename",
    )
