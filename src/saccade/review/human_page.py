"""The page of the quiz: one picture at a time, no label, no prediction, no hint what was right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from saccade.errors import SaccadeError
from saccade.review.pages import page
from saccade.review.quiz import Quiz
from saccade.review.server import Answer, Page, as_json


def human_page(quiz: Quiz) -> Page:
    """The page of a quiz; every answer is on the disk before the next picture is shown."""

    def key_of(values: Mapping[str, Any]) -> str:
        text = str(values.get("id", ""))
        if not text.isdigit() or int(text) >= len(quiz.keys):
            raise SaccadeError(f"no question {text!r}.")
        return quiz.keys[int(text)]

    def state() -> Answer:
        done = quiz.done()
        result = quiz.result()
        left = [place for place, key in enumerate(quiz.keys) if key not in done]
        return as_json(
            {
                "form": quiz.truth.form,
                "classes": quiz.truth.classes,
                "size": quiz.truth.size(quiz.keys[left[0]]) if left else None,
                "count": len(quiz.keys),
                "left": left,
                "answered": len(quiz.answers()),
                "result": None if result is None or left else vars(result),
            }
        )

    def answer(body: Mapping[str, Any]) -> Answer:
        quiz.answer(key_of(body), str(body.get("answer", "")))
        return state()

    return Page(
        read={
            "": lambda _: page("human.html.jinja", name=quiz.run.root.name),
            "state": lambda _: state(),
            "picture": lambda query: quiz.pictures.original(key_of(query)),
        },
        change={"answer": answer},
    )
