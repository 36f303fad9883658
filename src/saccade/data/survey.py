"""A first look at every file of a data set: content hash, size, mode, or why it cannot be read."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import numpy as np

from saccade.data.dataset import Dataset
from saccade.data.read import header
from saccade.errors import SaccadeError
from saccade.types import Notice


class Seen(NamedTuple):
    """A file before decoding. sha256 in hex; height, width as displayed; its mode and format."""

    sha256: str
    height: int
    width: int
    mode: str
    format: str


class Fault(NamedTuple):
    key: str
    reason: str


def survey(dataset: Dataset, max_pixels: int) -> Callable[[int], Seen | Fault]:
    """A function that looks at the file of one row."""

    def look(row: int) -> Seen | Fault:
        key = dataset.examples[row].key
        try:
            data = dataset.source.load(key)
            if isinstance(data, np.ndarray):
                return _seen_array(data)
            head = header(data, max_pixels=max_pixels)
            digest = hashlib.sha256(data).hexdigest()
            return Seen(digest, head.height, head.width, head.mode, head.format)
        except SaccadeError as error:
            return Fault(key, error.message)

    return look


def _seen_array(data: np.ndarray) -> Seen:
    if data.ndim not in (2, 3) or not data.size:
        raise SaccadeError(f"array of shape {data.shape}; expected (H, W[, 1|3|4])")
    layers = data.shape[2] if data.ndim == 3 else 1
    digest = hashlib.sha256(f"{data.dtype.str}{data.shape}".encode())
    digest.update(np.ascontiguousarray(data).tobytes())
    mode = {1: "L", 3: "RGB", 4: "RGBA"}.get(layers, "?")
    return Seen(digest.hexdigest(), data.shape[0], data.shape[1], mode, "")


Done = TypeVar("Done")


def each(
    work: Callable[[int], Done],
    count: int,
    workers: int,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Done]:
    """work(0) ... work(count - 1) in order, by `workers` threads."""
    spans = [range(start, min(start + 16, count)) for start in range(0, count, 16)]
    run = _runner(work)
    if workers < 2:
        yield from _told((run(span) for span in spans), count, progress)
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="saccade-read")
    try:
        yield from _told(pool.map(run, spans), count, progress)
    finally:
        pool.shutdown(cancel_futures=True)


def _runner(work: Callable[[int], Done]) -> Callable[[range], list[Done]]:
    return lambda span: [work(row) for row in span]


def _told(
    parts: Iterable[list[Done]], count: int, progress: Callable[[int, int], None] | None
) -> Iterator[Done]:
    done = 0
    for part in parts:
        yield from part
        done += len(part)
        if progress is not None:
            progress(done, count)


def notices_of(faults: Sequence[Fault]) -> tuple[Notice, ...]:
    """One notice for each kind of reason; numbers in it do not make another kind."""
    kinds: dict[str, list[Fault]] = {}
    for fault in faults:
        plain = re.sub(r"\d[\d,.]*", "0", fault.reason.removeprefix(fault.key))
        kinds.setdefault(plain, []).append(fault)
    return tuple(_notice(kinds[kind]) for kind in sorted(kinds))


def _notice(faults: Sequence[Fault]) -> Notice:
    first = faults[0]
    reason = first.reason.removeprefix(first.key).lstrip(": ")
    more = "" if len(faults) == 1 else f", and {len(faults) - 1} more of the same kind"
    return Notice(
        name="broken-file",
        severity="error",
        message=f"{first.key}: {reason}{more}; skipped: mend or remove",
        files=tuple(sorted(fault.key for fault in faults)),
    )
