"""The verdict: which gap limits the result, how sure that is, and what to type next."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from saccade.diagnose import commands
from saccade.diagnose.gaps import WORDS, measure_gaps
from saccade.diagnose.signals import error_text
from saccade.types import ENSEMBLE, Evidence, Finding, Limit, Measure, Verdict

SMALL = 0.01
"""A gap of less than a point limits nothing, unless it is most of the error."""

WIDE = 0.03
"""An interval that reaches beyond this hides a gap that would matter."""


def judge(evidence: Evidence, findings: Sequence[Finding] = ()) -> Verdict:
    """The verdict of a run. Where there are faults, the first one says what to type."""
    gaps = measure_gaps(evidence)
    if _members(evidence):
        return _ensemble(evidence)
    if "dev" not in evidence.errors or "train" not in evidence.errors:
        return _unfinished(evidence, findings)
    limit = decide(evidence, gaps)
    gap = gaps[limit] if limit in gaps else max(gaps.values(), key=lambda gap: gap.high)
    faults = _faults(findings)
    command = faults[0].command if faults else _command(evidence, gaps, limit)
    first = _limits(evidence, gaps, limit, findings)
    few = limit == "cannot-tell" and _few_answers(evidence, gaps)
    hand = limit in ("dev-overfitting", "cannot-tell") and not faults and not few
    before = commands.by_hand(evidence) if hand else ""
    lines = (first, _sureness(evidence, gaps, limit), _next(evidence, f"{before}{command}"))
    return Verdict(limit=limit, gap=gap, lines=lines, command=command)


def decide(evidence: Evidence, gaps: Mapping[Limit, Measure]) -> Limit:
    """The largest gap beyond noise; "nothing" where all are small, else "cannot-tell"."""
    small = min(SMALL * evidence.scale, evidence.errors["dev"].value / 2)
    beyond = {
        name: gap for name, gap in gaps.items() if gap.low > 0 and gap.value > max(small, 1e-9)
    }
    largest = sorted(beyond, key=lambda name: -beyond[name].value)[:1]
    hidden = {name: gap for name, gap in _hidden(evidence, gaps).items() if name not in beyond}
    doubtful = max((gap.value for gap in hidden.values()), default=0.0)
    if largest and beyond[largest[0]].value * 2 >= doubtful:
        return largest[0]
    return "cannot-tell" if hidden else "nothing"


def _hidden(evidence: Evidence, gaps: Mapping[Limit, Measure]) -> dict[Limit, Measure]:
    """Gaps whose interval hides what would matter.

    People who were asked little may seem worse than the network: that hides a gap as well.
    """
    return {
        name: gap
        for name, gap in gaps.items()
        if gap.high > WIDE * evidence.scale
        and (gap.value >= 0 or (name == "avoidable-bias" and _answers(evidence)))
    }


def _few_answers(evidence: Evidence, gaps: Mapping[Limit, Measure]) -> bool:
    """Whether it is for want of people's answers that nothing can be told."""
    hidden = _hidden(evidence, gaps)
    widest = max(hidden, key=lambda name: hidden[name].high - hidden[name].low, default=None)
    return bool(_answers(evidence)) and widest == "avoidable-bias"


def _answers(evidence: Evidence) -> int:
    """Pictures that people have judged; 0 where there are no more to be asked about."""
    given = 0 if evidence.human is None else evidence.human.n
    return given if given < _pictures(evidence) else 0


def _pictures(evidence: Evidence) -> int:
    """Of dev, on which people can be asked."""
    return len(evidence.predictions.get("dev", {}).get("error", ()))


def _limits(
    evidence: Evidence,
    gaps: Mapping[Limit, Measure],
    limit: Limit,
    findings: Sequence[Finding],
) -> str:
    dev = error_text(evidence, evidence.errors["dev"].value)
    fault = _fault(findings)
    if limit == "nothing":
        return f"Nothing limits the result beyond noise: dev error {dev}.{fault}"
    if limit == "cannot-tell":
        few = _few_answers(evidence, gaps)
        widest = "avoidable-bias" if few else _widest(gaps)
        half = (gaps[widest].high - gaps[widest].low) / 2
        return (
            f"Cannot tell what limits the result: {_too_little(evidence, gaps)}, "
            f"the interval is +-{error_text(evidence, half)}.{fault}"
        )
    unknown = ", or less" if limit == "avoidable-bias" and evidence.human is None else ""
    value = error_text(evidence, gaps[limit].value)
    return (
        f"{WORDS[limit].capitalize()} limits the result: {value}{unknown}; dev error {dev}.{fault}"
    )


def _fault(findings: Sequence[Finding]) -> str:
    """The first fault in words."""
    faults = _faults(findings)
    return f" First fault: {faults[0].message}" if faults else ""


def _faults(findings: Sequence[Finding]) -> list[Finding]:
    """Findings without those that are only worth knowing."""
    return [finding for finding in findings if finding.severity != "info"]


def _sureness(evidence: Evidence, gaps: Mapping[Limit, Measure], limit: Limit) -> str:
    told = "; ".join(
        f"{WORDS[name]} {error_text(evidence, gap.value)} "
        f"({error_text(evidence, gap.low)} to {error_text(evidence, gap.high)})"
        for name, gap in sorted(gaps.items(), key=lambda item: -item[1].value)
    )
    if evidence.human is None:
        told += "; human-level error unknown (--human-error)"
    second = max((gap.high for name, gap in gaps.items() if name != limit), default=0.0)
    if limit in gaps and gaps[limit].low > second:
        return f"Sure: {told}."
    if limit in gaps:
        return f"Beyond noise, though the gaps overlap: {told}."
    return f"95 % intervals: {told}."


def _command(evidence: Evidence, gaps: Mapping[Limit, Measure], limit: Limit) -> str:
    if limit == "avoidable-bias":
        return commands.longer(evidence)
    if limit == "variance":
        return commands.retrain(evidence, *commands.regularised(evidence))
    if limit == "data-mismatch":
        if commands.tabular(evidence):
            return f"saccade sources {shlex.quote(evidence.run)} --try"
        return commands.without(evidence, "mismatch")
    if limit == "dev-overfitting":
        return commands.fresh_dev(evidence)
    if limit == "cannot-tell" and _few_answers(evidence, gaps):
        count = min(_pictures(evidence), 4 * max(25, _answers(evidence)))
        return f"saccade human {shlex.quote(evidence.run)} --count {count}"
    if limit == "cannot-tell":
        return commands.larger_dev(evidence)
    return commands.test(evidence)


def _unfinished(evidence: Evidence, findings: Sequence[Finding]) -> Verdict:
    faults = _faults(findings)
    command = faults[0].command if faults else commands.resume(evidence)
    done = len(evidence.curves.get("epoch", ()))
    planned = commands.of_recipe(evidence, "train.epochs", "?")
    fault = _fault(findings)
    return Verdict(
        limit="cannot-tell",
        gap=None,
        lines=(
            f"Cannot tell what limits the result: the training is not finished.{fault}",
            f"{done} of {planned} epochs are done, and the network has not been scored.",
            _next(evidence, f"{'' if faults else commands.put_back(evidence)}{command}"),
        ),
        command=command,
    )


def _next(evidence: Evidence, told: str) -> str:
    moved = commands.gone(evidence) and commands.DATA in told.split()
    where = " (DATA: where the data lie now; they are not where they were)" if moved else ""
    return f"Next: {told}{where}"


def _members(evidence: Evidence) -> list[str]:
    """Run folders of an ensemble's members; none of a network that was trained."""
    if evidence.card is None or evidence.card.model != ENSEMBLE:
        return []
    return [str(member["run"]) for member in evidence.card.arguments["members"]]


def _ensemble(evidence: Evidence) -> Verdict:
    """It was not trained itself: what limits it is what limits its members."""
    members = _members(evidence)
    dev = evidence.errors.get("dev")
    told = (
        ""
        if dev is None
        else f"; together they have a dev error of {error_text(evidence, dev.value)}"
    )
    command = f"saccade diagnose {shlex.quote(members[0])}"
    return Verdict(
        limit="cannot-tell",
        gap=None,
        lines=(
            f"An ensemble of {len(members)} networks is limited by what limits them{told}.",
            "It was not trained itself, so there is no training error to compare with.",
            f"Next: {command}",
        ),
        command=command,
    )


def _widest(gaps: Mapping[Limit, Measure]) -> Limit:
    return max(gaps, key=lambda name: gaps[name].high - gaps[name].low)


def _too_little(evidence: Evidence, gaps: Mapping[Limit, Measure]) -> str:
    if _few_answers(evidence, gaps):
        return f"people have judged {_answers(evidence)} images"
    part, count = _smallest_part(evidence)
    return f"{part} has {count} {_units(evidence)}"


def _smallest_part(evidence: Evidence) -> tuple[str, int]:
    measured = {part: error.n for part, error in evidence.errors.items() if part != "train"}
    part = min(measured, key=lambda name: measured[name])
    return part, measured[part]


def _units(evidence: Evidence) -> str:
    grouped = any(entry.get("group") is not None for entry in evidence.data.get("examples", ()))
    return "groups" if grouped else "images"
