"""The run folder: its file names, writers and readers. Everything after training reads only this.

runs/<task>/<name>[N]/
    args.yaml  results.csv  environment.json  log.txt  data.json  data.parquet  dynamics.parquet
    labels.csv (corrected labels, where given)
    predictions/<split>.parquet  weights/best.safetensors  weights/card.json  weights/last/
"""

from __future__ import annotations

import csv
import io
import json
import platform
import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from safetensors.torch import load, save
from torch import Tensor

from saccade.errors import SaccadeError
from saccade.files import write_atomic, write_error
from saccade.types import ModelCard


@dataclass(frozen=True)
class RunFolder:
    """Paths and files of one run. `root` is the folder; nothing is written until asked.

    writes: False in processes that leave writing to the first one; theirs do nothing.
    """

    root: Path
    writes: bool = True

    @property
    def args(self) -> Path:
        return self.root / "args.yaml"

    @property
    def results(self) -> Path:
        return self.root / "results.csv"

    @property
    def best(self) -> Path:
        return self.root / "weights" / "best.safetensors"

    @property
    def card(self) -> Path:
        return self.root / "weights" / "card.json"

    @property
    def last(self) -> Path:
        return self.root / "weights" / "last"

    @property
    def data(self) -> Path:
        return self.root / "data.json"

    @property
    def images(self) -> Path:
        return self.root / "data.parquet"

    @property
    def dynamics(self) -> Path:
        return self.root / "dynamics.parquet"

    @property
    def health(self) -> Path:
        return self.root / "health.csv"

    @property
    def diagnosis(self) -> Path:
        return self.root / "diagnosis.json"

    @property
    def log(self) -> Path:
        return self.root / "log.txt"

    @property
    def report(self) -> Path:
        return self.root / "report.html"

    @property
    def details(self) -> Path:
        return self.root / "details.json"

    @property
    def looks(self) -> Path:
        return self.root / "test_looks.json"

    @property
    def labels(self) -> Path:
        return self.root / "labels.csv"

    @property
    def folds(self) -> Path:
        return self.root / "labels" / "folds.parquet"

    def predictions(self, split: str) -> Path:
        return self.root / "predictions" / f"{split}.parquet"

    def thumbnails(self, split: str) -> Path:
        return self.root / "thumbnails" / f"{split}.parquet"

    # --- written by training ---

    def write_args(self, recipe: Mapping[str, Any]) -> None:
        self._write(self.args, yaml.safe_dump(dict(recipe), sort_keys=False, allow_unicode=True))

    def read_args(self) -> dict[str, Any]:
        values = yaml.safe_load(self._text(self.args))
        if not isinstance(values, dict):
            raise SaccadeError(
                f"{self.args}: not a recipe (a YAML mapping expected).", name="bad-run"
            )
        return values

    def write_results(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """results.csv, whole each time, so that a resumed run never repeats a line."""
        self._write(self.results, _csv(rows))

    def write_health(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """health.csv: a line for each epoch and layer; see `training.health.COLUMNS`."""
        self._write(self.health, _csv(rows))

    def read_health(self) -> list[dict[str, Any]]:
        """One dict per epoch and layer; what does not apply to a layer is left out."""
        rows = csv.DictReader(io.StringIO(self._text(self.health)))
        return [
            {key: value if key == "layer" else float(value) for key, value in row.items() if value}
            for row in rows
        ]

    def read_results(self) -> list[dict[str, float]]:
        """One dict per epoch; empty cells are left out."""
        rows = csv.DictReader(io.StringIO(self._text(self.results)))
        return [{key: float(value) for key, value in row.items() if value} for row in rows]

    def write_best(self, tensors: Mapping[str, Tensor], card: ModelCard) -> None:
        """The best weights and their card; the card is written last."""
        self._write(self.best, save({key: value.contiguous() for key, value in tensors.items()}))
        self.write_card(card)

    def write_card(self, card: ModelCard) -> None:
        self._write(self.card, json.dumps(card.as_dict(), indent=1, ensure_ascii=False))

    def read_best(self) -> tuple[dict[str, Tensor], ModelCard]:
        """Weights and card. Raises SaccadeError where one is missing or unreadable."""
        return read_weights(self.best)

    def write_environment(self) -> None:
        self._write(self.root / "environment.json", json.dumps(environment(), indent=1))

    def write_json(self, path: Path, values: Any) -> None:
        """Compact JSON; NaN is no JSON, so it is an error of ours.

        Names of files that are no UTF-8 are kept byte for byte.
        """
        text = json.dumps(values, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        self._write(path, text.encode("utf-8", "surrogateescape"))

    def read_json(self, path: Path) -> Any:
        """Raises SaccadeError where the file is cut short or no JSON."""
        try:
            return json.loads(self._text(path))
        except ValueError as error:
            raise SaccadeError(
                f"{path}: damaged ({error}); put it back from a copy, or train again",
                name="bad-run",
                files=[str(path)],
            ) from error

    def write_table(self, path: Path, columns: Mapping[str, Any]) -> None:
        """A Parquet file; every column one value (or list) per row."""
        buffer = pa.BufferOutputStream()
        pq.write_table(pa.table(dict(columns)), buffer, compression="zstd")
        self._write(path, buffer.getvalue().to_pybytes())

    def read_table(self, path: Path) -> pa.Table:
        if not path.is_file():
            raise self._missing(path)
        return pq.read_table(path)

    @contextmanager
    def begun(self) -> Iterator[None]:
        """Around a beginning: where it is refused, a folder in which nothing was written goes."""
        try:
            yield
        except SaccadeError:
            if self.root.is_dir() and not any(self.root.iterdir()):
                self.root.rmdir()
            raise

    def say(self, line: str) -> None:
        """Append one line to log.txt."""
        if not self.writes:
            return
        with self.log.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def _write(self, path: Path, content: bytes | str) -> None:
        if self.writes:
            write_atomic(path, content)

    def _text(self, path: Path) -> str:
        if not path.is_file():
            raise self._missing(path)
        return path.read_text(encoding="utf-8", errors="surrogateescape")

    def _missing(self, path: Path) -> SaccadeError:
        return SaccadeError(
            f"{self.root}: {path.relative_to(self.root)} is missing; this is not a complete run "
            "folder. Name a folder that `saccade train` printed.",
            name="bad-run",
            files=[str(path)],
        )


def open_run(path: str | Path) -> RunFolder:
    """The run folder `path` names: itself, or the run a weights file lies in.

    Raises SaccadeError where there is no run.
    """
    place = Path(path)
    if place.suffix == ".safetensors":
        place = place.parent.parent
    if not (place / "args.yaml").is_file():
        raise SaccadeError(
            f"{path}: not a run (no args.yaml in it). Name a folder that `saccade train` printed, "
            "such as runs/classification/train.",
            name="no-run",
            files=[str(path)],
        )
    return RunFolder(place)


def new_run(project: Path, task: str, name: str, *, exist_ok: bool = False) -> RunFolder:
    """A fresh folder project/task/name, numbered name2, name3 ... where it is taken.

    `exist_ok` uses the name again, and an older run of that name is removed; nothing else ever is.
    """
    parent = project / task
    if exist_ok and (parent / name / "args.yaml").is_file():
        shutil.rmtree(parent / name)
    for number in range(1, 1_000_000):
        place = parent / (name if number == 1 else f"{name}{number}")
        try:
            place.mkdir(parents=True, exist_ok=exist_ok)
        except FileExistsError:
            continue
        except OSError as error:
            raise write_error(place, error) from error
        return RunFolder(place)
    raise SaccadeError(f"{parent}: no free name for {name!r}.", name="no-free-name")


def latest_run(project: Path, task: str, name: str, *, exact: bool = False) -> RunFolder | None:
    """The newest of name, name2, name3 ... that training has begun in; None where there is none.

    exact: of this name alone.
    """
    parent = project / task
    pattern = re.compile(re.escape(name) + (r"()$" if exact else r"(\d*)$"))
    found = [
        (int(match[1] or 1), entry)
        for entry in (parent.iterdir() if parent.is_dir() else ())
        if (match := pattern.match(entry.name)) and (entry / "args.yaml").is_file()
    ]
    return RunFolder(max(found)[1]) if found else None


def read_weights(path: Path) -> tuple[dict[str, Tensor], ModelCard]:
    """A .safetensors file and the card.json beside it. Nothing in either can execute code."""
    card = path.with_name("card.json")
    for needed in (path, card):
        if not needed.is_file():
            raise SaccadeError(
                f"{needed} is missing: weights and card.json belong together.",
                name="bad-run",
                files=[str(needed)],
            )
    try:
        tensors = load(path.read_bytes())
        return tensors, ModelCard.from_dict(json.loads(card.read_text(encoding="utf-8")))
    except SaccadeError:
        raise
    except Exception as error:
        raise SaccadeError(
            f"{path}: cannot be read with its card.json ({error}). One of them is damaged, or not "
            "what its name says.",
            name="damaged-weights",
            files=[str(path)],
        ) from error


def environment() -> dict[str, str]:
    """Versions and machine, as far as numbers depend on them."""
    packages = ("saccade", "torch", "torchvision", "numpy", "pillow")
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        **{name: version(name) for name in packages},
        "command": " ".join(sys.argv),
    }


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)
    return text.getvalue()


def _cell(value: Any) -> Any:
    # repr keeps every bit of a float, so that two runs can be compared byte by byte
    return repr(float(value)) if isinstance(value, float) else value
