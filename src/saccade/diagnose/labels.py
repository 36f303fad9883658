"""Labels that look wrong, the most suspect first, and whether correcting them pays.

Dev and test are judged by probabilities that their labels had no part in (confident learning,
Northcutt and others 2021). A network has learned the labels of its training part, the wrong ones
too; what tells these apart is that they were learned late: the loss before each update, averaged
over the training (Arazo and others 2019, on the losses of clean and of noisy labels). Where folds
were trained, training labels are judged as those of dev.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from saccade.diagnose import signals
from saccade.diagnose.findings.label_noise import (
    ENOUGH,
    average_losses,
    learned_late,
    suspected,
    wrong_labels,
)
from saccade.errors import SaccadeError
from saccade.types import Evidence, Measure

DOUBT = -0.3
"""Margin above which a network is not sure enough of another class: those are hard pictures."""

PAYS = 0.15
"""Share of dev mistakes from which on correcting labels is worth the time."""


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """A label that looks wrong.

    given      the label in the data;  guess: what the network says, "" where it was not asked
    margin     probability of the given label less that of the best other one, -1 to 1; of training
               labels by their average loss
    mistake    whether the network's answer counts as a mistake
    """

    key: str
    part: str
    given: str
    guess: str
    margin: float
    mistake: bool


@dataclass(frozen=True, kw_only=True)
class Labels:
    """Suspects of all parts, ranked; counts; and what they mean for the error on dev.

    labels      part -> labels that were judged;  mistakes: of dev
    mislabelled share of the mistakes on dev that are wrong labels; NaN where it cannot be told
    ceiling     error on dev without those
    """

    suspects: tuple[Suspect, ...]
    labels: Mapping[str, int]
    error: Measure
    mistakes: int
    mislabelled: Measure
    ceiling: float

    def counts(self) -> dict[str, int]:
        """Suspects in each part."""
        return {part: sum(each.part == part for each in self.suspects) for part in self.labels}

    @property
    def pays(self) -> bool:
        return self.mislabelled.value >= PAYS and self.mistakes > 0


def find_suspects(evidence: Evidence) -> Labels:
    """Judge the labels of a run by its records. Raises SaccadeError where the task has none."""
    if evidence.task != "classification":
        raise SaccadeError(
            f"labels: the task {evidence.task} has no single class per picture whose label could "
            "be judged. `saccade errors RUN --open` marks wrong annotations by hand.",
            name="no-labels-to-judge",
        )
    if "dev" not in evidence.predictions:
        raise SaccadeError(
            f"{evidence.run}: dev has not been scored; finish the training first (--resume).",
            name="not-scored",
        )
    if len(evidence.folds):
        # answers on what a network had not learned take the place of losses on what it had
        predictions = {**evidence.predictions, "train": evidence.folds}
        evidence = replace(evidence, predictions=predictions, dynamics={})
    found, counts = [], {}
    for part, rows in evidence.predictions.items():
        if part == "train" and len(evidence.dynamics):
            continue
        counts[part] = len(rows["key"])
        found += out_of_sample(evidence, part)
    if len(evidence.dynamics):
        counts["train"] = len(evidence.dynamics["key"])
        found += _by_dynamics(evidence)
    dev = evidence.predictions["dev"]
    mistakes = int((dev["error"] > 0.5).sum())
    error = evidence.errors["dev"]
    share = _mislabelled(evidence, mistakes)
    order = {"train": "a", "train-dev": "b", "dev": "c", "test": "d"}
    return Labels(
        suspects=tuple(sorted(found, key=lambda each: (each.margin, order[each.part], each.key))),
        labels={part: counts[part] for part in sorted(counts, key=order.__getitem__)},
        error=error,
        mistakes=mistakes,
        mislabelled=share,
        ceiling=error.value * (1 - np.nan_to_num(share.value)),
    )


def _mislabelled(evidence: Evidence, mistakes: int) -> Measure:
    """Share of the mistakes on dev that are wrong labels.

    Suspects are no measure of it: on hard pictures a network may be sure and wrong.
    """
    unknown = Measure(value=math.nan, low=math.nan, high=math.nan, n=mistakes)
    if signals.updates_done(evidence) < ENOUGH or not mistakes:
        return unknown
    found = wrong_labels(evidence, "dev")
    if found is None:
        return Measure(value=0.0, low=0.0, high=PAYS, n=mistakes)
    error = evidence.errors["dev"].value
    value, low, high = (min(1.0, each / error) for each in (found.value, found.low, found.high))
    return Measure(value=value, low=low, high=high, n=mistakes)


def out_of_sample(evidence: Evidence, part: str) -> list[Suspect]:
    """Labels against which the network is sure of another class, of pictures it was tried on."""
    rows = evidence.predictions[part]
    names = {name: place for place, name in enumerate(signals.classes(evidence))}
    places = {str(key): place for place, key in enumerate(rows["key"])}
    found = []
    for key in suspected(evidence, part):
        if key not in places:
            continue
        place = places[key]
        probabilities = np.array(rows["probabilities"][place], dtype=np.float64)
        given = names.get(str(rows["target"][place]), -1)
        own = float(probabilities[given]) if given >= 0 else 0.0
        probabilities[given] = -1.0
        best = int(probabilities.argmax())
        if own - float(probabilities[best]) > DOUBT:
            continue
        found.append(
            Suspect(
                key=key,
                part=part,
                given=str(rows["target"][place]),
                guess=list(names)[best],
                margin=own - float(probabilities[best]),
                mistake=bool(rows["error"][place] > 0.5),
            )
        )
    return found


def _by_dynamics(evidence: Evidence) -> list[Suspect]:
    """Training labels that were learned much later than the others."""
    keys = [str(key) for key in evidence.dynamics["key"]]
    average = average_losses(np.asarray(evidence.dynamics["losses"], dtype=np.float64))
    given = _given(evidence)
    answers = _answers(evidence.predictions.get("train", {}))
    chosen = learned_late(average, len(signals.classes(evidence)))
    return [
        Suspect(
            key=keys[place],
            part="train",
            given=given.get(keys[place], ""),
            guess=_other(answers.get(keys[place], ""), given.get(keys[place], "")),
            margin=2 * math.exp(-float(average[place])) - 1,
            mistake=answers.get(keys[place], given.get(keys[place], "")) != given.get(keys[place]),
        )
        for place in chosen.tolist()
    ]


def _other(answer: str, given: str) -> str:
    """A network that repeats the label it was taught gives no second opinion."""
    return "" if answer == given else answer


def _given(evidence: Evidence) -> dict[str, str]:
    fields = evidence.data.get("fields") or [{"name": "label"}]
    return {
        entry["key"]: str((entry.get("target") or {}).get(fields[0]["name"]) or "")
        for entry in evidence.data.get("examples", ())
    }


def _answers(rows: Mapping[str, Any]) -> dict[str, str]:
    if "label" not in rows:
        return {}
    return {str(k): str(v) for k, v in zip(rows["key"], rows["label"], strict=True)}


def advice(labels: Labels, *, test_scored: bool, judged: Sequence[str] = ()) -> list[str]:
    """Whether correcting pays, in sentences. judged: parts in which a person judged labels."""
    share, now = labels.mislabelled, labels.error.value
    if math.isnan(share.value):
        return ["Whether correcting pays cannot be told: the network knows too little, or all."]
    told = [
        f"About {100 * share.value:.0f} % ({100 * share.low:.0f} to {100 * share.high:.0f}) of "
        f"{labels.mistakes} dev mistakes are wrong labels: {100 * now:.1f} % -> "
        f"{100 * labels.ceiling:.1f} % at best."
    ]
    if labels.pays:
        told.append("Correcting pays: look at them first.")
    else:
        told.append(
            "Correcting does not pay yet: other mistakes weigh more (`saccade errors` shows which)."
        )
    if not test_scored:
        told.append("When test is scored, judge its labels by the same criteria as those of dev.")
    elif ("dev" in judged) != ("test" in judged):
        other = "test" if "dev" in judged else "dev"
        told.append(f"Judge {other} by the same criteria, or dev and test drift apart.")
    return told
