"""A place with files in it: what every reader of a format looks at, folder and zip alike."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

from saccade.errors import SaccadeError
from saccade.types import Notice

_ENDINGS = (
    ".jpg .jpeg .jpe .jfif .png .apng .gif .bmp .dib .tif .tiff .webp .pgm .ppm .pbm .pnm .mpo "
    ".avif .heic .heif .hif"
)
PICTURES = frozenset(_ENDINGS.split())
"""Endings of picture files; what they hold is decided by their content."""

LARGEST_FILE = 1 << 30
"""Bytes; a larger file is not a picture or a table that could be meant."""

_HIDDEN = frozenset({"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin"})


class Tree(Protocol):
    """Files below one root, named by their path with "/" between folders."""

    @property
    def name(self) -> str: ...
    @property
    def root(self) -> str: ...
    @property
    def files(self) -> tuple[str, ...]:
        """Every file that is not hidden, sorted."""
        ...

    @property
    def folders(self) -> tuple[str, ...]:
        """Every folder that is not hidden, empty ones included, sorted."""
        ...

    @property
    def notices(self) -> tuple[Notice, ...]: ...
    def exists(self, key: str) -> bool: ...
    def load(self, key: str) -> bytes: ...
    def head(self, key: str, size: int) -> bytes:
        """The first `size` bytes; fewer where the file is shorter."""
        ...


def hidden(name: str) -> bool:
    """True for files and folders that machines leave behind (.ipynb_checkpoints, __MACOSX)."""
    return name.startswith(".") or name.casefold() in _HIDDEN


def suffix(key: str) -> str:
    """The ending in lower case, ".jpg"; "" where there is none."""
    name = key[key.rfind("/") + 1 :]
    dot = name.rfind(".")
    return name[dot:].lower() if dot > 0 else ""


def is_picture_name(key: str) -> bool:
    return suffix(key) in PICTURES


def printable(name: str) -> str:
    """A name for messages: bytes that are no UTF-8 and control characters become escapes."""
    clean = name.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in clean)


def shown(names: Sequence[str]) -> str:
    """The first five names, for a message."""
    return ", ".join(map(printable, names[:5])) + (" ..." if len(names) > 5 else "")


def children(folders: Iterable[str], parent: str) -> list[str]:
    """Names of the folders directly below `parent` ("" is the root)."""
    prefix = f"{parent}/" if parent else ""
    below = (path[len(prefix) :] for path in folders if path.startswith(prefix))
    return sorted({path for path in below if path and "/" not in path})


def hidden_notices(found: Iterable[str]) -> list[Notice]:
    paths = tuple(sorted(found))
    if not paths:
        return []
    return [
        Notice(
            name="hidden-folder",
            severity="info",
            message=f"{len(paths)} hidden files or folders are left out: {shown(paths)}",
            files=paths,
        )
    ]


@dataclass
class _Listing:
    files: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Folder:
    """A folder of the user's, read only. Listed when first asked."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.absolute().name or "data"

    @property
    def root(self) -> str:
        return str(self.path)

    @cached_property
    def _listing(self) -> _Listing:
        return _list(self.root)

    @cached_property
    def files(self) -> tuple[str, ...]:
        return tuple(sorted(self._listing.files))

    @cached_property
    def folders(self) -> tuple[str, ...]:
        return tuple(sorted(self._listing.folders))

    @cached_property
    def notices(self) -> tuple[Notice, ...]:
        listing = self._listing
        return tuple(
            [
                *hidden_notices(listing.hidden),
                *_notice("special-file", listing.odd, "are no regular files and are left out"),
                *_notice(
                    "repeated-folder",
                    listing.repeated,
                    "are links to folders already visited and are left out",
                ),
                *_notice(
                    "unreadable-folder",
                    listing.unreadable,
                    "cannot be listed; give yourself the right to read them",
                ),
            ]
        )

    def exists(self, key: str) -> bool:
        return _is_file(os.path.join(self.root, key))  # noqa: PTH118 - keeps odd names as they are

    def load(self, key: str) -> bytes:
        """All bytes. Raises SaccadeError "broken-file" where they cannot be read."""
        return _read(self.root, key, None)

    def head(self, key: str, size: int) -> bytes:
        return _read(self.root, key, size)


def _is_file(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)  # noqa: PTH116
    except (OSError, ValueError):
        return False


def _read(root: str, key: str, size: int | None) -> bytes:
    path = os.path.join(root, key)  # noqa: PTH118
    try:
        found = os.stat(path)  # noqa: PTH116 - a pipe must not be opened
        if not stat.S_ISREG(found.st_mode):
            raise broken(key, "is no regular file")
        if size is None and found.st_size > LARGEST_FILE:
            raise broken(key, f"has {found.st_size} bytes, more than the {LARGEST_FILE} allowed")
        with open(path, "rb") as file:  # noqa: PTH123
            return file.read() if size is None else file.read(size)
    except FileNotFoundError:
        raise broken(key, "does not exist") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise broken(key, f"cannot be read: {reason}") from error


def broken(key: str, reason: str) -> SaccadeError:
    """The one form in which a picture that cannot be used is named."""
    return SaccadeError(f"{printable(key)}: {reason}", name="broken-file", files=[key])


def _notice(name: str, paths: list[str], fate: str) -> Iterator[Notice]:
    if paths:
        message = f"{len(paths)} entries {fate}: {shown(sorted(paths))}"
        yield Notice(name=name, severity="warning", message=message, files=tuple(sorted(paths)))


def _list(root: str) -> _Listing:
    """Walk the folder. Links to folders come last, and no folder is visited twice."""
    listing = _Listing()
    visited: set[tuple[int, int]] = set()
    links: list[str] = []
    pending = [""]
    while pending or links:
        relative = pending.pop() if pending else links.pop(0)
        path = os.path.join(root, relative) if relative else root  # noqa: PTH118
        try:
            found = os.stat(path)  # noqa: PTH116
            entries = sorted(os.scandir(path), key=lambda entry: entry.name)
        except OSError:
            listing.unreadable.append(relative or root)
            continue
        if (found.st_dev, found.st_ino) in visited:
            listing.repeated.append(relative)
            continue
        visited.add((found.st_dev, found.st_ino))
        if relative:
            listing.folders.append(relative)
        for entry in entries:
            _sort_in(entry, relative, listing, pending, links)
    return listing


def _sort_in(
    entry: os.DirEntry[str], parent: str, listing: _Listing, pending: list[str], links: list[str]
) -> None:
    key = f"{parent}/{entry.name}" if parent else entry.name
    try:
        folder, regular = entry.is_dir(), entry.is_file()
    except OSError:  # a link to itself
        folder = regular = False
    if hidden(entry.name):
        listing.hidden.append(key)
    elif folder:
        (links if entry.is_symlink() else pending).append(key)
    elif regular or (entry.is_symlink() and is_picture_name(key)):
        listing.files.append(key)  # a dangling link to a picture is named broken when loaded
    else:
        listing.odd.append(key)
