"""IDX files, as MNIST came (LeCun, http://yann.lecun.com/exdb/mnist): *-ubyte, plain or gzipped.

Header, big-endian: 0, 0, type (8 = uint8, 12 = int32), number of axes, then each axis as uint32.
`train-images-idx3-ubyte` goes with `train-labels-idx1-ubyte`; t10k is the test part.
"""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from saccade.data.dataset import Dataset, choose_task, class_notices, class_table
from saccade.data.samples import Arrays
from saccade.data.tree import Tree, shown
from saccade.errors import SaccadeError
from saccade.types import Example, Field, Notice, Split

LARGEST_ARRAY = 4 << 30
"""Bytes of one unpacked file."""

_TYPES: dict[int, np.dtype[Any]] = {
    8: np.dtype(">u1"),
    9: np.dtype(">i1"),
    11: np.dtype(">i2"),
    12: np.dtype(">i4"),
}


@dataclass(frozen=True)
class Pair:
    """Pictures and their labels. images, labels: keys in the tree."""

    images: str
    labels: str
    part: Split | None


def sniff(tree: Tree) -> int:
    """2 where a file of pictures has its file of labels."""
    return 2 if pairs(tree) else 0


def pairs(tree: Tree) -> list[Pair]:
    """Files of pictures with the file of labels of the same name, in the order of their names."""
    found = []
    files = {key.lower(): key for key in tree.files}
    for lower, key in files.items():
        folder, _, name = lower.rpartition("/")
        if "ubyte" not in name or "images" not in name:
            continue
        if name.endswith(".gz") and lower.removesuffix(".gz") in files:
            continue  # the same pictures, packed
        partner = name.replace("images", "labels")
        for ending in ("", ".gz"):
            stem = partner.removesuffix(".gz").replace("idx3", "idx1").replace("idx4", "idx1")
            labels = files.get(f"{folder}/{stem}{ending}".lstrip("/"))
            if labels is not None:
                found.append(Pair(key, labels, _part(name)))
                break
    return found


def _part(name: str) -> Split | None:
    words = name.replace(".", "-").replace("_", "-").split("-")
    if "t10k" in words or "test" in words:
        return "test"
    if "train" in words:
        return "train"
    return "dev" if {"val", "valid", "validation", "dev"} & set(words) else None


def read(tree: Tree, task: str | None = None) -> Dataset:
    """Classification of the pictures of every pair; class names are the label numbers.

    Raises SaccadeError "broken-idx" where a file is damaged or the counts differ.
    """
    tasks = ("classification",)
    choose_task(task, tasks, tree.root)
    examples: list[Example] = []
    arrays: dict[str, np.ndarray] = {}
    found = pairs(tree)
    for pair in found:
        images = pictures(tree, pair.images)
        labels = _array(tree, pair.labels)
        if labels.ndim != 1 or len(labels) != len(images):
            raise _broken(
                pair.labels,
                f"holds labels of shape {labels.shape}, but {pair.images} has {len(images)} "
                "pictures; expected one label each",
            )
        arrays[pair.images] = images
        examples += [
            Example(key=f"{pair.images}#{row}", target={"label": str(label)}, split=pair.part)
            for row, label in enumerate(labels.tolist())
        ]
    field = Field(name="label", kind="label", classes=class_table(examples, "label"))
    return Dataset(
        name=tree.name,
        root=tree.root,
        examples=tuple(examples),
        fields=(field,),
        source=Arrays(arrays),
        notices=(*tree.notices, *_unused(tree, found), *class_notices(examples, field)),
        tasks=tasks,
        reason=f"IDX files give each picture one of {len(field.classes)} labels",
    )


def _unused(tree: Tree, found: list[Pair]) -> list[Notice]:
    used = {name for pair in found for name in (pair.images, pair.labels)}
    left = [key for key in tree.files if "ubyte" in key.lower() and key not in used]
    message = f"{len(left)} IDX files are left out: {shown(left)}"
    return [Notice(name="loose-file", severity="warning", message=message, files=tuple(left))][
        : len(left)
    ]


def pictures(tree: Tree, key: str) -> np.ndarray:
    """(N, H, W) or (N, H, W, 3) uint8."""
    images = _array(tree, key)
    grey = images.ndim == 3
    if images.dtype != np.uint8 or not (grey or (images.ndim == 4 and images.shape[3] == 3)):
        raise _broken(
            key, f"holds {images.dtype} {images.shape}; expected uint8 (N, H, W) or (N, H, W, 3)"
        )
    if not images.size:
        raise _broken(key, f"holds no picture: {images.shape}")
    return images


def _array(tree: Tree, key: str) -> np.ndarray:
    data = tree.load(key)
    stream: io.BufferedIOBase = io.BytesIO(data)
    if data[:2] == b"\x1f\x8b":
        stream = gzip.GzipFile(fileobj=io.BytesIO(data))
    try:
        shape, kind = _header(stream, key)
        expected = int(np.prod(shape, dtype=object)) * kind.itemsize
        if expected > LARGEST_ARRAY:
            raise _broken(key, f"says it holds {expected:,} bytes; {LARGEST_ARRAY:,} are allowed")
        body = _exactly(stream, expected)
        if len(body) < expected or stream.read(1):
            found = f"{len(body):,}" if len(body) < expected else "more"
            raise _broken(key, f"says {shape}, {expected:,} bytes, but holds {found}")
    except (EOFError, zlib.error, gzip.BadGzipFile, OSError) as error:
        raise _broken(key, f"cannot be unpacked: {error}") from error
    return np.frombuffer(body, kind).reshape(shape).astype(kind.newbyteorder("="), copy=False)


def _header(stream: io.BufferedIOBase, key: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    start = stream.read(4)
    if len(start) < 4 or start[:2] != b"\0\0" or start[2] not in _TYPES or not 1 <= start[3] <= 4:
        raise _broken(key, f"begins {start.hex(' ')}; expected an IDX header such as 00 00 08 03")
    axes = stream.read(4 * start[3])
    if len(axes) < 4 * start[3]:
        raise _broken(key, "ends within its header")
    return struct.unpack(f">{start[3]}I", axes), _TYPES[start[2]]


def _exactly(stream: io.BufferedIOBase, size: int) -> bytearray:
    """Up to `size` bytes, claiming memory only as they come: a header may promise anything."""
    body = bytearray()
    while len(body) < size:
        chunk = stream.read(min(1 << 24, size - len(body)))
        if not chunk:
            break
        body += chunk
    return body


def _broken(key: str, reason: str) -> SaccadeError:
    return SaccadeError(f"{key}: {reason}", name="broken-idx", files=[key])
