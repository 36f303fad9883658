"""Plant one fault at a time, train, and see what the diagnosis calls it.

    python benchmarks/planted_faults.py --minutes 20            as far as it gets; again: goes on
    python benchmarks/planted_faults.py --only label-noise,leakage --sets digits
    python benchmarks/planted_faults.py --again                 diagnose kept runs anew, no training
    python benchmarks/planted_faults.py --table                 print the matrix of what is there

Finished cells are lines of WORK/cells.jsonl. Half of the cells (even seeds) is for setting
thresholds; the figures of the other half are the ones to quote.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from planted_advice import follow
from planted_kinds import GOOD, HEALTHY, KINDS, Kind, Settings
from planted_sets import SETS, PooledSet, make_set, write_table

from saccade import api
from saccade.diagnose import diagnose
from saccade.errors import SaccadeError, Stopped

HEALTH = "healthy"
USUAL = {"fashion": 0.15, "cifar": 0.075, "digits": 0.1, "cells": 0.1}
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
    """Strong plants first, on one set after the other, healthy runs between them."""
    for seed in range(seeds):
        for strength in ("strong", "weak"):
            for number, kind in enumerate(KINDS):
                for data in SETS:
                    yield Cell(kind, strength, data, seed)
                if number < len(HEALTHY):
                    for data in SETS:
                        place = number + len(HEALTHY) * (strength == "weak")
                        yield Cell(HEALTH, str(place), data, seed)


def settings_of(cell: Cell) -> tuple[Kind | None, Settings, float]:
    """The kind, the recipe's settings, and the dose of what is done to the data."""
    good = GOOD[cell.set]
    if cell.kind == HEALTH:
        kind, own, dose = None, HEALTHY[int(cell.strength) % len(HEALTHY)], 0.0
    else:
        kind = KINDS[cell.kind]
        own = kind.strong if cell.strength == "strong" else kind.weak
        dose = kind.doses[cell.strength != "strong"]
    channels = 1 if cell.set in ("digits", "fashion") else 3
    settings: Settings = {**good, "seed": cell.seed, "device": "cpu"}
    for key, value in own.items():
        if key == "*epochs":
            settings["epochs"] = round(good["epochs"] * value)
        elif key == "*lr0":
            settings["lr0"] = USUAL[cell.set] * value
        elif key in ("data.mean", "data.std"):
            settings[key] = [value] * channels
        else:
            settings[key] = value
    return kind, settings, dose


def run_cell(cell: Cell, pool: PooledSet, work: Path, *, advice: bool = False) -> dict[str, Any]:
    """Train (unless the run is kept), diagnose and, where wanted, do what the diagnosis says."""
    kind, settings, dose = settings_of(cell)
    folder = work / "runs" / cell.name
    began = time.perf_counter()
    if not (folder / "trained.json").is_file():
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
        (folder / "trained.json").write_text(json.dumps(found), encoding="utf-8")
    found = json.loads((folder / "trained.json").read_text(encoding="utf-8"))
    trained = time.perf_counter() - began
    began = time.perf_counter()
    told = diagnose(found["run"])
    seconds = time.perf_counter() - began
    faults = [finding for finding in told.findings if finding.severity != "info"]
    followed = follow(told, pool, folder) if advice and faults else None
    return {
        "cell": cell.name,
        "findings": [[f.name, f.severity, round(f.expected_gain, 4)] for f in told.findings],
        "verdict": told.verdict.limit,
        "errors": {part: round(error.value, 4) for part, error in told.errors.items()},
        "commands": [finding.command for finding in told.findings[:1]],
        "failed": found.get("failed"),
        "trained_s": round(trained, 1),
        "diagnosed_s": round(seconds, 1),
        "followed": followed,
    }


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
        with (place / "log.txt").open("a", encoding="utf-8") as log:
            log.write(error.message + "\n")
        return {"run": str(place), "failed": error.name, "message": error.message}
    return {"run": str(trained.folder.root)}


def right_names(kind: str) -> set[str]:
    return {kind, *KINDS[kind].right}


def place_of(result: dict[str, Any], kind: str) -> int:
    """Where the fault stands among the findings above info, 1 = first; 99 = nowhere."""
    names = [name for name, severity, _ in result["findings"] if severity != "info"]
    return next((n for n, name in enumerate(names, 1) if name in right_names(kind)), 99)


def table(results: dict[str, dict[str, Any]]) -> str:
    """planted x named, and the two shares that are judged."""
    lines = []
    for strength in ("strong", "weak"):
        lines.append(f"\n{strength} plants: what was named first")
        places: list[int] = []
        for kind in KINDS:
            own = [
                result for name, result in results.items() if name.startswith(f"{kind}.{strength}.")
            ]
            if not own:
                continue
            found = [place_of(result, kind) for result in own]
            places += found
            named = Counter(
                next((n for n, level, _ in r["findings"] if level != "info"), "-") for r in own
            )
            told = ", ".join(f"{name} {count}" for name, count in named.most_common())
            good = sum(place == 1 for place in found)
            lines.append(f"  {kind:28} {good}/{len(own)} first; {told}")
        top = 1 if strength == "strong" else 3
        good = sum(place <= top for place in places)
        lines.append(f"  among the first {top}: {good} of {len(places)}")
    lines += _advice(results)
    healthy = {name: r for name, r in results.items() if name.startswith(f"{HEALTH}.")}
    false = [
        f"{name}: {n}"
        for name, r in healthy.items()
        for n, level, _ in r["findings"]
        if level != "info"
    ]
    lines.append(f"\nhealthy runs: {len(healthy)}, findings above info: {len(false)}")
    return "\n".join([*lines, *(f"  {line}" for line in false)])


def _advice(results: dict[str, dict[str, Any]]) -> list[str]:
    """Plants whose advice was followed: how often the clean part gained beyond noise."""
    followed = {
        name: r["followed"]
        for name, r in results.items()
        if r.get("followed") and KINDS.get(name.split(".")[0])
    }
    if not followed:
        return []
    better = [name for name, found in followed.items() if _better(found)]
    lines = [f"\nadvice followed: {len(better)} of {len(followed)} better beyond noise"]
    return lines + [f"  {name}: {followed[name]}" for name in followed if name not in better]


def _better(found: dict[str, Any]) -> bool:
    if "change" in found:
        return bool(found["change"][2] < 0)
    return found.get("after") is not None and found["after"] < found["before"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("planted"), help="Folder of runs.")
    parser.add_argument("--only", default="", help="Kinds, with commas; healthy is one.")
    parser.add_argument("--strength", default="", help="strong or weak")
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=600.0)
    parser.add_argument("--again", action="store_true", help="Diagnose kept runs anew.")
    parser.add_argument("--advice", action="store_true", help="Also type what is advised.")
    parser.add_argument("--table", action="store_true", help="Only print what is there.")
    chosen = parser.parse_args()
    os.environ.setdefault("SACCADE_CACHE", str(chosen.work / "cache"))
    torch.set_num_threads(max(1, (os.cpu_count() or 2) // 2))
    place = chosen.work.absolute() / "cells.jsonl"
    chosen.work.mkdir(parents=True, exist_ok=True)
    results: dict[str, dict[str, Any]] = {}
    if place.is_file():
        lines = [json.loads(line) for line in place.read_text(encoding="utf-8").splitlines()]
        results = {line["cell"]: line for line in lines}
    if not chosen.table:
        _run(chosen, place, results)
    print(table(results))


def _run(chosen: argparse.Namespace, place: Path, results: dict[str, dict[str, Any]]) -> None:
    end = time.monotonic() + 60 * chosen.minutes
    wanted = set(filter(None, chosen.only.split(",")))
    work = chosen.work.absolute()
    for cell in cells(chosen.seeds):
        if time.monotonic() > end:
            return
        if (wanted and cell.kind not in wanted) or cell.set not in chosen.sets.split(","):
            continue
        if chosen.strength and cell.kind != HEALTH and cell.strength != chosen.strength:
            continue
        kept = (work / "runs" / cell.name / "trained.json").is_file()
        if (cell.name in results and not chosen.again) or (chosen.again and not kept):
            continue
        results[cell.name] = run_cell(cell, make_set(cell.set, work), work, advice=chosen.advice)
        with place.open("a", encoding="utf-8") as file:
            file.write(json.dumps(results[cell.name]) + "\n")
        names = [name for name, *_ in results[cell.name]["findings"]]
        print(f"{cell.name:50} {results[cell.name]['trained_s']:6.1f} s  {names}", flush=True)


if __name__ == "__main__":
    main()
