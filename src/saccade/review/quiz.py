"""How well do people do? Questions drawn from dev, answers kept one by one, the error of both."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from saccade.diagnose.mistakes import Marks
from saccade.errors import SaccadeError
from saccade.files import write_atomic
from saccade.ops.intervals import mean_interval
from saccade.review.drawn import DRAWN, DrawnTruth
from saccade.review.originals import Originals
from saccade.review.typed import TYPED, TypedTruth
from saccade.training.run import RunFolder
from saccade.types import Measure

ASKED = 100
"""Pictures that are asked for: 2 of 100 wrong leaves 0.6 to 7 %."""

SKIPPED = "\0skipped"


@dataclass(frozen=True)
class Quiz:
    """Pictures of one run that people answer for without seeing label or prediction.

    keys  of the questions, in the order in which they are asked
    """

    run: RunFolder
    task: str
    keys: tuple[str, ...]
    truth: TypedTruth | DrawnTruth
    pictures: Originals

    @cached_property
    def marks(self) -> Marks:
        return Marks(self.run.root / "human" / "answers.sqlite")

    def answers(self) -> dict[str, str]:
        """Key -> answer as it was given, skipped ones left out."""
        said = {key: marked.cells.get("answer", "") for key, marked in self.marks.of().items()}
        return {k: answer for k, answer in said.items() if k in self.keys and answer != SKIPPED}

    def done(self) -> set[str]:
        """Questions that were answered or skipped."""
        return self.marks.looked() & set(self.keys)

    def answer(self, key: str, answer: str) -> Measure | None:
        """Keep an answer, "" for a skipped question. Raises SaccadeError for one that is none."""
        self.answer_all({key: answer})
        return self.result()

    def answer_all(self, answers: Mapping[str, str]) -> None:
        """Many at once: all or nothing."""
        for key, answer in answers.items():
            if key not in self.keys:
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
        known = [error for error in errors if math.isfinite(error)]
        if not known:
            return None
        value, low, high, count = mean_interval(np.array(known))
        return Measure(value=value, low=low, high=high, n=count)

    def _error(self, key: str, answer: str) -> float:
        """Measured once: a drawn area takes a look at the whole picture."""
        if (key, answer) not in self._measured:
            self._measured[key, answer] = self.truth.error(key, answer)
        return self._measured[key, answer]

    @cached_property
    def _measured(self) -> dict[tuple[str, str], float]:
        return {}


def make_quiz(run: RunFolder, *, count: int = ASKED) -> Quiz:
    """Questions of a run, the same ones every time; more of them continue a quiz.

    Raises SaccadeError where dev was not scored, where a person cannot answer for the task, or
    where pictures to draw on are not where the run found them.
    """
    values = run.read_args()
    task = str(values.get("task"))
    table = run.read_table(run.predictions("dev"))
    shown = set(table["key"].to_pylist())
    jpegs = run.read_table(run.thumbnails("dev")) if run.thumbnails("dev").is_file() else None
    thumbnails = (
        dict(zip(jpegs["key"].to_pylist(), jpegs["jpeg"].to_pylist(), strict=True)) if jpegs else {}
    )
    pictures = Originals(run, thumbnails)
    truth: TypedTruth | DrawnTruth
    if task in TYPED:
        classes = tuple(run.read_json(run.card)["fields"][0]["classes"])
        truth = TypedTruth.of(task, classes, table)
    elif task in DRAWN:
        yardstick = (values.get("loss") or {}).get("normalise_by")
        truth = DrawnTruth.of(task, pictures, shown, yardstick)
    else:
        raise SaccadeError(
            f"human: people cannot answer for the task {task} here. Measure their error elsewhere "
            "and give it with --human-error.",
            name="no-quiz",
        )
    keys = sorted(truth.keys)
    order = np.random.default_rng(0).permutation(len(keys))[:count]
    chosen = tuple(keys[place] for place in order.tolist())
    return Quiz(run=run, task=task, keys=chosen, truth=truth, pictures=pictures)


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
