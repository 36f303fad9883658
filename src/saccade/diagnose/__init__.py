"""What to do next: reads a run's records, says what limits the result and which knob to turn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from saccade.diagnose.evidence import read_evidence
from saccade.diagnose.gaps import measure_gaps
from saccade.diagnose.verdict import judge
from saccade.training.run import open_run
from saccade.types import Evidence, Finding, Limit, Measure, Verdict

__all__ = ["Diagnosis", "diagnose", "diagnosis_of"]


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """errors: part -> error;  gaps: name -> difference;  findings: most gain first."""

    verdict: Verdict
    errors: Mapping[str, Measure]
    gaps: Mapping[Limit, Measure]
    findings: tuple[Finding, ...]


def diagnose(run: str | Path, *, human_error: float | None = None) -> Diagnosis:
    """Diagnose a run folder (or a weights file in one); nothing outside it is read."""
    return diagnosis_of(read_evidence(open_run(run), human_error=human_error))


def diagnosis_of(evidence: Evidence) -> Diagnosis:
    findings: tuple[Finding, ...] = ()
    return Diagnosis(
        verdict=judge(evidence, findings),
        errors=evidence.errors,
        gaps=measure_gaps(evidence),
        findings=findings,
    )
