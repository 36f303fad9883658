"""How well do people do? Questions drawn from dev, answers kept one by one, the error of both."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from saccade.diagnose.mistakes import Marks
from saccade.errors import SaccadeError
from saccade.files import write_atomic
from saccade.ops.intervals import mean_interval
from saccade.training.run import RunFolder
from saccade.types import Measure

ASKED = 100
"""Pictures that are asked for: 2 of 100 wrong leaves 0.6 to 7 %."""

ANSWERED = ("classification", "multilabel", "regression")
"""Tasks whose answers a person can type."""

SKIPPED = "\0skipped"


@dataclass(frozen=True)
class Quiz:
    """Pictures of one run that people name without seeing label or prediction.

    keys     of the questions, in the order in which they are asked
    targets  key -> what is right: a class, a list of classes, a list of numbers
    """

    run: RunFolder
    task: str
    classes: tuple[str, ...]
    keys: tuple[str, ...]
    targets: Mapping[str, Any]
    thumbnails: Mapping[str, bytes]

    @cached_property
    def marks(self) -> Marks:
        return Marks(self.run.root / "human" / "answers.sqlite")

    def answers(self) -> dict[str, str]:
        """Key -> answer as it was given, skipped ones left out."""
        said = {key: marked.cells.get("answer", "") for key, marked in self.marks.of().items()}
        return {k: answer for k, answer in said.items() if k in self.targets and answer != SKIPPED}

    def done(self) -> set[str]:
        """Questions that were answered or skipped."""
        return self.marks.looked() & self.targets.keys()

    def answer(self, key: str, answer: str) -> Measure | None:
        """Keep an answer, "" for a skipped question. Raises SaccadeError for one that is none."""
        self.answer_all({key: answer})
        return self.result()

    def answer_all(self, answers: Mapping[str, str]) -> None:
        """Many at once: all or nothing."""
        for key, answer in answers.items():
            if key not in self.targets:
                raise SaccadeError(f"{key}: not a question of this quiz.", name="bad-answer")
            if answer:
                self._error(key, answer)
        self.marks.put_all(
            [(key, "cell", "answer", answer or SKIPPED) for key, answer in answers.items()]
        )
        result = self.result()
        if result is not None:
            text = json.dumps({**vars(result), "task": self.task})
            write_atomic(self.run.root / "human.json", text)

    def result(self) -> Measure | None:
        """Error of people in the task's measure, with its interval; None before any answer."""
        errors = [self._error(key, answer) for key, answer in self.answers().items()]
        if not errors:
            return None
        value, low, high, count = mean_interval(np.array(errors))
        return Measure(value=value, low=low, high=high, n=count)

    def _error(self, key: str, answer: str) -> float:
        """Of one answer, as the task measures it."""
        target = self.targets[key]
        if self.task == "regression":
            return self._distance(target, answer)
        named = answer.split("|") if self.task == "multilabel" else [answer]
        strangers = set(named) - set(self.classes) - {"none"}
        if strangers:
            raise SaccadeError(
                f"{key}: {sorted(strangers)[0]!r} is no class: {', '.join(self.classes)}.",
                name="bad-answer",
            )
        if self.task == "multilabel":
            return len((set(named) - {"none"}) ^ set(target)) / len(self.classes)
        return float(answer != target)

    def _distance(self, target: Sequence[float | None], answer: str) -> float:
        try:
            numbers = [float(text) for text in answer.replace(";", " ").split()]
        except ValueError:
            numbers = []
        if len(numbers) != len(target) or not all(map(math.isfinite, numbers)):
            raise SaccadeError(
                f"{answer!r}: expected {len(target)} numbers, with spaces between them.",
                name="bad-answer",
            )
        known = [abs(n - t) for n, t in zip(numbers, target, strict=True) if t is not None]
        return float(np.mean(known))


def make_quiz(run: RunFolder, *, count: int = ASKED) -> Quiz:
    """Questions of a run, the same ones every time; more of them continue a quiz.

    Raises SaccadeError where dev was not scored or the task's answers cannot be typed.
    """
    values = run.read_args()
    task = str(values.get("task"))
    if task not in ANSWERED:
        raise SaccadeError(
            f"human: answers of the task {task} cannot be typed. Measure the error of people "
            "elsewhere and give it with --human-error.",
            name="no-quiz",
        )
    card = run.read_json(run.card)
    table = run.read_table(run.predictions("dev"))
    targets = dict(zip(table["key"].to_pylist(), table["target"].to_pylist(), strict=True))
    known = {key: _target(task, text) for key, text in targets.items() if text not in ("null", "")}
    keys = sorted(known)
    order = np.random.default_rng(0).permutation(len(keys))[:count]
    chosen = tuple(keys[place] for place in order.tolist())
    jpegs = run.read_table(run.thumbnails("dev")) if run.thumbnails("dev").is_file() else None
    thumbnails = (
        dict(zip(jpegs["key"].to_pylist(), jpegs["jpeg"].to_pylist(), strict=True)) if jpegs else {}
    )
    return Quiz(
        run=run,
        task=task,
        classes=tuple(card["fields"][0]["classes"]),
        keys=chosen,
        targets={key: known[key] for key in chosen},
        thumbnails=thumbnails,
    )


def _target(task: str, text: str) -> Any:
    return text if task == "classification" else json.loads(text)


def write_questions(quiz: Quiz) -> Path:
    """RUN/human/questions.csv: key and answer, to be filled in by whoever cannot use the page."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["key", "answer"])
    given = quiz.answers()
    writer.writerows([key, given.get(key, "")] for key in quiz.keys)
    place = quiz.run.root / "human" / "questions.csv"
    write_atomic(place, text.getvalue())
    return place


def read_answers(path: Path) -> dict[str, str]:
    """Answers of a table with the columns key and answer; empty ones are left out."""
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8-sig"))))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SaccadeError(f"{path}: cannot be read ({error}).", name="bad-table") from error
    if rows and not {"key", "answer"} <= rows[0].keys():
        raise SaccadeError(
            f"{path}: expected the columns key and answer, as questions.csv has them.",
            name="bad-table",
            files=[str(path)],
        )
    return {row["key"]: row["answer"].strip() for row in rows if (row["answer"] or "").strip()}
