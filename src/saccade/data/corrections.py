"""Corrected labels: a file beside the data that says what is wrong with them. Data stay put.

A CSV with a line for each picture that a person judged: key, was (the label as the data have it),
verdict (accept, relabel, drop) and label (the new one).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from saccade.data.dataset import Dataset
from saccade.data.tree import shown
from saccade.errors import SaccadeError
from saccade.files import write_atomic

Verdict = Literal["accept", "relabel", "drop"]
COLUMNS = ("key", "was", "verdict", "label")


@dataclass(frozen=True, kw_only=True)
class Correction:
    """What a person says of one picture. label: the right class, of verdict relabel alone.

    key  as the run's tables have it (`printable`);  was: the label in the data, "" where the task
    has no single one
    """

    key: str
    was: str
    verdict: Verdict
    label: str = ""


def printable(key: str) -> str:
    """Keys as tables hold them: bytes that are no text become escapes."""
    return key.encode("utf-8", "backslashreplace").decode("utf-8")


def write_corrections(path: Path, corrections: Iterable[Correction]) -> None:
    """The file, sorted by key."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for each in sorted(corrections, key=lambda item: item.key):
        writer.writerow([each.key, each.was, each.verdict, each.label])
    write_atomic(path, text.getvalue())


def read_corrections(path: Path) -> tuple[Correction, ...]:
    """Raises SaccadeError "bad-corrections" with the line that makes no sense."""
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8-sig"))))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _bad(path, f"cannot be read ({error})") from error
    found = [_correction(path, number, row) for number, row in enumerate(rows, 2)]
    keys = [each.key for each in found]
    if len(set(keys)) < len(keys):
        raise _bad(path, f"{next(key for key in keys if keys.count(key) > 1)!r} stands there twice")
    return tuple(found)


def _correction(path: Path, number: int, row: dict[str, str]) -> Correction:
    missing = [name for name in COLUMNS if row.get(name) is None]
    if missing:
        raise _bad(path, f"line {number} lacks {', '.join(missing)}")
    if row["verdict"] not in get_args(Verdict):
        raise _bad(path, f"line {number}: verdict {row['verdict']!r}")
    if (row["verdict"] == "relabel") != bool(row["label"]):
        raise _bad(path, f"line {number}: relabel goes with a label, and nothing else does")
    return Correction(**{name: row[name] for name in COLUMNS})  # type: ignore[arg-type]


def _bad(path: Path, why: str) -> SaccadeError:
    return SaccadeError(
        f"{path}: {why}. Expected a CSV with the columns {', '.join(COLUMNS)}, as `saccade labels` "
        "writes it; verdicts are accept, relabel and drop.",
        name="bad-corrections",
        files=[str(path)],
    )


def correct(dataset: Dataset, corrections: Sequence[Correction]) -> tuple[Dataset, np.ndarray]:
    """The data set with new labels, and (N,) which examples remain; no row goes away.

    Pictures that are not in `dataset` are passed over. Raises SaccadeError for a class that the
    data do not have, and where a label is no longer what the correction says it was.
    """
    said = {each.key: each for each in corrections}
    fields = [field for field in dataset.fields if field.kind == "label"]
    examples = list(dataset.examples)
    kept = np.ones(len(examples), dtype=bool)
    for row, example in enumerate(examples):
        found = said.get(printable(example.key))
        if found is None:
            continue
        kept[row] = found.verdict != "drop"
        if found.verdict != "relabel":
            continue
        if len(fields) != 1 or found.label not in fields[0].classes:
            raise _unknown(found, fields[0].classes if fields else ())
        name = fields[0].name
        now = example.target.get(name)
        if now not in (found.was, found.label):
            raise _changed(found, now)
        examples[row] = replace(example, target={**example.target, name: found.label})
    return replace(dataset, examples=tuple(examples)), kept


def _unknown(found: Correction, classes: Sequence[str]) -> SaccadeError:
    return SaccadeError(
        f"corrections: {found.key} shall be {found.label!r}, but the data have "
        f"{f'the classes {shown(classes)}' if classes else 'no single label'}.",
        name="bad-corrections",
        files=[found.key],
    )


def _changed(found: Correction, now: object) -> SaccadeError:
    return SaccadeError(
        f"corrections: the label of {found.key} was {found.was!r} when it was corrected and is "
        f"{now!r} now. Judge it again with `saccade labels`, or take its line out.",
        name="changed-data",
        files=[found.key],
    )
