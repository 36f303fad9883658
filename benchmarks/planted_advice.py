"""Does the advice help? Types what a diagnosis says, and compares on pictures nobody has seen."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import numpy as np
from planted_sets import PooledSet, write_table

from saccade import api
from saccade.cli.main import main as saccade
from saccade.diagnose import Diagnosis, write


def follow(told: Diagnosis, pool: PooledSet, folder: Path) -> dict[str, Any]:
    """Run the first finding's command; error on the clean part before and after, and the change.

    The interval of the change is a bootstrap over the same pictures. "unchanged" tells that the
    command trains nothing.
    """
    write(told)
    words = shlex.split(told.findings[0].command)
    if words[:2] != ["saccade", "train"]:
        return {"unchanged": " ".join(words[:2])}
    code = saccade(
        [*words[1:], "--project", str(folder / "advised"), "--exist-ok", "--name", "run"]
    )
    if code:
        return {"failed": code}
    clean = write_table(
        [(path, label, "") for path, label in pool.clean], pool.folder / "clean.csv"
    )
    before = _wrong(told.evidence.run, clean)
    after = _wrong(str(folder / "advised" / told.evidence.task / "run"), clean)
    if before is None or after is None:
        return {"before": 1.0, "after": None if after is None else float(after.mean())}
    change = after - before
    drawn = np.random.default_rng(0).integers(0, len(change), (1000, len(change)))
    low, high = np.quantile(change[drawn].mean(axis=1), [0.025, 0.975])
    return {
        "before": float(before.mean()),
        "after": float(after.mean()),
        "change": [float(change.mean()), float(low), float(high)],
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
