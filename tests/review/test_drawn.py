"""Quizzes whose answers are drawn: their errors, and the page under a mouse."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from browser import Browser, chromium
from saccade.errors import SaccadeError
from saccade.review.human_page import human_page
from saccade.review.quiz import Quiz, make_quiz
from saccade.review.server import Server
from saccade.training.run import RunFolder

WIDTH, HEIGHT = 120, 80


def pictures(folder: Path, count: int = 3) -> list[str]:
    folder.mkdir(parents=True)
    for place in range(count):
        Image.new("RGB", (WIDTH, HEIGHT), (40 * place, 90, 120)).save(folder / f"p{place}.png")
    return [f"p{place}.png" for place in range(count)]


def table(root: Path, header: str, line: str) -> None:
    names = pictures(root / "images")
    text = "\n".join([header, *(f"{name},{line}" for name in names)])
    (root / "labels.csv").write_text(text + "\n", encoding="utf-8")


def masks(root: Path) -> None:
    names = pictures(root / "images")
    (root / "masks").mkdir()
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[20:60, 30:90] = 255
    for name in names:
        Image.fromarray(mask).save(root / "masks" / name)


def boxes(root: Path) -> None:
    table(root, "filename,class,xmin,ymin,xmax,ymax", "cat,20,10,60,50")


def points(root: Path) -> None:
    table(root, "image,left_x,left_y,right_x,right_y", "30,40,70,40")


def quiz_of(root: Path, task: str, write: Callable[[Path], None]) -> Quiz:
    """A quiz on data that `write` makes, in a run that holds no more than a quiz needs."""
    write(root / "data")
    run = RunFolder(root / "run")
    run.root.mkdir()
    run.write_args({"task": task, "run": {"data": str(root / "data")}, "loss": {}})
    keys = [f"images/p{place}.png" for place in range(3)]
    run.write_table(run.predictions("dev"), {"key": keys, "target": [""] * 3})
    return make_quiz(run)


SQUARE = {"label": "foreground", "outline": [[30, 20], [90, 20], [90, 60], [30, 60]]}
LEFT_HALF = {"label": "foreground", "outline": [[30, 20], [60, 20], [60, 60], [30, 60]]}
CAT = {"label": "cat", "box": [20, 10, 60, 50]}
FAR = {"label": "cat", "box": [80, 60, 110, 78]}
INSIDE, OUTSIDE = 60 * 40, WIDTH * HEIGHT - 60 * 40


@pytest.mark.parametrize(
    ("task", "write", "answer", "error"),
    [
        ("detection", boxes, [CAT], 0.0),
        ("detection", boxes, [], 1.0),
        ("detection", boxes, [CAT, FAR], 1 - 2 / 3),  # a hit and a false one: 1 - F1
        ("detection", boxes, [{"label": "cat", "box": [60, 50, 20, 10]}], 0.0),  # drawn backwards
        ("localization", boxes, [{"box": [20, 10, 60, 30]}], 0.5),
        ("localization", boxes, [], 1.0),
        ("landmarks", points, [[30, 40], [70, 40]], 0.0),
        ("landmarks", points, [[30, 44], [70, 48]], 6 / 40),  # over the points' distance
        ("segmentation", masks, [SQUARE], 0.0),
        # half of it: mean of IoU 1/2 inside and of outside, which gains the other half
        (
            "segmentation",
            masks,
            [LEFT_HALF],
            1 - (0.5 + OUTSIDE / (OUTSIDE + INSIDE / 2)) / 2,
        ),
    ],
)
def test_errors_are_those_of_the_tasks(
    tmp_path: Path, task: str, write: Callable[[Path], None], answer: object, error: float
) -> None:
    quiz = quiz_of(tmp_path, task, write)
    assert len(quiz.keys) == 3
    found = quiz.answer(quiz.keys[0], json.dumps(answer))
    assert found is not None and found.n == 1
    assert found.value == pytest.approx(error, abs=1e-6)


@pytest.mark.parametrize(
    ("task", "write", "answer"),
    [
        ("detection", boxes, '[{"label": "dog", "box": [1, 2, 3, 4]}]'),
        ("detection", boxes, '[{"label": "cat", "box": [1, 2, 3]}]'),
        ("detection", boxes, '{"a": 1}'),
        ("detection", boxes, "cat"),
        ("localization", boxes, '[{"box": [1, 2, 3, "NaN"]}]'),
        ("landmarks", points, "[[1, 2]]"),
        ("landmarks", points, "[[1, 2], [NaN, 1]]"),
        ("segmentation", masks, '[{"label": "foreground", "outline": 3}]'),
        ("segmentation", masks, '[{"label": "sky", "outline": [[1, 2], [3, 4], [5, 9]]}]'),
    ],
)
def test_what_is_no_answer_is_said_and_not_kept(
    tmp_path: Path, task: str, write: Callable[[Path], None], answer: str
) -> None:
    quiz = quiz_of(tmp_path, task, write)
    with pytest.raises(SaccadeError):
        quiz.answer(quiz.keys[0], answer)
    assert quiz.done() == set()


def test_pictures_that_are_gone_are_said(tmp_path: Path) -> None:
    quiz_of(tmp_path, "detection", boxes)
    (tmp_path / "data").rename(tmp_path / "moved")
    with pytest.raises(SaccadeError, match="bring them back"):
        make_quiz(RunFolder(tmp_path / "run"))


def drag(browser: Browser, *places: tuple[float, float]) -> None:
    """Along places of the picture, with the button pressed."""
    kinds = ["mousePressed", *["mouseMoved"] * len(places), "mouseReleased"]
    for kind, (x, y) in zip(kinds, [places[0], *places, places[-1]], strict=True):
        at = browser.run(
            f"(() => {{ const at = new DOMPoint({x}, {y}).matrixTransform("
            "document.getElementById('board').getScreenCTM()); return [at.x, at.y] })()"
        )
        browser.call(
            "Input.dispatchMouseEvent", type=kind, x=at[0], y=at[1], button="left", clickCount=1
        )


def in_browser(quiz: Quiz, profile: Path, draw: Callable[[Browser], None]) -> float:
    """Answers the first picture with `draw`, skips the others; the error that the page tells."""
    with chromium(profile) as browser, Server(human_page(quiz)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        browser.open(server.address)
        draw(browser)
        browser.wait("state.left.length === 2")
        browser.press("s")
        browser.wait("state.left.length === 1")
        browser.press("s")
        browser.wait("!document.getElementById('end').hidden")
        told = browser.run("document.getElementById('value').textContent")
        assert browser.errors == []
        server.shutdown()
        thread.join()
    return float(told.removesuffix(" %")) / 100


@pytest.mark.slow
def test_boxes_in_the_browser(tmp_path: Path) -> None:
    def draw(browser: Browser) -> None:
        drag(browser, (1, 1), (9, 9))
        browser.press("Backspace")
        drag(browser, (60, 50), (30, 30), (20, 10))
        browser.press("Enter")

    quiz = quiz_of(tmp_path, "detection", boxes)
    assert in_browser(quiz, tmp_path / "profile", draw) == 0
    (answer,) = quiz.answers().values()
    (box,) = json.loads(answer)
    assert box["label"] == "cat" and box["box"] == pytest.approx([20, 10, 60, 50], abs=0.3)


@pytest.mark.slow
def test_points_in_the_browser(tmp_path: Path) -> None:
    def draw(browser: Browser) -> None:
        drag(browser, (30, 40))
        browser.press("Enter")  # one point is missing: nothing is sent
        assert browser.run("state.left.length") == 3
        assert "right" in browser.run("document.getElementById('hint').textContent")
        drag(browser, (70, 40))
        browser.press("Enter")

    quiz = quiz_of(tmp_path, "landmarks", points)
    assert in_browser(quiz, tmp_path / "profile", draw) == pytest.approx(0, abs=0.005)


@pytest.mark.slow
def test_areas_in_the_browser(tmp_path: Path) -> None:
    def draw(browser: Browser) -> None:
        drag(browser, (30, 20), (90, 20), (90, 60), (30, 60))
        browser.press("Enter")

    quiz = quiz_of(tmp_path, "segmentation", masks)
    assert in_browser(quiz, tmp_path / "profile", draw) < 0.04
