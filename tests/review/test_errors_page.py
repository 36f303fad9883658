"""As a new user would use it: a real browser, a real process, both killed without warning."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browser import Browser, chromium
from diagnose.made_run import share, write_run
from saccade.diagnose.mistakes import Marks, mistake_table
from saccade.errors import SaccadeError
from saccade.review import errors_page


@contextlib.contextmanager
def serving(run: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """`saccade errors RUN --open` as a process of its own, and what it printed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "saccade", "errors", str(run), "--open", "--no-browser", "--json"],
        stdout=subprocess.PIPE,
        text=True,
        # a shell's background jobs, which tests may be, are born deaf to it
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    text = ""
    while not text.endswith("\n}\n"):
        line = process.stdout.readline()
        assert line, "the process ended"
        text += line
    try:
        yield process, json.loads(text)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.mark.slow
def test_nothing_is_lost_when_all_is_killed(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {"train": share(60, 0.0), "dev": share(60, 0.4)})
    with chromium(tmp_path / "profile") as browser, serving(run.root) as (process, told):
        browser.open(told["url"])
        browser.press("t")
        browser.type("foggy")
        browser.press("Enter")
        browser.wait("current().tags.includes('foggy')")
        # two keystrokes a mistake: the tag, and on to the next one
        browser.press(*[" ", "1"] * 3)
        browser.press(" ", "w")
        browser.wait("current().verdict === 'relabel' && current().label === current().predicted")
        assert browser.errors == []
        process.send_signal(signal.SIGKILL)
        process.wait()
        # what could not be saved is said, and not shown as saved
        browser.press("1")
        browser.wait("!document.getElementById('alarm').hidden")
        assert browser.run("current().tags.length") == 0
    shown = mistake_table(run).shown
    said = Marks(run.root / "errors" / "marks.sqlite").of()
    assert [said[row.key].tags for row in shown[:4]] == [("foggy",)] * 4
    assert (said[shown[4].key].verdict, said[shown[4].key].label) == ("relabel", shown[4].predicted)
    assert len(said) == 5


@pytest.mark.slow
def test_thousands_of_mistakes_answer_at_once(tmp_path: Path, browser: Browser) -> None:
    run = write_run(tmp_path / "run", {"train": share(300, 0.0), "dev": share(6250, 0.8)})
    with serving(run.root) as (process, told):
        assert told["mistakes"] == 5000
        browser.open(told["url"])
        browser.run("newTag('foggy')")
        taken = []
        for _ in range(12):
            browser.run("go(now + 371)")
            browser.wait("current()")
            taken.append(
                browser.run(
                    "(async () => { const start = performance.now(); await toggle(0); "
                    "return current().tags.length === 1 ? performance.now() - start : 1e9 })()"
                )
            )
        # of a machine that may be busy, the better half
        assert sorted(taken)[5] < 100, taken
        assert browser.run("document.querySelectorAll('.item').length") < 60
        browser.run("go(4999)")
        browser.wait("current() && current().id === ids[4999]")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
    table = (run.root / "errors" / "errors.csv").read_text(encoding="utf-8")
    assert "tag: foggy" in table.splitlines()[0]


@pytest.mark.slow
def test_columns_undo_views_and_names_that_look_like_markup(
    tmp_path: Path, browser: Browser
) -> None:
    run = write_run(tmp_path / "run", {"train": share(60, 0.0), "dev": share(60, 0.4)})
    Marks(run.root / "errors" / "marks.sqlite").add_name("cell", "camera")
    with serving(run.root) as (_, told):
        browser.open(told["url"])
        evil = "<img src=x onerror=alert(1)>"
        browser.press("t")
        browser.type(evil)
        browser.press("Enter")
        browser.wait("state.tags.length === 1 && current().tags.length === 1")
        assert browser.run("document.querySelector('.tag .name').textContent") == evil
        browser.press("n")
        browser.type("phone 3")
        browser.press("Enter")
        browser.wait("current().cells.camera === 'phone 3'")
        browser.press(" ", "d")
        browser.wait("current().verdict === 'drop'")
        browser.press("u")
        browser.wait("current().verdict === ''")
        browser.run("document.getElementById('view').value = 'right'; show()")
        browser.wait("current() && !current().wrong")
        # the page asks nothing of any other place
        asked = browser.run("performance.getEntriesByType('resource').map(each => each.name)")
        assert asked and all(name.startswith(told["url"]) for name in asked)
        assert browser.errors == []


def test_answers_name_what_makes_no_sense(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {"train": share(60, 0.0), "dev": share(60, 0.4)})
    marks = Marks(run.root / "errors" / "marks.sqlite")
    page = errors_page(mistake_table(run), marks)
    for change in (
        {"id": "x", "kind": "tag", "name": "a", "value": "1"},
        {"id": 61, "kind": "else", "name": "a", "value": "1"},
        {"id": 61, "kind": "label", "name": "class", "value": "zebra"},
        {"id": 61, "kind": "tag", "name": "a" * 201, "value": "1"},
    ):
        with pytest.raises(SaccadeError):
            page.change["mark"](change)
    with pytest.raises(SaccadeError):
        page.change["name"]({"kind": "tag", "name": "  "})
    with pytest.raises(SaccadeError):
        page.read["view"]({"name": "class: zebra"})
    assert marks.of() == {}


def test_pictures_are_the_users_own_where_they_are_still_there(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {"train": share(60, 0.0), "dev": share(60, 0.4)})
    page = errors_page(mistake_table(run), Marks(run.root / "errors" / "marks.sqlite"))
    # the made run's data are nowhere: its thumbnail stands in
    answer = page.read["picture"]({"id": "61"})
    assert answer.kind == "image/jpeg"
    assert answer.body == page.read["thumb"]({"id": "61"}).body
