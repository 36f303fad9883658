"""Verdicts on labels: from the command line, a table or the page, into the run's corrections."""

from __future__ import annotations

import csv
import io
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saccade.diagnose import commands
from saccade.diagnose.evidence import read_evidence
from saccade.diagnose.labels import Labels, Suspect, advice, find_suspects
from saccade.diagnose.mistakes import Marks
from saccade.diagnose.mistakes.marks import VERDICTS, Kind, Verdict
from saccade.errors import SaccadeError
from saccade.files import write_atomic
from saccade.improve.corrections import apply_verdicts
from saccade.training.run import RunFolder
from saccade.types import Evidence

Said = tuple[str, str, str]
"""Key, verdict, label."""

COLUMNS = ("rank", "key", "part", "label", "network", "margin", "mistake", "verdict", "should be")


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Suspects, what was said of labels (of these and of others), and the files that hold it.

    verdicts: key -> (verdict, label);  judged: part -> labels that were judged
    """

    run: str
    labels: Labels
    verdicts: Mapping[str, tuple[Verdict, str]]
    judged: Mapping[str, int]
    advice: Sequence[str]
    files: Sequence[Path]
    command: str

    def as_dict(self) -> dict[str, Any]:
        """The JSON of the command line."""
        return {
            "run": self.run,
            "suspects": self.labels.counts(),
            "labels": dict(self.labels.labels),
            "judged": dict(self.judged),
            "mistakes": self.labels.mistakes,
            "mislabelled": vars(self.labels.mislabelled),
            "ceiling": self.labels.ceiling,
            "pays": self.labels.pays,
            "advice": list(self.advice),
            "files": [str(path) for path in self.files],
            "command": self.command,
            "list": [
                {**vars(each), "verdict": self.verdicts.get(each.key, ("", ""))[0]}
                for each in self.labels.suspects
            ],
        }


def judge(
    run: RunFolder,
    marks: Marks,
    *,
    accept: Sequence[str] = (),
    relabel: Sequence[str] = (),
    drop: Sequence[str] = (),
    drop_first: int | None = None,
    relabel_first: int | None = None,
    table: Path | None = None,
) -> Judged:
    """Find suspects, take over verdicts, write suspects.csv and corrections.csv.

    accept, drop: keys;  relabel: "key=class";  drop_first, relabel_first: that many suspects nobody
    judged;  table: a suspects.csv in which a person wrote. Raises SaccadeError, before anything is
    changed, for a key or class that does not exist.
    """
    evidence = read_evidence(run)
    labels = find_suspects(evidence)
    said: list[Said] = [(key, "accept", "") for key in accept]
    said += [(key, "drop", "") for key in drop]
    known = {entry["key"] for entry in evidence.data["examples"]}
    said += [_relabelled(text, known) for text in relabel]
    said += _read(table) if table is not None else []
    _check(evidence, said)
    _put(marks, said)
    _put(marks, _first(labels, marks, drop_first, relabel_first))
    verdicts = _verdicts(marks)
    files = [_write(run, labels, verdicts)]
    if verdicts or (run.root / "labels" / "corrections.csv").is_file():
        files.append(apply_verdicts(run, verdicts)[0])
    parts = {entry["key"]: entry["part"] for entry in evidence.data["examples"]}
    judged = Counter(parts[key] for key in verdicts if key in parts)
    place = (run.root / "labels" / "corrections.csv").as_posix()
    return Judged(
        run=str(run.root),
        labels=labels,
        verdicts=verdicts,
        judged=judged,
        advice=advice(labels, test_scored="test" in evidence.predictions, judged=list(judged)),
        files=files,
        command=commands.retrain(evidence, f"--labels {shlex.quote(place)}"),
    )


def _relabelled(text: str, known: Set[str]) -> Said:
    """KEY=CLASS, cut where a key ends: names of files and of classes may hold = themselves."""
    cuts = [place for place, sign in enumerate(text) if sign == "="]
    cut = next((place for place in cuts if text[:place] in known), cuts[-1] if cuts else -1)
    key, label = text[: max(cut, 0)], text[cut + 1 :]
    if not key or not label:
        raise SaccadeError(f"--relabel {text}: expected KEY=CLASS.", name="bad-verdict")
    return key, "relabel", label


def _check(evidence: Evidence, said: Sequence[Said]) -> None:
    known = {entry["key"] for entry in evidence.data["examples"]}
    strangers = [key for key, *_ in said if key not in known]
    if strangers:
        raise SaccadeError(
            f"{strangers[0]}: no picture of this run. Keys stand in RUN/labels/suspects.csv and "
            "RUN/errors/errors.csv.",
            name="no-such-picture",
            files=strangers,
        )
    classes = evidence.card.fields[0].classes if evidence.card else ()
    for key, verdict, label in said:
        if verdict not in VERDICTS:
            raise SaccadeError(
                f"{key}: verdict {verdict!r}, expected {', '.join(VERDICTS)}.", name="bad-verdict"
            )
        if (verdict == "relabel") != bool(label) or (label and classes and label not in classes):
            raise SaccadeError(
                f"{key}: {verdict} with the class {label!r}; relabel goes with one of "
                f"{', '.join(classes)}, the others with none.",
                name="bad-verdict",
            )


def _put(marks: Marks, said: Sequence[Said]) -> None:
    rows: list[tuple[str, Kind, str, str]] = []
    for key, verdict, label in said:
        rows += [(key, "label", "verdict", verdict), (key, "label", "class", label)]
    marks.put_all(rows)


def _first(
    labels: Labels, marks: Marks, drop_first: int | None, relabel_first: int | None
) -> list[Said]:
    judged = {key for key, marked in marks.of().items() if marked.verdict}
    left = [each for each in labels.suspects if each.key not in judged]
    if drop_first:
        return [(each.key, "drop", "") for each in left[:drop_first]]
    guessed = [each for each in left if each.guess]
    return [(each.key, "relabel", each.guess) for each in guessed[: relabel_first or 0]]


def _verdicts(marks: Marks) -> dict[str, tuple[Verdict, str]]:
    """What a person said; wrong without a better class means: leave it out."""
    found: dict[str, tuple[Verdict, str]] = {}
    for key, said in marks.of().items():
        if said.verdict == "relabel" and said.label:
            found[key] = "relabel", said.label
        elif said.verdict:
            found[key] = "accept" if said.verdict == "accept" else "drop", ""
    return found


def _write(run: RunFolder, labels: Labels, verdicts: Mapping[str, tuple[Verdict, str]]) -> Path:
    place = run.root / "labels" / "suspects.csv"
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for rank, each in enumerate(labels.suspects, 1):
        verdict, label = verdicts.get(each.key, ("", ""))
        writer.writerow([rank, *_cells(each), verdict, label])
    write_atomic(place, text.getvalue())
    return place


def _cells(each: Suspect) -> list[str]:
    mistake = "x" if each.mistake else ""
    return [each.key, each.part, each.given, each.guess, f"{each.margin:.4f}", mistake]


def _read(path: Path) -> list[Said]:
    """Key, verdict and class of the rows in which a person wrote a verdict."""
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8-sig"))))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SaccadeError(f"{path}: cannot be read ({error}).", name="bad-table") from error
    wanted = {"key", "verdict", "should be"}
    if rows and not wanted <= rows[0].keys():
        raise SaccadeError(
            f"{path}: expected the columns {', '.join(sorted(wanted))}, as suspects.csv has them.",
            name="bad-table",
            files=[str(path)],
        )
    return [
        (row["key"], row["verdict"].strip().lower(), row["should be"].strip())
        for row in rows
        if row["verdict"].strip()
    ]
