"""Plant one fault at a time, train, and see what the diagnosis calls it.

    python benchmarks/planted_faults.py --minutes 20       trains as far as it gets; again: goes on
    python benchmarks/planted_faults.py --advice           also types what is advised
    python benchmarks/planted_faults.py --again            diagnoses kept runs anew, no training
    python benchmarks/planted_faults.py --table            prints the matrix of what is there
    python benchmarks/planted_faults.py --only label-noise,leakage --sets digits

Finished cells are lines of WORK/cells.jsonl, their runs lie in WORK/runs. Thresholds are set on one
half of sets and seeds (`planted_sets.halved`), the figures to quote are those of the other half.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from planted_advice import advised
from planted_kinds import GOOD, HEALTHY, KINDS, OTHER, Kind, Settings
from planted_sets import SETS, PooledSet, halved, make_set, write_table
from planted_table import HEALTH, figures, table
from results import add_option, record

from saccade import api
from saccade.diagnose import diagnose
from saccade.errors import SaccadeError, Stopped

USUAL = {name: good["lr0"] for name, good in GOOD.items()}
"""The learning rate of a good run at the batch of GOOD."""


@dataclass(frozen=True)
class Cell:
    kind: str
    strength: str
    set: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.kind}.{self.strength}.{self.set}.{self.seed}"


def cells(seeds: int) -> Iterator[Cell]:
    """All cells in rounds: each kind once strong and once weak, sets in turn, healthy ones between.

    Wherever it is broken off, every kind has had about as many turns, in both halves.
    """
    names = list(SETS)
    for seed in range(seeds):
        for turn in range(len(names)):
            for number, kind in enumerate(KINDS):
                yield Cell(kind, "strong", names[(number + turn) % 4], seed)
                yield Cell(kind, "weak", names[(number + turn + 1) % 4], seed)
                if number < len(HEALTHY):
                    yield Cell(HEALTH, str(number), names[(number + turn) % 4], seed)


def settings_of(cell: Cell, work: Path) -> tuple[Kind | None, Settings, float]:
    """The kind, the recipe's settings, and the dose of what is done to the data."""
    good = GOOD[cell.set]
    if cell.kind == HEALTH:
        kind, own, dose = None, HEALTHY[int(cell.strength)], 0.0
    else:
        kind = KINDS[cell.kind]
        own = kind.strong if cell.strength == "strong" else kind.weak
        dose = kind.doses[cell.strength != "strong"]
    channels = 1 if cell.set in ("digits", "fashion") else 3
    settings: Settings = {**good, "seed": cell.seed, "device": "cpu"}
    for key, value in own.items():
        if key == "*epochs":
            settings["epochs"] = max(1, round(good["epochs"] * value))
        elif key == "*lr0":
            settings["lr0"] = USUAL[cell.set] * value
        elif key == "weights":
            settings[key] = str(source(cell.set if value == "own" else OTHER[cell.set], work))
        elif key in ("data.mean", "data.std"):
            settings[key] = [value] * channels
        else:
            settings[key] = value
    return kind, settings, dose


def source(name: str, work: Path) -> Path:
    """Weights of a network trained on the second half of a set's pictures."""
    pool = make_set(name, work)
    folder = work / "sources" / name
    weights = folder / "classification" / "run" / "weights" / "best.safetensors"
    if not (folder / "done").is_file():
        half = [(path, label, "") for path, label in pool.seen[len(pool.seen) // 2 :]]
        data = write_table(half, pool.folder / "source.csv")
        settings = {**GOOD[name], "seed": 7, "device": "cpu"}
        api.train(data, project=folder, name="run", exist_ok=True, settings=settings)
        (folder / "done").write_text("", encoding="utf-8")
    return weights


def run_cell(cell: Cell, pool: PooledSet, work: Path, *, advice: bool = False) -> dict[str, Any]:
    """Train (unless the run is kept), diagnose and, where wanted, do what the diagnosis says."""
    folder = work / "runs" / cell.name
    began = time.perf_counter()
    if not (folder / "trained.json").is_file():
        found = _run(cell, pool, work, folder)
        (folder / "trained.json").write_text(json.dumps(found), encoding="utf-8")
    found = json.loads((folder / "trained.json").read_text(encoding="utf-8"))
    trained = time.perf_counter() - began
    began = time.perf_counter()
    told = diagnose(found["run"])
    seconds = time.perf_counter() - began
    faults = [finding for finding in told.findings if finding.severity != "info"]
    return {
        "cell": cell.name,
        "findings": [[f.name, f.severity, round(f.expected_gain, 4)] for f in told.findings],
        "verdict": told.verdict.limit,
        "errors": {part: round(error.value, 4) for part, error in told.errors.items()},
        "commands": [finding.command for finding in faults[:1]],
        "failed": found.get("failed"),
        "trained_s": found.get("seconds", round(trained, 1)),
        "diagnosed_s": round(seconds, 1),
        "followed": advised(told, faults, folder, _clean(cell, pool, work) if advice else None)
        if faults
        else None,
    }


def _clean(cell: Cell, pool: PooledSet, work: Path) -> Path:
    """The clean part as the cell's network is meant to see it, as a table."""
    kind, _, dose = settings_of(cell, work)
    if kind is None or kind.clean is None:
        return write_table([(*each, "") for each in pool.clean], pool.folder / "clean.csv")
    place = pool.folder / "plants" / cell.name
    place.mkdir(parents=True, exist_ok=True)
    rows = kind.clean(pool, cell.seed, dose, place)
    return write_table(rows, pool.folder / f"clean.{cell.name}.csv")


def _run(cell: Cell, pool: PooledSet, work: Path, folder: Path) -> dict[str, Any]:
    """Write the data, train, and change the finished run where the fault is of that kind."""
    began = time.perf_counter()
    kind, settings, dose = settings_of(cell, work)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # tables lie beside the pictures, as the reader wants them below one folder
    place = pool.folder / "plants" / cell.name
    place.mkdir(parents=True, exist_ok=True)
    planted = kind is not None and kind.rows is not None
    rows = kind.rows(pool, cell.seed, dose, place) if planted else pool.rows()
    data = write_table(rows, pool.folder / f"{cell.name}.csv")
    found = _train(data, folder, settings)
    if kind is not None and kind.after is not None:
        kind.after(Path(found["run"]), dose)
    if cell.kind == "dev-overfitted" and "failed" not in found:
        api.load(found["run"]).val(split="test")
    shutil.rmtree(Path(found["run"]) / "weights" / "last", ignore_errors=True)
    return {**found, "seconds": round(time.perf_counter() - began, 1)}


def _train(data: Path, folder: Path, settings: Settings) -> dict[str, Any]:
    try:
        trained = api.train(data, project=folder, name="run", settings=dict(settings))
    except Stopped:
        raise
    except SaccadeError as error:
        # a training that breaks down is a run as well, as far as it got
        place = folder / "classification" / "run"
        if not (place / "args.yaml").is_file():
            raise
        return {"run": str(place), "failed": error.name, "message": error.message}
    return {"run": str(trained.folder.root)}


@contextlib.contextmanager
def turn(lock: Path | None) -> Iterator[None]:
    """Alone on the machine among all who take turns by this file."""
    if lock is None:
        yield
        return
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("planted"), help="Folder of runs.")
    parser.add_argument("--only", default="", help="Kinds, with commas; healthy is one.")
    parser.add_argument("--strength", default="", help="strong or weak")
    parser.add_argument("--half", default="", help="fit or measured")
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=600.0)
    parser.add_argument("--again", action="store_true", help="Diagnose kept runs anew.")
    parser.add_argument("--advice", action="store_true", help="Also type what is advised.")
    parser.add_argument("--table", action="store_true", help="Only print what is there.")
    parser.add_argument("--lock", type=Path, help="File held during each training.")
    parser.add_argument("--threads", type=int, default=1)
    add_option(parser)
    chosen = parser.parse_args()
    os.environ.setdefault("SACCADE_CACHE", str(chosen.work.absolute() / "cache"))
    torch.set_num_threads(chosen.threads)
    place = chosen.work.absolute() / "cells.jsonl"
    chosen.work.mkdir(parents=True, exist_ok=True)
    results: dict[str, dict[str, Any]] = {}
    if place.is_file():
        lines = [json.loads(line) for line in place.read_text(encoding="utf-8").splitlines()]
        results = {line["cell"]: line for line in lines}
    if not chosen.table:
        _fill(chosen, place, results)
    print(table(results, half=chosen.half))
    if chosen.record:
        record("Planted faults, as far as tried", figures(results), note=table(results))


def _fill(chosen: argparse.Namespace, place: Path, results: dict[str, dict[str, Any]]) -> None:
    end = time.monotonic() + 60 * chosen.minutes
    work = chosen.work.absolute()
    for cell in cells(chosen.seeds):
        if time.monotonic() > end:
            return
        kept = (work / "runs" / cell.name / "trained.json").is_file()
        told = results.get(cell.name)
        untried = chosen.advice and told and told["commands"] and not told["followed"]
        if not _wanted(chosen, cell) or (told and not (chosen.again or untried)):
            continue
        if chosen.again and not kept:
            continue
        pool = make_set(cell.set, work)
        with turn(None if kept and not chosen.advice else chosen.lock):
            results[cell.name] = run_cell(cell, pool, work, advice=chosen.advice)
        with place.open("a", encoding="utf-8") as file:
            file.write(json.dumps(results[cell.name]) + "\n")
        names = [name for name, *_ in results[cell.name]["findings"]]
        print(f"{cell.name:50} {results[cell.name]['trained_s']:6.1f} s  {names}", flush=True)


def _wanted(chosen: argparse.Namespace, cell: Cell) -> bool:
    kinds = set(filter(None, chosen.only.split(",")))
    strong = not chosen.strength or cell.kind == HEALTH or cell.strength == chosen.strength
    half = not chosen.half or chosen.half == halved(cell.set, cell.seed)
    return (
        strong and half and (not kinds or cell.kind in kinds) and cell.set in chosen.sets.split(",")
    )


if __name__ == "__main__":
    main()
