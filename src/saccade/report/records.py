"""What a run folder holds, read once; whatever is missing (the run may still train) stays empty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from saccade.training.run import RunFolder

LOG_LINES = 40
"""Of log.txt that the page shows."""

# what the parts of a run are called, in the order in which they are shown
PARTS = ("train", "train-dev", "dev", "test")


@dataclass(frozen=True)
class Records:
    """Plain values from the files of one run; see `training.run` for what they hold."""

    run: RunFolder

    @cached_property
    def args(self) -> dict[str, Any]:
        return self.run.read_args()

    @cached_property
    def card(self) -> dict[str, Any]:
        return self._json(self.run.card)

    @cached_property
    def details(self) -> dict[str, Any]:
        """Part -> what its metric found beside the measures."""
        return self._json(self.run.details)

    @cached_property
    def manifest(self) -> dict[str, Any]:
        return self._json(self.run.data)

    @cached_property
    def environment(self) -> dict[str, Any]:
        return self._json(self.run.root / "environment.json")

    @cached_property
    def looks(self) -> list[dict[str, Any]]:
        """Every look at the test part: {"when", "metrics"}."""
        looks: list[dict[str, Any]] = []
        return self.run.read_json(self.run.looks) if self.run.looks.is_file() else looks

    @cached_property
    def results(self) -> list[dict[str, float]]:
        return self.run.read_results() if self.run.results.is_file() else []

    @cached_property
    def health(self) -> list[dict[str, Any]]:
        """Lines of health.csv."""
        return self.run.read_health() if self.run.health.is_file() else []

    @cached_property
    def log(self) -> list[str]:
        """The last lines."""
        if not self.run.log.is_file():
            return []
        return self.run.log.read_text(encoding="utf-8").splitlines()[-LOG_LINES:]

    @cached_property
    def images(self) -> dict[str, list[Any]]:
        """Columns of data.parquet."""
        return self._columns(self.run.images, ("key", "split", "width", "height", "mode"))

    @property
    def batch_picture(self) -> bytes | None:
        path = self.run.root / "train_batch0.jpg"
        return path.read_bytes() if path.is_file() else None

    @property
    def task(self) -> str:
        return str(self.card.get("task") or self.args.get("task") or "")

    @property
    def name(self) -> str:
        root = self.run.root.absolute()
        return f"{root.parent.name}/{root.name}"

    @property
    def finished(self) -> bool:
        """The best network has been scored on dev."""
        return "dev" in self.details

    @property
    def main(self) -> str | None:
        """The main metric: tasks name it first."""
        return next(iter(self.card.get("metrics", {})), None)

    def predictions(self, part: str) -> list[dict[str, Any]]:
        """Rows of predictions/<part>.parquet without the embeddings."""
        path = self.run.predictions(part)
        if not path.is_file():
            return []
        table = self.run.read_table(path)
        kept = [name for name in table.column_names if name != "embedding"]
        rows: list[dict[str, Any]] = table.select(kept).to_pylist()
        return rows

    def thumbnails(self, part: str, indices: Sequence[int]) -> dict[int, bytes]:
        """JPEGs by example index, as far as they were kept."""
        path = self.run.thumbnails(part)
        if not path.is_file():
            return {}
        wanted = set(indices)
        table = self.run.read_table(path)
        return {
            index: table["jpeg"][row].as_py()
            for row, index in enumerate(table["index"].to_pylist())
            if index in wanted
        }

    def _json(self, path: Path) -> dict[str, Any]:
        values: dict[str, Any] = self.run.read_json(path) if path.is_file() else {}
        return values

    def _columns(self, path: Path, names: Sequence[str]) -> dict[str, list[Any]]:
        if not path.is_file():
            return {}
        table = self.run.read_table(path)
        return {name: table[name].to_pylist() for name in names if name in table.column_names}


def views(details: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """(field, details) of each head; one with an empty name where the task has one head."""
    heads = details.get("heads")
    return list(heads.items()) if heads else [("", details)] if details else []


def per_class(details: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows {"name", "examples", "precision", "recall", "f1", ...}, in the order of the classes."""
    rows = details.get("per_class", {})
    if isinstance(rows, Mapping):
        return [{"name": name, **row} for name, row in rows.items()]
    return [{"examples": row.get("n"), **row} for row in rows]
