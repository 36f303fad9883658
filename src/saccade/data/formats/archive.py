"""A zip file seen as a tree of files. Nothing is ever extracted.

Members with names outside the archive's root, links, encrypted members and archives that unpack to
absurd sizes are refused when the file is opened; sizes are held to again when a member is read.
"""

from __future__ import annotations

import os
import stat
import threading
import zipfile
import zlib
from functools import cached_property
from pathlib import Path
from typing import Any

from saccade.data.tree import LARGEST_FILE, broken, hidden, hidden_notices, printable
from saccade.errors import SaccadeError
from saccade.types import Notice

MAX_MEMBERS = 2_000_000
MAX_TOTAL = 1 << 39
MAX_RATIO = 200
"""Times that a member may grow; deflate ends at 1032, pictures and tables stay below 100."""
RATIO_FREE = 10 << 20
"""Bytes up to which the ratio does not matter: a blank bitmap shrinks as well as a bomb."""

_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2})


class Zip:
    """Files of a zip archive, read member by member.

    Raises SaccadeError "broken-zip" where it cannot be read, "unsafe-zip" where it breaks a limit.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_members: int = MAX_MEMBERS,
        max_total: int = MAX_TOTAL,
        max_ratio: int = MAX_RATIO,
    ) -> None:
        self.path = path
        self._limits = (max_members, max_total, max_ratio)
        self._lock = threading.Lock()
        self._handle: zipfile.ZipFile | None = None
        self._owner = 0
        members = self._open().infolist()
        self._check_totals(members)
        self._members = {self._checked(member): member for member in members}
        if len(self._members) < len(members):
            raise self._unsafe("holds two members of the same name")

    def __getstate__(self) -> dict[str, Any]:
        """For other processes, which open the file anew."""
        return {**self.__dict__, "_lock": None, "_handle": None, "_owner": 0}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def root(self) -> str:
        return str(self.path)

    @cached_property
    def files(self) -> tuple[str, ...]:
        return tuple(sorted(key for key in self._visible if not self._members[key].is_dir()))

    @cached_property
    def folders(self) -> tuple[str, ...]:
        found: set[str] = set()
        for key in self._visible:
            parts = key.split("/")
            depth = len(parts) if self._members[key].is_dir() else len(parts) - 1
            found.update("/".join(parts[:length]) for length in range(1, depth + 1))
        return tuple(sorted(found))

    @cached_property
    def notices(self) -> tuple[Notice, ...]:
        left_out = {_hidden_top(key) for key in self._members} - {""}
        return tuple(hidden_notices(left_out))

    @cached_property
    def _visible(self) -> list[str]:
        return [key for key in self._members if key and not _hidden_top(key)]

    def exists(self, key: str) -> bool:
        member = self._members.get(key)
        return member is not None and not member.is_dir()

    def load(self, key: str) -> bytes:
        """All bytes of a member. Raises SaccadeError "broken-file" where they cannot be read."""
        return self._read(key, None)

    def head(self, key: str, size: int) -> bytes:
        return self._read(key, size)

    def _read(self, key: str, size: int | None) -> bytes:
        member = self._members.get(key)
        if member is None or member.is_dir():
            raise broken(key, f"is not in {self.path.name}")
        if member.file_size > LARGEST_FILE and size is None:
            raise broken(key, f"has {member.file_size:,} bytes; {LARGEST_FILE:,} are allowed")
        try:
            with self._open().open(member) as file:
                return file.read() if size is None else file.read(size)
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError) as error:
            raise broken(key, f"damaged in {self.path.name}: {error}") from error
        except (RuntimeError, NotImplementedError) as error:
            raise broken(key, f"cannot be unpacked: {error}") from error

    def _open(self) -> zipfile.ZipFile:
        """The open file; a forked process has its own, as a shared position would mix reads."""
        with self._lock:
            if self._handle is None or self._owner != os.getpid():
                try:
                    self._handle = zipfile.ZipFile(self.path)
                except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
                    raise SaccadeError(
                        f"{self.path}: no readable zip file: {error}",
                        name="broken-zip",
                        files=[str(self.path)],
                    ) from error
                self._owner = os.getpid()
            return self._handle

    def _check_totals(self, members: list[zipfile.ZipInfo]) -> None:
        max_members, max_total, max_ratio = self._limits
        if len(members) > max_members:
            raise self._unsafe(f"has {len(members):,} members; {max_members:,} are allowed")
        total = sum(member.file_size for member in members)
        if total > max_total:
            raise self._unsafe(f"unpacks to {total:,} bytes; {max_total:,} are allowed")
        packed = max(1, self.path.stat().st_size)  # members that overlap share their bytes
        if total > RATIO_FREE and total > max_ratio * packed:
            raise self._unsafe(f"unpacks to {total // packed:,} times its size")

    def _checked(self, member: zipfile.ZipInfo) -> str:
        """The member's key, after every check that needs no reading."""
        name = member.orig_filename.replace("\\", "/")
        parts = name.rstrip("/").split("/")
        if name.startswith("/") or ".." in parts or "\0" in name or parts[0][1:2] == ":":
            raise self._unsafe(f"member {printable(name)!r} lies outside its root", name)
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind and not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
            raise self._unsafe(f"member {printable(name)!r} is a link or a special file", name)
        if member.flag_bits & 1:
            raise self._unsafe(f"member {printable(name)!r} is encrypted; unpack it first", name)
        if member.compress_type not in _METHODS:
            raise self._unsafe(
                f"member {printable(name)!r} uses compression {member.compress_type}; "
                "pack it with stored, deflate or bzip2",
                name,
            )
        grown = member.file_size / max(1, member.compress_size)
        if member.file_size > RATIO_FREE and grown > self._limits[2]:
            raise self._unsafe(
                f"member {printable(name)!r} unpacks to {grown:,.0f} times its size", name
            )
        return "/".join(part for part in parts if part not in ("", "."))

    def _unsafe(self, reason: str, member: str = "") -> SaccadeError:
        files = [str(self.path), member] if member else [str(self.path)]
        return SaccadeError(f"{self.path}: {reason}", name="unsafe-zip", files=files)


def _hidden_top(key: str) -> str:
    """The first hidden folder or file on the way to `key`, "" where there is none."""
    parts = key.split("/")
    for depth, part in enumerate(parts, 1):
        if hidden(part):
            return "/".join(parts[:depth])
    return ""
