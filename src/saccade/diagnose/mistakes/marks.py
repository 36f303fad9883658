"""What a person says of pictures: tags, columns, verdicts on labels. Kept in SQLite in the run.

Every change is committed to disk before the call returns, so that nothing that was confirmed is
lost when the browser or the process is killed.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from saccade.errors import SaccadeError
from saccade.files import write_error

Kind = Literal["tag", "cell", "label", "seen"]
"""tag: name, "1".  cell: column, text.  label: "verdict" or "class".  seen: looked at."""

Verdict = Literal["accept", "relabel", "drop"]
VERDICTS: tuple[Verdict, ...] = ("accept", "relabel", "drop")

_TABLES = """
create table if not exists marks (
  key text not null, kind text not null, name text not null, value text not null,
  primary key (key, kind, name)
) without rowid;
create table if not exists names (
  place integer primary key, kind text not null, name text not null, unique (kind, name)
);
"""


@dataclass(frozen=True)
class Marked:
    """All that was said of one picture. verdict on its label, "" where none was given."""

    tags: tuple[str, ...] = ()
    cells: Mapping[str, str] = field(default_factory=dict)
    verdict: str = ""
    label: str = ""
    seen: bool = False

    @property
    def looked(self) -> bool:
        """Whether a person looked at it; a verdict alone may come from many at once."""
        return self.seen or bool(self.tags or self.cells)


class Marks:
    """The marks of one run, for any number of threads and processes."""

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        except (OSError, sqlite3.OperationalError) as error:
            cause = error if isinstance(error, OSError) else OSError(str(error))
            raise write_error(path, cause) from error
        self._lock = threading.Lock()
        try:
            # readers and a writer do not wait for each other; FULL: a commit is on the disk
            self._database.execute("pragma journal_mode = wal")
            self._database.execute("pragma synchronous = full")
            self._database.execute("pragma busy_timeout = 5000")
            self._database.executescript(_TABLES)
        except sqlite3.DatabaseError as error:
            self._database.close()
            raise SaccadeError(
                f"{path}: cannot be used as a database of marks ({error}). Move it away to begin "
                "a new one; marks can be read again from an exported table with --import.",
                name="damaged-marks",
                files=[str(path)],
            ) from error

    def close(self) -> None:
        self._database.close()

    def put(self, key: str, kind: Kind, name: str, value: str) -> None:
        """Say `value` of a picture; an empty one takes back what was said."""
        self.put_all([(key, kind, name, value)])

    def put_all(
        self,
        said: Iterable[tuple[str, Kind, str, str]],
        *,
        named: Iterable[tuple[Kind, str]] = (),
    ) -> None:
        """Many at once: all or nothing.

        named: tags and columns to have, even where no picture has them.
        """
        with self._lock, self._database:
            self._database.execute("begin immediate")
            for kind, name in named:
                self._name(kind, name)
            for key, kind, name, value in said:
                if value:
                    self._name(kind, name)
                    self._database.execute(
                        "insert or replace into marks values (?, ?, ?, ?)",
                        (key, kind, name, value),
                    )
                else:
                    self._database.execute(
                        "delete from marks where (key, kind, name) = (?, ?, ?)", (key, kind, name)
                    )

    def _name(self, kind: Kind, name: str) -> None:
        if kind in ("tag", "cell"):
            self._database.execute(
                "insert or ignore into names (kind, name) values (?, ?)", (kind, name)
            )

    def names(self, kind: Kind) -> list[str]:
        """Tags or columns in the order in which they were first used."""
        return [
            name
            for (name,) in self._all("select name from names where kind = ? order by place", kind)
        ]

    def add_name(self, kind: Kind, name: str) -> None:
        """A tag or column that no picture has yet."""
        self.put_all([], named=[(kind, name)])

    def of(self, keys: Iterable[str] | None = None) -> dict[str, Marked]:
        """What was said, by key; only pictures of which something was said. keys: None = all."""
        wanted = None if keys is None else set(keys)
        found: dict[str, list[tuple[str, str, str]]] = {}
        for key, kind, name, value in self._all("select key, kind, name, value from marks"):
            if wanted is None or key in wanted:
                found.setdefault(key, []).append((kind, name, value))
        order = {name: place for place, name in enumerate(self.names("tag"))}
        return {key: _marked(said, order) for key, said in found.items()}

    def one(self, key: str) -> Marked:
        """What was said of one picture."""
        said = self._all("select kind, name, value from marks where key = ?", key)
        order = {name: place for place, name in enumerate(self.names("tag"))}
        return _marked(said, order)

    def tagged(self) -> dict[str, list[str]]:
        """Tag -> keys, for every tag."""
        found: dict[str, list[str]] = {name: [] for name in self.names("tag")}
        for key, name in self._all("select key, name from marks where kind = 'tag'"):
            found[name].append(key)
        return found

    def looked(self) -> set[str]:
        """Keys of pictures that a person looked at (see `Marked.looked`)."""
        return {key for (key,) in self._all("select distinct key from marks where kind != 'label'")}

    def _all(self, query: str, *values: str) -> list[tuple[str, ...]]:
        with self._lock:
            return self._database.execute(query, values).fetchall()


def _marked(said: Iterable[tuple[str, ...]], order: Mapping[str, int]) -> Marked:
    tags, cells, label, seen = [], {}, {}, False
    for kind, name, value in said:
        if kind == "tag":
            tags.append(name)
        elif kind == "cell":
            cells[name] = value
        elif kind == "label":
            label[name] = value
        seen = seen or kind == "seen"
    return Marked(
        tags=tuple(sorted(tags, key=lambda name: order.get(name, 0))),
        cells=cells,
        verdict=label.get("verdict", ""),
        label=label.get("class", ""),
        seen=seen,
    )
