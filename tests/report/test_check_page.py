from __future__ import annotations

import re
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from made import by_parts, encoded, numbers, photo
from saccade.data.audit import audit, summary
from saccade.data.dataset import Dataset
from saccade.data.ingest import Ingested
from saccade.data.splits import split
from saccade.report import check_page
from saccade.types import Notice


@dataclass(frozen=True)
class Checked:
    prepared: Any
    notices: tuple[Notice, ...]
    summary: dict[str, Any]


def checked(dataset: Dataset, ingested: Ingested) -> Checked:
    splits = split(dataset, images=ingested.images, rows=ingested.rows)
    readable = dataset.select(ingested.rows.tolist())
    prepared = SimpleNamespace(
        dataset=readable, ingested=ingested, part=splits.part, method=splits.method
    )
    found = tuple(audit(readable, ingested, splits))
    return Checked(prepared, found, summary(readable, ingested, splits))


class Page(HTMLParser):
    """Tags that were opened and closed, and the addresses of all pictures."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.pictures: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.pictures.append(dict(attrs)["src"] or "")
        if tag not in ("img", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def files() -> dict[str, bytes]:
    found = {f"{'ab'[i % 2]}/{i:02}.png": encoded(photo(i)) for i in range(30)}
    found |= {"b/wrong.png": found["a/00.png"], "a/broken.png": b"nothing"}
    return found


def test_the_page_shows_what_was_found_and_asks_for_nothing(tmp_path: Path) -> None:
    path = tmp_path / "check.html"
    check_page.write(checked(*by_parts(files())), path)
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    assert page.pictures
    assert all(source.startswith("data:image/") for source in page.pictures)
    assert not re.search(r"(?:src|href)=[\"']?(?:https?:|//)|url\(", text)
    for word in ("conflicting-labels", "b/wrong.png", "broken-file", "a/broken.png", "seed 0"):
        assert word in text
    assert "prefers-color-scheme: dark" in text


def test_names_never_become_markup() -> None:
    evil = {f"<script>x</script>/{i}.png": encoded(photo(i)) for i in range(12)}
    dataset, ingested = by_parts(evil)
    text = check_page.render(checked(dataset, ingested))
    assert "<script" not in text
    assert Page(text).open == []


def test_a_clean_set_and_one_of_numbers(tmp_path: Path) -> None:
    dataset, ingested, _ = numbers()
    text = check_page.render(checked(dataset, ingested))
    assert "Nothing wrong was found" in text
    assert "Numbers to predict" in text
    assert Page(text).open == []


def test_many_copies_stay_a_small_page() -> None:
    found = {f"a/{i:03}.png": encoded(photo(i % 40)) for i in range(400)}
    text = check_page.render(checked(*by_parts(found)))
    assert len(Page(text).pictures) < 150
    assert "sets more" in text
