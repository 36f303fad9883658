"""What to do next: reads a run's records, says what limits the result and which knob to turn."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from saccade.diagnose.evidence import read_evidence
from saccade.diagnose.findings import find
from saccade.diagnose.gaps import WORDS, measure_gaps
from saccade.diagnose.sources import errors_by_source
from saccade.diagnose.tables import write_tables
from saccade.diagnose.verdict import judge
from saccade.files import write_atomic
from saccade.training.run import RunFolder, open_run
from saccade.types import Evidence, Finding, Limit, Measure, Verdict

__all__ = ["Diagnosis", "diagnose", "diagnosis_of", "write"]


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """errors: part -> error;  gaps: name -> difference;  findings: the worst first.

    sources: part -> source -> error, empty where the data name no sources.
    """

    evidence: Evidence
    verdict: Verdict
    errors: Mapping[str, Measure]
    gaps: Mapping[Limit, Measure]
    findings: tuple[Finding, ...]
    sources: Mapping[str, Mapping[str, Measure]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The JSON of the command line and of diagnosis.json."""
        verdict = self.verdict
        return {
            "verdict": {
                "limit": verdict.limit,
                "gap": None if verdict.gap is None else _measure(verdict.gap),
                "lines": list(verdict.lines),
                "command": verdict.command,
            },
            "errors": {
                **{part: _measure(error) for part, error in self.errors.items()},
                "human": None if self.evidence.human is None else _measure(self.evidence.human),
            },
            "gaps": {name: _measure(gap) for name, gap in self.gaps.items()},
            "findings": [_finding(finding) for finding in self.findings],
            **({"sources": self._sources()} if self.sources else {}),
        }

    def _sources(self) -> dict[str, Any]:
        return {
            part: {name: _measure(error) for name, error in own.items()}
            for part, own in self.sources.items()
        }

    def rows(self) -> list[tuple[str, Measure]]:
        """Errors and gaps in the order in which they are read, with their names in words."""
        order = ("human", "train", "train-dev", "dev", "test")
        errors = {"human": self.evidence.human, **self.errors}
        told = [(f"{part} error", errors.get(part)) for part in order]
        told += [
            (f"{part} error, {name}", error)
            for part, own in self.sources.items()
            for name, error in own.items()
        ]
        told += [(WORDS[name], gap) for name, gap in self.gaps.items()]
        return [(name, measure) for name, measure in told if measure is not None]


def diagnose(run: str | Path, *, human_error: float | None = None) -> Diagnosis:
    """Diagnose a run folder (or a weights file in one); nothing outside it is read.

    human_error: of people on the same pictures, in the task's error measure (0.02 = 2 %).
    """
    return diagnosis_of(read_evidence(open_run(run), human_error=human_error))


def diagnosis_of(evidence: Evidence) -> Diagnosis:
    """The diagnosis of records that have been read."""
    findings = find(evidence)
    return Diagnosis(
        evidence=evidence,
        verdict=judge(evidence, findings),
        errors=evidence.errors,
        gaps=measure_gaps(evidence),
        findings=findings,
        sources=errors_by_source(evidence),
    )


def write(diagnosis: Diagnosis) -> Path:
    """diagnosis.json, and the tables that its commands name, into the run."""
    told = [diagnosis.verdict.command, *(finding.command for finding in diagnosis.findings)]
    write_tables(diagnosis.evidence, told)
    place = RunFolder(Path(diagnosis.evidence.run)).diagnosis
    text = json.dumps(diagnosis.as_dict(), indent=1, ensure_ascii=False, allow_nan=False)
    write_atomic(place, text)
    return place


def _measure(measure: Measure) -> dict[str, float | int | None]:
    numbers = {"value": measure.value, "low": measure.low, "high": measure.high}
    return {**{name: _number(value) for name, value in numbers.items()}, "n": measure.n}


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "name": finding.name,
        "severity": finding.severity,
        "evidence": {"says": finding.message, **_plain(finding.evidence)},
        "knob": finding.knob,
        "goal": finding.goal,
        "command": finding.command,
        "expected_gain": _number(finding.expected_gain),
    }


def _number(value: float) -> float | None:
    """Six digits; JSON knows no NaN."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return _number(value) if isinstance(value, float) else value
