"""Does the advice help? Types what a diagnosis says, and compares on pictures nobody has seen."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from saccade import api
from saccade.cli.main import main as saccade
from saccade.diagnose import Diagnosis, write
from saccade.types import Finding


def advised(
    told: Diagnosis, faults: list[Finding], folder: Path, clean: Path | None
) -> dict[str, Any] | None:
    """What the first fault's command brought, remembered for as long as the command is the same.

    clean: table of pictures that nobody has seen; None only looks up what is known.
    """
    command = faults[0].command
    place = folder / "advised.json"
    known = json.loads(place.read_text(encoding="utf-8")) if place.is_file() else {}
    if command not in known and clean is not None:
        known[command] = follow(told, command, clean, folder)
        place.write_text(json.dumps(known), encoding="utf-8")
    return known.get(command)


def follow(told: Diagnosis, command: str, clean: Path, folder: Path) -> dict[str, Any]:
    """Run the command; error on the clean part before and after, and the change.

    The interval of the change is a bootstrap over the same pictures. "unchanged" tells that the
    command trains nothing.
    """
    write(told)
    words = shlex.split(command)
    if words[:2] != ["saccade", "train"]:
        return {"unchanged": " ".join(words[:2])}
    place = ["--project", str(folder / "advised"), "--exist-ok", "--name", "run"]
    if code := saccade([*words[1:], *place]):
        return {"failed": code}
    run = folder / "advised" / told.evidence.task / "run"
    shutil.rmtree(run / "weights" / "last", ignore_errors=True)
    before, after = _wrong(told.evidence.run, clean), _wrong(str(run), clean)
    if before is None or after is None:
        return {"before": 1.0, "after": None if after is None else float(after.mean())}
    change = after - before
    drawn = np.random.default_rng(0).integers(0, len(change), (1000, len(change)))
    low, high = np.quantile(change[drawn].mean(axis=1), [0.025, 0.975])
    return {
        "before": round(float(before.mean()), 4),
        "after": round(float(after.mean()), 4),
        "change": [round(float(value), 4) for value in (change.mean(), low, high)],
    }


def _wrong(run: str, clean: Path) -> np.ndarray | None:
    """(n,) 1 where the run calls a clean picture wrongly; None where it has no weights."""
    if not (Path(run) / "weights" / "best.safetensors").is_file():
        return None
    trained = api.load(run)
    with clean.open(encoding="utf-8") as file:
        rows = [line.strip().rsplit(",", 1) for line in file][1:]
    found = trained.predict([clean.parent / path for path, _ in rows])
    names = [None if each.result is None else each.result.label for each in found]
    truth = [label for _, label in rows]
    return np.array([a != b for a, b in zip(names, truth, strict=True)], dtype=np.float64)
