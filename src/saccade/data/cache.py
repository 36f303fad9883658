"""Decoded pictures kept between runs: uint8 files, mapped into memory, named by what is in them.

A store is a folder <key>/ with pixels.bin (N x height x width x C bytes), columns.npz and
store.json. It is written under another name, flushed to the disk and renamed when complete, so that
a name in the cache always means a whole store.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from saccade.errors import SaccadeError
from saccade.files import cache_folder as cache_folder

LARGEST_IN_MEMORY = 1 << 30
"""Bytes of pixels that are held in memory whatever the machine has; more go to the cache."""


def memory_limit() -> int:
    """Bytes of pixels to hold in memory: LARGEST_IN_MEMORY or a quarter of what is free."""
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not told by this platform
        return LARGEST_IN_MEMORY
    return min(LARGEST_IN_MEMORY, free // 4)


def store_key(contents: Iterable[str], options: Mapping[str, Any]) -> str:
    """Name of the store of files with these SHA-256 digests, in this order, read with `options`."""
    digest = hashlib.sha256(json.dumps(options, sort_keys=True).encode())
    for content in contents:
        digest.update(content.encode() + b"\n")
    return digest.hexdigest()[:40]


def open_store(folder: Path, key: str) -> tuple[np.ndarray, dict[str, np.ndarray]] | None:
    """Pixels (N, H, W, C) uint8, mapped read-only, and columns; None where there is no store."""
    place = folder / key
    try:
        told = json.loads((place / "store.json").read_text())
        shape = tuple(told["shape"])
        if (place / "pixels.bin").stat().st_size != max(1, int(np.prod(shape))):
            return None
        with np.load(place / "columns.npz", allow_pickle=False) as file:
            columns = {name: file[name] for name in file.files}
        return np.memmap(place / "pixels.bin", dtype=np.uint8, mode="r", shape=shape), columns
    except (OSError, ValueError, KeyError):
        return None


class NewStore:
    """A store being written. Fill `pixels`, then `keep` it; `drop` it after a fault."""

    def __init__(self, folder: Path, shape: tuple[int, ...]) -> None:
        """Claims the space for `shape` (N, H, W, C); SaccadeError where there is none."""
        self._folder = folder
        size = max(1, int(np.prod(shape)))
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._place = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder))
            self._claim(size)
        except OSError as error:
            raise SaccadeError(
                f"{folder}: cannot keep {size / 1e9:.1f} GB of decoded pictures there "
                f"({error.strerror or error}); free some space or set SACCADE_CACHE to a folder "
                "on a larger disk",
                name="cache-unwritable",
                files=[str(folder)],
            ) from error
        self.pixels: np.ndarray = np.memmap(self._file, dtype=np.uint8, mode="r+", shape=shape)

    @property
    def _file(self) -> Path:
        return self._place / "pixels.bin"

    def _claim(self, size: int) -> None:
        # a mapped file that outgrows its disk kills the process, so all is claimed beforehand
        try:
            with self._file.open("wb") as file:
                if shutil.disk_usage(self._place).free < size:
                    raise OSError(28, "No space left on device")
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, size)
                else:
                    file.truncate(size)
        except OSError:
            self.drop()
            raise

    def keep(self, key: str, count: int, columns: Mapping[str, np.ndarray]) -> None:
        """Cut to the first `count` rows and publish as `key`, unless another process just did."""
        pixels = self.pixels
        assert isinstance(pixels, np.memmap)
        shape = (count, *pixels.shape[1:])
        pixels.flush()
        del self.pixels, pixels
        with self._file.open("r+b") as file:
            file.truncate(max(1, int(np.prod(shape))))
            os.fsync(file.fileno())
        with (self._place / "columns.npz").open("wb") as file:
            np.savez(file, **dict(columns))  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        (self._place / "store.json").write_text(json.dumps({"shape": shape}))
        try:
            self._place.rename(self._folder / key)
        except OSError:
            self._replace(key)

    def _replace(self, key: str) -> None:
        """The name is taken: by a whole store, which stays, or by remains of a broken one."""
        if open_store(self._folder, key) is None:
            shutil.rmtree(self._folder / key, ignore_errors=True)
            self._place.rename(self._folder / key)
        else:
            self.drop()

    def drop(self) -> None:
        shutil.rmtree(self._place, ignore_errors=True)


def as_tensor(pixels: np.ndarray) -> Any:
    """A torch view of `pixels`, mapped read-only or not; nobody writes into it."""
    import torch

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(np.asarray(pixels))
