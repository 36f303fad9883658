"""The matrix planted x named, and the figures that are judged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from planted_kinds import KINDS
from planted_sets import halved
from results import Figure

HEALTH = "healthy"
Results = Mapping[str, dict[str, Any]]


def right_names(kind: str) -> set[str]:
    return {kind, *KINDS[kind].right}


def faults(result: dict[str, Any]) -> list[str]:
    """Names of the findings above info, the first one first."""
    return [name for name, severity, _ in result["findings"] if severity != "info"]


def place_of(result: dict[str, Any], kind: str) -> int:
    """Where the fault stands among the findings above info, 1 = first; 99 = nowhere."""
    names = faults(result)
    return next((n for n, name in enumerate(names, 1) if name in right_names(kind)), 99)


def half_of(results: Results, half: str) -> Results:
    """The cells of one half, or all of them."""
    chosen = {}
    for name, result in results.items():
        kind, _, data, seed = name.split(".")
        if kind in (*KINDS, HEALTH) and (not half or halved(data, int(seed)) == half):
            chosen[name] = result
    return chosen


def better(found: dict[str, Any]) -> bool:
    """Whether the advised run calls fewer clean pictures wrongly, beyond noise."""
    if "change" in found:
        return bool(found["change"][2] < 0)
    return found.get("after") is not None and found["after"] < found["before"]


def table(results: Results, *, half: str = "") -> str:
    """Every kind: how often it was named first, what was named instead; then advice and health."""
    chosen = half_of(results, half)
    lines = []
    for strength, top in (("strong", 1), ("weak", 3)):
        lines.append(f"\n{strength} plants: named among the first {top}, and what was named first")
        places: list[int] = []
        for kind in KINDS:
            own = {n: r for n, r in chosen.items() if n.startswith(f"{kind}.{strength}.")}
            if not own:
                continue
            found = [place_of(result, kind) for result in own.values()]
            places += found
            first = Counter((faults(result) or ["-"])[0] for result in own.values())
            named = ", ".join(f"{name} {count}" for name, count in first.most_common())
            missed = [
                ".".join(n.split(".")[2:]) for n, p in zip(own, found, strict=True) if p > top
            ]
            told = f"  (not: {' '.join(missed)})" if missed else ""
            lines.append(f"  {kind:28} {len(own) - len(missed)}/{len(own)}: {named}{told}")
        lines.append(f"  in all: {sum(place <= top for place in places)} of {len(places)}")
    return "\n".join([*lines, *_advice(chosen), *_healthy(chosen)]).strip("\n")


def _advice(results: Results) -> list[str]:
    followed = {n: r["followed"] for n, r in results.items() if r["followed"] and _planted(n)}
    good = [name for name, found in followed.items() if better(found)]
    lines = [f"\nadvice followed: {len(good)} of {len(followed)} better beyond noise; not:"]
    return lines + [f"  {name}: {followed[name]}" for name in followed if name not in good]


def _planted(name: str) -> bool:
    return name.split(".")[0] in KINDS


def _healthy(results: Results) -> list[str]:
    own = {name: result for name, result in results.items() if not _planted(name)}
    false = [f"  {name}: {', '.join(faults(r))}" for name, r in own.items() if faults(r)]
    return [f"\nhealthy runs: {len(own)}, with a finding above info: {len(false)}", *false]


def figures(results: Results) -> list[Figure]:
    """The shares that are judged, on each half."""
    found = []
    for half in ("measured", "fit"):
        chosen = half_of(results, half)
        for strength, top, goal in (("strong", 1, 0.95), ("weak", 3, 0.90)):
            own = [
                place_of(result, name.split(".")[0]) <= top
                for name, result in chosen.items()
                if name.split(".")[1] == strength
            ]
            found.append(
                _share(f"{half} half: {strength} plants, among the first {top}", own, goal)
            )
        tried = [r["followed"] for n, r in chosen.items() if r["followed"] and _planted(n)]
        good = [better(each) for each in tried]
        found.append(_share(f"{half} half: advice followed, better beyond noise", good, 0.8))
        own = [bool(faults(r)) for name, r in chosen.items() if not _planted(name)]
        told = f"{sum(own)} of {len(own)}"
        found.append(Figure(f"{half} half: healthy runs with a finding", told, "0", not any(own)))
    return found


def _share(what: str, found: list[bool], goal: float) -> Figure:
    share = sum(found) / max(1, len(found))
    told = f"{sum(found)} of {len(found)} ({100 * share:.0f} %)"
    return Figure(what, told, f">= {100 * goal:.0f} %", share >= goal if found else None)
