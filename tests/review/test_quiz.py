from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from browser import chromium
from diagnose.made_run import RECIPE, share, write_run
from saccade.cli.main import main
from saccade.diagnose import diagnose
from saccade.errors import SaccadeError
from saccade.ops.intervals import wilson
from saccade.review.human_page import human_page
from saccade.review.quiz import make_quiz, read_answers, write_questions
from saccade.review.server import Server
from saccade.training.run import RunFolder


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    made = write_run(tmp_path / "run", {"train": share(90, 0.0), "dev": share(60, 0.2)})
    made.write_json(made.card, {"fields": [{"name": "label", "classes": ["a", "b", "c"]}]})
    return made


def test_answers_become_an_error_with_an_interval(run: RunFolder) -> None:
    quiz = make_quiz(run, count=20)
    assert quiz.keys == make_quiz(run, count=20).keys == make_quiz(run, count=40).keys[:20]
    assert quiz.result() is None
    for place, key in enumerate(quiz.keys[:10]):
        right = quiz.truth.targets[key]
        quiz.answer(key, right if place >= 2 else "abc"[("abc".index(right) + 1) % 3])
    quiz.answer(quiz.keys[10], "")
    found = make_quiz(run, count=20).result()
    assert found is not None and (found.value, found.n) == (0.2, 10)
    assert (found.low, found.high) == pytest.approx(wilson(2, 10))
    assert len(quiz.done()) == 11
    run.card.unlink()  # the made card is none that a diagnosis could read
    assert diagnose(run.root).evidence.human == found


def test_other_answers_are_measured_as_the_task_does(run: RunFolder) -> None:
    for task, target, answer, error in (
        ("multilabel", '["a", "b"]', "a|c", 2 / 3),
        ("multilabel", "[]", "none", 0.0),
        ("regression", "[1.0, null, 3.0]", "2 0 3", 0.5),
    ):
        run.write_args({**RECIPE, "task": task})
        rows = run.read_table(run.predictions("dev")).to_pydict()
        run.write_table(run.predictions("dev"), {**rows, "target": [target] * 60})
        quiz = make_quiz(run)
        assert quiz.truth.error(quiz.keys[0], answer) == pytest.approx(error)
        with pytest.raises(SaccadeError):
            quiz.answer(quiz.keys[0], "zebra")
    run.write_args({**RECIPE, "task": "verification"})
    with pytest.raises(SaccadeError, match="cannot answer"):
        make_quiz(run)


def test_a_table_in_place_of_the_page(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    quiz = make_quiz(run, count=5)
    place = write_questions(quiz)
    assert read_answers(place) == {}
    lines = [f"{key},{quiz.truth.targets[key]}" for key in quiz.keys]
    place.write_text("\n".join(["key,answer", *lines]), encoding="utf-8")
    assert main(["human", str(run.root), "--count", "5", "--import", str(place), "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["answered"] == 5 and value["error"]["value"] == 0.0
    assert json.loads((run.root / "human.json").read_text(encoding="utf-8"))["n"] == 5


@pytest.mark.slow
def test_a_quiz_in_the_browser(run: RunFolder, tmp_path: Path) -> None:
    quiz = make_quiz(run, count=3)
    with chromium(tmp_path / "profile") as browser, Server(human_page(quiz)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        browser.open(server.address)
        # neither label nor prediction can be found out from the page
        assert set(browser.run("Object.keys(state)")) == {
            "form", "classes", "size", "count", "left", "answered", "result",
        }  # fmt: skip
        browser.press(quiz.truth.targets[quiz.keys[0]])
        browser.wait("state.left.length === 2")
        browser.press("s")
        browser.wait("state.left.length === 1")
        browser.press(quiz.truth.targets[quiz.keys[2]])
        browser.wait("!document.getElementById('end').hidden")
        assert browser.run("document.getElementById('value').textContent") == "0.0 %"
        assert browser.errors == []
        server.shutdown()
        thread.join()
    assert json.loads((run.root / "human.json").read_text(encoding="utf-8"))["n"] == 2
