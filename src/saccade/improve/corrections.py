"""Verdicts on labels become a file of corrections in the run; every change of it is logged."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from saccade.data.corrections import Correction, Verdict, read_corrections, write_corrections
from saccade.training.run import RunFolder


def apply_verdicts(run: RunFolder, verdicts: Mapping[str, tuple[Verdict, str]]) -> tuple[Path, int]:
    """RUN/labels/corrections.csv with these verdicts and no others; and how many changed.

    verdicts: key -> (verdict, label). What changed goes into RUN/labels/log.csv with the time. The
    run itself and the user's data stay as they are.
    """
    place = run.root / "labels" / "corrections.csv"
    before = {each.key: each for each in read_corrections(place)} if place.is_file() else {}
    # a run that was itself trained with corrections hands them on
    base = {each.key: each for each in read_corrections(run.labels)} if run.labels.is_file() else {}
    was = _labels(run) | {key: each.was for key, each in base.items()}
    now = base | {
        key: Correction(key=key, was=was.get(key, ""), verdict=verdict, label=label)
        for key, (verdict, label) in verdicts.items()
    }
    changed = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    if changed:
        write_corrections(place, now.values())
        _log(place.with_name("log.csv"), [(key, now.get(key)) for key in changed], was)
    return place, len(changed)


def _labels(run: RunFolder) -> dict[str, str]:
    """Key -> the label in the data, "" where the task has no single one."""
    manifest = run.read_json(run.data)
    fields = [field["name"] for field in manifest["fields"] if field["kind"] == "label"]
    if len(fields) != 1:
        return {}
    return {
        entry["key"]: (entry.get("target") or {}).get(fields[0]) or ""
        for entry in manifest["examples"]
    }


def _log(place: Path, changed: list[tuple[str, Correction | None]], was: Mapping[str, str]) -> None:
    """Append lines: when, key, was, verdict ("taken back" where there is none any more), label."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    if not place.is_file():
        writer.writerow(["when", "key", "was", "verdict", "label"])
    when = datetime.now(UTC).isoformat(timespec="seconds")
    for key, said in changed:
        verdict, label = (said.verdict, said.label) if said else ("taken back", "")
        writer.writerow([when, key, was.get(key, ""), verdict, label])
    with place.open("a", encoding="utf-8", newline="") as file:
        file.write(text.getvalue())
