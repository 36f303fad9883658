"""Decode a data set once: all pictures as one uint8 tensor, with what is known of each."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import PIL
import torch
from torch import Tensor

from saccade.data.cache import (
    NewStore,
    as_tensor,
    cache_folder,
    memory_limit,
    open_store,
    store_key,
)
from saccade.data.dataset import Dataset
from saccade.data.facts import measure
from saccade.data.read import MAX_PIXELS, picture
from saccade.data.resize import Fit, Size, canvas_of, content, fit_picture, side_needed
from saccade.data.survey import Fault, Seen, each, notices_of, survey
from saccade.errors import SaccadeError
from saccade.types import Geometry, Notice

FORMAT = 2
"""Raised whenever the same file and options would give other pixels or facts."""
SMALL = 64
"""Pictures of one size up to this many pixels keep it."""
PHOTO = 224
MASKED = 512
"""Longer side of the input where masks are learnt, at most."""
DETAIL, CELL = 416, 32
"""Longer side where many things are to be found in a picture; coarsest cell of a grid on it."""
GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L", "I;16N"})


@dataclass(frozen=True, kw_only=True)
class Ingested:
    """Decoded pictures. N are those that can be read; row i means the same picture everywhere.

    pixels    (N, channels, canvas height, canvas width) uint8, channels-last in memory or in a
              file mapped into it; 0 beyond the picture where fit is pad
    geometry  displayed picture -> canvas
    images    facts by name, (N,) each: sha256 of the file, pixel_hash of what it decodes to, width,
              height, mode, format; mean, std (grey, 0..255), sharpness (variance of the Laplacian),
              phash (uint64) of the canvas
    rows      (N,) int64 rows of the data set's examples
    broken    one notice for each reason why pictures cannot be read, with their keys
    height, width, channels, fit, margin   of the network input, as asked for or chosen; the canvas
              is `margin` times the input
    """

    pixels: Tensor
    geometry: Geometry
    images: dict[str, np.ndarray]
    rows: np.ndarray
    broken: tuple[Notice, ...]
    height: int
    width: int
    channels: int
    fit: Fit
    margin: float

    @property
    def inside(self) -> Tensor | None:
        """(N, 4) int64 left, top, right, bottom of pictures on their canvas; None = all filled."""
        return content(self.geometry, (self.pixels.shape[2], self.pixels.shape[3]))


@dataclass(frozen=True, kw_only=True)
class Options:
    """All that decides what a file becomes on its canvas."""

    height: int
    width: int
    channels: int
    fit: Fit
    margin: float
    background: tuple[int, int, int]
    max_pixels: int

    def __post_init__(self) -> None:
        if self.margin != 1 and self.fit != "crop":
            raise SaccadeError(f"margin {self.margin} goes with fit crop only, not {self.fit}")

    @property
    def canvas(self) -> Size:
        return canvas_of(self.height, self.width, self.margin)


def ingest(
    dataset: Dataset,
    *,
    height: int | None = None,
    width: int | None = None,
    channels: int | None = None,
    fit: Fit | None = None,
    margin: float = 1.0,
    workers: int | None = None,
    max_pixels: int = MAX_PIXELS,
    background: tuple[int, int, int] = (255, 255, 255),
    cache_dir: Path | None = None,
    limit: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Ingested:
    """Decode every picture once.

    Args:
        dataset: whose pictures; its files are only read.
        height: of the network input; None = the pictures' own where all are equal and at most
            SMALL, else PHOTO.
        width: likewise; None = height where that is given.
        channels: 1 or 3; None = 1 where every picture is grey.
        fit: None = crop, or pad where boxes, points or masks must not be cut off.
        margin: with crop, how much larger than the input pictures are kept, to be cropped from.
        workers: threads that decode, 0 = none; None = one per core. Changes nothing else.
        max_pixels: larger pictures count as broken.
        background: RGB that transparent pixels are laid on.
        cache_dir: where large data sets are kept; None = `cache.cache_folder()`.
        limit: bytes of pixels up to which they stay in memory; None = `cache.memory_limit()`.
        progress: called with pictures done and in all.

    Returns:
        What could be read, in the order of the examples; unreadable pictures are in `broken`.
    """
    workers = (os.cpu_count() or 1) if workers is None else workers
    found = list(each(survey(dataset, max_pixels), len(dataset), workers))
    seen = [item for item in found if isinstance(item, Seen)]
    options = Options(
        **choose(dataset, seen, height=height, width=width, channels=channels, fit=fit),
        margin=margin,
        background=background,
        max_pixels=max_pixels,
    )
    rows = [row for row, item in enumerate(found) if isinstance(item, Seen)]
    job = Job(dataset, rows, seen, options, workers, progress)
    limit = memory_limit() if limit is None else limit
    pixels, columns = _stored(job, cache_folder() if cache_dir is None else cache_dir, limit)
    faults = [item for item in found if isinstance(item, Fault)]
    for row, reason in json.loads(str(columns.pop("faults"))):
        faults.append(Fault(dataset.examples[rows[row]].key, reason))
    return _ingested(job, pixels, columns, notices_of(faults))


def choose(
    dataset: Dataset,
    seen: Sequence[Seen],
    *,
    height: int | None,
    width: int | None,
    channels: int | None,
    fit: Fit | None,
) -> dict[str, Any]:
    """Height, width, channels and fit: what the caller leaves open, by pictures and annotations."""
    own = {(item.height, item.width) for item in seen}
    alike = len(own) == 1 and max(next(iter(own))) <= SMALL
    kinds = {field.kind for field in dataset.fields}
    natural = _detailed(seen) if "boxes" in kinds else (PHOTO, PHOTO)
    natural = next(iter(own)) if alike else natural
    if not alike and "mask" in kinds:
        natural = _whole(own)
    if height is None:
        height, width = natural if width is None else (width, width)
    if channels is None:
        channels = 1 if seen and all(item.mode in GREY_MODES for item in seen) else 3
    if fit is None:
        placed = any(field.kind in ("box", "boxes", "points", "mask") for field in dataset.fields)
        fit = "pad" if placed else "crop"
    width = height if width is None else width
    return {"height": height, "width": width, "channels": channels, "fit": fit}


def _whole(sizes: Collection[Size]) -> Size:
    """Room for the largest picture as it is, up to MASKED pixels a side: single pixels count.

    A multiple of 32, the stride of most networks.
    """
    height, width = (max((size[axis] for size in sizes), default=PHOTO) for axis in (0, 1))
    scale = min(1.0, MASKED / max(height, width))
    return -(-round(height * scale) // 32) * 32, -(-round(width * scale) // 32) * 32


def _detailed(seen: Sequence[Seen]) -> Size:
    """For things in pictures: the pictures' usual shape, in whole cells of a detector's grid."""
    shapes = sorted(item.width / item.height for item in seen)
    ratio = shapes[len(shapes) // 2] if shapes else 1.0
    short = max(DETAIL // 2, round(DETAIL * min(ratio, 1 / ratio) / CELL + 0.2) * CELL)
    return (short, DETAIL) if ratio >= 1 else (DETAIL, short)


class Job(NamedTuple):
    """What is to be decoded and how. seen: one for each of `rows`, which are of the examples."""

    dataset: Dataset
    rows: Sequence[int]
    seen: Sequence[Seen]
    options: Options
    workers: int
    progress: Callable[[int, int], None] | None


Columns = dict[str, np.ndarray]


def _stored(job: Job, folder: Path, limit: int) -> tuple[np.ndarray, Columns]:
    """Pixels and columns, from the cache or decoded; those above `limit` bytes are put there."""
    shape = (len(job.rows), *job.options.canvas, job.options.channels)
    if int(np.prod(shape)) <= limit:
        pixels = np.empty(shape, dtype=np.uint8)
        columns = _decode_all(pixels, job)
        return pixels[: len(columns["kept"])], columns
    told = {**asdict(job.options), "format": FORMAT, "pillow": PIL.__version__}
    key = store_key((item.sha256 for item in job.seen), told)
    ready = open_store(folder, key)
    if ready is not None:
        return ready
    new = NewStore(folder, shape)
    try:
        columns = _decode_all(new.pixels, job)
        new.keep(key, len(columns["kept"]), columns)
    except BaseException:
        new.drop()
        raise
    ready = open_store(folder, key)
    assert ready is not None
    return ready


def _ingested(
    job: Job, pixels: np.ndarray, columns: Columns, broken: tuple[Notice, ...]
) -> Ingested:
    kept = columns.pop("kept")
    matrix, size = torch.from_numpy(columns.pop("matrix")), torch.from_numpy(columns.pop("size"))
    return Ingested(
        pixels=as_tensor(pixels).permute(0, 3, 1, 2),
        geometry=Geometry(matrix=matrix, size=size),
        images={name: _text(values) for name, values in columns.items()},
        rows=np.asarray(job.rows, dtype=np.int64)[kept],
        broken=broken,
        height=job.options.height,
        width=job.options.width,
        channels=job.options.channels,
        fit=job.options.fit,
        margin=job.options.margin,
    )


def _decode_all(pixels: np.ndarray, job: Job) -> Columns:
    """Fill the first rows of `pixels` with what can be read; columns for those.

    `kept` are their positions among the job's rows; `faults` is JSON of [position, reason].
    """
    faults, kept, matrices, hashes = [], [], [], []
    results = each(_decoder(pixels, job), len(job.rows), _workers(job), job.progress)
    for position, result in enumerate(results):
        if isinstance(result, str):
            faults.append([position, result])
            continue
        kept.append(position)
        matrices.append(result[0])
        hashes.append(result[1])
    for place, position in enumerate(kept):
        if place != position:  # close the gaps of broken files
            pixels[place] = pixels[position]
    sizes = np.array([job.seen[at][1:3] for at in kept], dtype=np.int64).reshape(-1, 2)
    matrix = np.array(matrices, dtype=np.float64).reshape(-1, 3, 3)
    geometry = Geometry(matrix=torch.from_numpy(matrix), size=torch.from_numpy(sizes))
    return {
        "sha256": np.array([job.seen[at].sha256 for at in kept], dtype="S64"),
        "pixel_hash": np.array(hashes, dtype="S32"),
        "width": sizes[:, 1],
        "height": sizes[:, 0],
        "mode": np.array([job.seen[at].mode for at in kept], dtype="S8"),
        "format": np.array([job.seen[at].format for at in kept], dtype="S8"),
        **measure(pixels[: len(kept)], content(geometry, job.options.canvas)),
        "matrix": matrix,
        "size": sizes,
        "kept": np.array(kept, dtype=np.int64),
        "faults": np.array(json.dumps(faults)),
    }


def _workers(job: Job) -> int:
    """One for small pictures: two threads that mostly wait for the interpreter take 1.6 times as
    long as one (28 pixels, two cores); from about 100 pixels on they take half the time.
    """
    areas = [item.height * item.width for item in job.seen]
    return 1 if areas and float(np.median(areas)) <= SMALL**2 else job.workers


def _decoder(pixels: np.ndarray, job: Job) -> Callable[[int], tuple[np.ndarray, str] | str]:
    """Decodes a picture into its row of `pixels`: gives its matrix and hash, or what is wrong."""
    options, canvas = job.options, job.options.canvas

    def decode(position: int) -> tuple[np.ndarray, str] | str:
        size = job.seen[position].height, job.seen[position].width
        try:
            decoded = picture(
                job.dataset.source.load(job.dataset.examples[job.rows[position]].key),
                channels=options.channels,
                background=options.background,
                max_pixels=options.max_pixels,
                at_least=side_needed(size, canvas, options.fit),
            )
        except SaccadeError as error:
            return error.message
        laid, matrix = fit_picture(decoded, size, canvas, options.fit)
        pixels[position] = laid
        digest = hashlib.blake2b(f"{size}{decoded.shape}".encode(), digest_size=16)
        digest.update(np.ascontiguousarray(decoded).data)
        return matrix, digest.hexdigest()

    return decode


def _text(values: np.ndarray) -> np.ndarray:
    return values.astype(str) if values.dtype.kind == "S" else values
