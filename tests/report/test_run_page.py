"""The page of a run: complete, in one file, and class names never become markup."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser

from saccade import report
from saccade.report import charts, outcomes
from saccade.training.run import RunFolder

Make = Callable[..., RunFolder]
DIGITS = [str(n) for n in range(10)]


class Reader(HTMLParser):
    """Counts elements and collects text, as a browser would see them."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: dict[str, int] = {}
        self.addresses: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(run: RunFolder) -> Reader:
    reader = Reader()
    reader.feed(report.write(run).read_text(encoding="utf-8"))
    return reader


def words(reader: Reader) -> str:
    return re.sub(r"\s+", " ", " ".join(reader.text))


def test_headline_scores_and_pictures(classified: Make) -> None:
    run = classified(DIGITS)
    page = read(run)
    said = words(page)
    assert "90.0 % 95 % interval 85.0 % to 93.0 %, 200 examples" in said
    assert "time 12 s" in said
    assert "60 train, 20 dev, 20 test" in said
    assert page.tags["img"] > 5
    for name in ("results.png", "confusion_matrix.png", "val_batch0_pred.jpg"):
        assert (run.root / name).stat().st_size > 3000


def test_asks_for_no_other_file(classified: Make) -> None:
    run = classified(DIGITS)
    page = read(run)
    assert page.addresses
    assert all(address.startswith("data:image/jpeg;base64,") for address in page.addresses)
    assert not re.search(r"https?://|@import|url\(", run.report.read_text(encoding="utf-8"))


def test_names_never_become_markup(classified: Make) -> None:
    evil = [
        "<script>alert(1)</script>",
        "\"onload='x'",
        "</style><b>",
        "$\\frac{",
        "日本",
        "a&amp;b",
    ]
    page = read(classified(evil))
    assert page.tags["script"] == 1
    assert page.tags["style"] == 1
    said = words(page)
    for name in evil:
        assert name in said
    assert page.tags.get("b", 0) == read_bold(page)


def read_bold(page: Reader) -> int:
    """Bold text is made by the gallery alone: two names per picture."""
    return 2 * sum(tag == "article" for tag in page.tags for _ in range(page.tags[tag]))


def test_one_class_and_one_epoch(classified: Make) -> None:
    said = words(read(classified(["only"], epochs=1)))
    assert "Closest calls" in said


def test_a_hundred_classes_are_all_named(classified: Make) -> None:
    names = [f"class {n}" for n in range(100)]
    said = words(read(classified(names, each=4)))
    assert all(name in said for name in names)
    assert "with the most mistakes are shown" not in said


def test_more_classes_than_fit_are_reduced(classified: Make) -> None:
    said = words(read(classified([f"class {n}" for n in range(150)], each=2)))
    assert "Of 150 classes the 120 with the most mistakes are shown" in said


def test_whatever_is_missing_is_left_out(classified: Make) -> None:
    run = classified(DIGITS)
    for path in (
        run.thumbnails("dev"),
        run.images,
        run.data,
        run.log,
        run.root / "environment.json",
        run.root / "train_batch0.jpg",
    ):
        path.unlink()
    assert "no picture kept" in words(read(run))


def test_a_run_that_still_trains(classified: Make) -> None:
    run = classified(DIGITS)
    for path in (run.details, run.predictions("dev"), run.thumbnails("dev")):
        path.unlink()
    assert "not finished yet" in words(read(run))
    run.results.unlink()
    run.card.unlink()
    assert "No epoch is complete yet" in words(read(run))


def test_regression_shows_each_target(regressed: RunFolder) -> None:
    page = read(regressed)
    text = regressed.report.read_text(encoding="utf-8")
    # one example lacks its height
    assert text.count('class="point"') == 60 + 59
    assert "Predicted over true" in words(page)


def test_multi_label_shows_thresholds_and_looks(tagged: RunFolder) -> None:
    said = words(read(tagged))
    assert "AP threshold precision recall F1" in said
    assert "0.55" in said
    assert "looked at 2 times" in said
    assert "missed dog" in said


def test_heads_are_told_one_by_one() -> None:
    row = {
        "target": '{"kind": "cat", "size": [2.5, null], "tags": ["a"], "age": null}',
        "result": '{"kind": {"label": "dog", "score": 0.9}, "age": {"values": {"age": 3}},'
        ' "size": {"values": {"w": 3, "h": 4}}, "tags": {"labels": ["a"], "scores": {}}}',
        "loss": 1.0,
    }
    assert outcomes.explained(row, ()) == [
        ("kind", "dog for cat", ""),
        ("size", "3 for 2.5", ""),
        ("tags", "a, right", ""),
    ]


def test_an_axis_of_one_value_stays_positive() -> None:
    for value in (0.0, 0.8):
        drawn = charts.lines([charts.Line("dev", "dev", [1], [value])])
        assert "-" not in re.sub(r"<[^>]*>", "", drawn)
