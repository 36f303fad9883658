"""saccade human RUN"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from saccade.cli.keys import json_key, key, verb
from saccade.cli.output import Output, number


@verb()
@click.argument("run")
@key(
    "--count",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    group="Quiz",
    help="Dev pictures to answer for.",
)
@key(
    "--import",
    "table",
    type=click.Path(path_type=Path, dir_okay=False),
    group="Quiz",
    help="Answers written into a copy of questions.csv, in place of the page.",
)
@key("--no-browser", is_flag=True, group="Quiz", help="Print the address of the page alone.")
@json_key
@click.pass_obj
def command(output: Output, run: str, count: int, table: Path | None, no_browser: bool) -> None:
    """Measure how well people do on the dev pictures of RUN.

    A page, served to this machine alone until Ctrl-C, shows one picture after the other; you name
    it with a key, or draw on it: boxes, points, or outlines of areas. Answers are kept one by one,
    so that a quiz can be left and gone on with. The error of people, with its interval, is kept in
    RUN/human.json, and `saccade diagnose` uses it.
    """
    from saccade.review.human_page import human_page
    from saccade.review.quiz import make_quiz, read_answers, write_questions
    from saccade.training.run import open_run

    quiz = make_quiz(open_run(run), count=count)
    if table is not None:
        quiz.answer_all(read_answers(table))
    write_questions(quiz)
    if table is not None:
        _tell(output, quiz)
        output.value(_value(quiz))
        return
    from saccade.cli.pages import offer
    from saccade.review.server import serve

    serve(human_page(quiz), lambda url: offer(output, url, _value(quiz), browser=not no_browser))
    _tell(output, quiz)


def _tell(output: Output, quiz: Any) -> None:
    found = quiz.result()
    if found is None:
        output.line("Nothing was answered yet.")
        return
    output.line(
        f"Error of people: {number(found.value)} ({number(found.low)} to {number(found.high)}), "
        f"{found.n} answers"
    )
    output.line(f"Next: saccade diagnose {quiz.run.root}")


def _value(quiz: Any) -> dict[str, Any]:
    found = quiz.result()
    return {
        "run": str(quiz.run.root),
        "asked": len(quiz.keys),
        "answered": len(quiz.answers()),
        "error": None if found is None else vars(found),
        "file": str(quiz.run.root / "human.json"),
    }
