"""Writing that survives a crash: a file is either the old one or the new one, whole."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
from pathlib import Path

from saccade.errors import SaccadeError


def write_atomic(path: Path, content: bytes | str) -> None:
    """Replace `path` by `content` in one step: temporary file, fsync, rename, fsync of the folder.

    Raises SaccadeError ("disk-full" or "not-writable") and leaves the old file as it was.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(0o666 & ~_UMASK)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        sync_folder(path.parent)
    except OSError as error:
        raise write_error(path, error) from error


def check_outside(place: Path, data: str | Path, option: str) -> None:
    """The user's data are never written to. Raises SaccadeError "inside-data".

    place: what is to be written; data: a folder or a file; option: how the place was named.
    """
    own, target = Path(data).resolve(), place.resolve()
    inside = own.is_dir() and target.is_relative_to(own)
    if inside or target == own:
        raise SaccadeError(
            f"{option} {place}: that lies in the data {data}, which saccade never writes to. Name "
            "a place outside.",
            name="inside-data",
            files=[str(place)],
        )


def sync_folder(folder: Path) -> None:
    """Make renames inside `folder` last through a power loss; Windows has no such call."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def cache_folder() -> Path:
    """SACCADE_CACHE, or the folder the platform has for caches."""
    chosen = os.environ.get("SACCADE_CACHE")
    if chosen:
        return Path(chosen)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "saccade"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData/Local")) / "saccade"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "saccade"


def write_error(path: Path, error: OSError) -> SaccadeError:
    """What to tell the user when writing fails."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return SaccadeError(
            f"{path}: the disk is full. What was saved before is intact; free some space and go on "
            "with --resume.",
            name="disk-full",
            files=[str(path)],
        )
    return SaccadeError(
        f"{path}: cannot be written ({error.strerror or error}). What was saved before is intact; "
        "choose a writable place with --project.",
        name="not-writable",
        files=[str(path)],
    )


def _read_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


# read once: os.umask can only be read by setting it, which is not safe beside other threads
_UMASK = _read_umask()
