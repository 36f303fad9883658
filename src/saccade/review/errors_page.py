"""The page on which a person goes through mistakes: tags, columns, verdicts on labels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from saccade.diagnose.mistakes import (
    Marked,
    Marks,
    MistakeTable,
    Row,
    automatic_slices,
    is_taken,
    tag_slices,
    write_sheets,
)
from saccade.diagnose.mistakes.marks import VERDICTS
from saccade.diagnose.mistakes.slices import Slice
from saccade.errors import SaccadeError
from saccade.review.originals import Originals
from saccade.review.pages import page
from saccade.review.server import Answer, Page, as_json

LONGEST = 200  # characters of a tag or a column's name
MOST = 200  # rows that one answer holds


def errors_page(table: MistakeTable, marks: Marks, *, first: Sequence[str] = ()) -> Page:
    """The page of an error table. first: keys to begin with, such as suspected labels."""
    review = _Review(table, marks, first)
    return Page(
        read={
            "": lambda _: page(
                "errors.html.jinja",
                name=table.run.root.name,
                part=table.part,
                subject="labels" if first else "mistakes",
            ),
            "state": lambda _: review.state(),
            "view": review.view,
            "rows": review.rows,
            "thumb": lambda query: review.pictures.thumbnail(review.row(query).key),
            "picture": lambda query: review.pictures.original(review.row(query).key),
        },
        change={"mark": review.mark, "name": review.name, "sheets": lambda _: review.sheets()},
    )


class _Review:
    """Answers of one page; rows are known to the browser by their index."""

    def __init__(self, table: MistakeTable, marks: Marks, first: Sequence[str]) -> None:
        self.table, self.marks, self.first = table, marks, tuple(first)
        self.by_index = {row.index: row for row in table.everything}
        thumbnails = {
            row.key: table.thumbnails[row.index]
            for row in table.everything
            if row.index in table.thumbnails
        }
        self.pictures = Originals(table.run, thumbnails)

    @cached_property
    def _automatic(self) -> list[Slice]:
        return automatic_slices(self.table)

    @cached_property
    def _views(self) -> dict[str, list[Row]]:
        """Name -> rows; what a person tagged is looked up anew each time."""
        shown, known = self.table.shown, self.table.by_key
        views = {"suspects": [known[key] for key in self.first if key in known]}
        views |= {
            "mistakes": [row for row in shown if row.wrong],
            "right": [row for row in shown if not row.wrong],
        }
        # slices in the drawn order as well, then what was not drawn
        drawn = {row.index for row in shown}
        others = (row for row in self.table.everything if row.index not in drawn)
        every = [*shown, *others]
        for item in self._automatic:
            views[f"{item.kind}: {item.name}"] = [row for row in every if self._within(row, item)]
        return {name: rows for name, rows in views.items() if rows or name == "mistakes"}

    def _within(self, row: Row, item: Slice) -> bool:
        if item.kind == "trait":
            return item.name in row.traits
        if item.kind == "confusion":
            return row.wrong and item.name == f"{row.true} taken for {row.predicted}"
        return (
            row.key in self.table.members[item.name]
            if item.kind == "class"
            else (item.name == row.source)
        )

    def state(self) -> Answer:
        """All but the rows."""
        table = self.table
        views = [{"name": name, "count": len(rows)} for name, rows in self._views.items()]
        return as_json(
            {
                "mistakes": table.mistakes,
                "examples": len(table.everything),
                "error": table.error.value,
                "percent": table.percent,
                "rule": table.rule,
                "classes": table.classes,
                "views": views,
                "automatic": [self._told(item) for item in self._automatic[:12]],
                **self._live(),
            }
        )

    def _live(self) -> dict[str, Any]:
        """What changes with every mark."""
        looked = self.marks.looked()
        tagged = self.marks.tagged()
        slices = {item.name: item for item in tag_slices(self.table, tagged, looked)}
        return {
            "tags": [
                {"name": name, "count": len(keys), "slice": self._told(slices.get(name))}
                for name, keys in tagged.items()
            ],
            "columns": self.marks.names("cell"),
            "looked": sum(row.key in looked for row in self.table.wrong_shown),
        }

    def _told(self, item: Slice | None) -> dict[str, Any] | None:
        if item is None:
            return None
        percent = self.table.percent
        return {
            "kind": item.kind,
            "name": item.name,
            "share": item.share.value,
            "range": [item.share.low, item.share.high],
            "mistakes": item.mistakes,
            "looked": item.looked,
            "sentence": item.sentence(self.table.error.value, percent=percent),
        }

    def view(self, query: Mapping[str, Any]) -> Answer:
        """Indices of the rows of a view, in order."""
        name, order = query.get("name", "mistakes"), query.get("order", "drawn")
        if name.startswith("tag: "):
            keys = set(self.marks.tagged().get(name.removeprefix("tag: "), ()))
            rows = [row for row in self.table.everything if row.key in keys]
        elif name == "not looked at":
            looked = self.marks.looked()
            rows = [row for row in self._views["mistakes"] if row.key not in looked]
        elif name in self._views:
            rows = self._views[name]
        else:
            raise SaccadeError(f"no view {name!r}.")
        keys_of = {
            "loss": lambda row: -_finite(row.loss),
            "sure": lambda row: -_finite(row.p_predicted),
        }
        if order in keys_of:
            rows = sorted(rows, key=keys_of[order])
        return as_json([row.index for row in rows])

    def rows(self, query: Mapping[str, Any]) -> Answer:
        """Rows by index, with what was said of them. ids: indices joined by commas."""
        ids = [self.row({"id": text}) for text in str(query.get("ids", "")).split(",")[:MOST]]
        said = self.marks.of(row.key for row in ids)
        return as_json([_row(row, said.get(row.key, Marked())) for row in ids])

    def row(self, query: Mapping[str, Any]) -> Row:
        """The row of an index. Raises SaccadeError where there is none."""
        text = str(query.get("id", ""))
        found = self.by_index.get(int(text)) if text.isdigit() else None
        if found is None:
            raise SaccadeError(f"no picture {text!r}.")
        return found

    def mark(self, body: Mapping[str, Any]) -> Answer:
        """Say something of a picture; answered when it is on the disk."""
        row = self.row(body)
        kind, name, value = (str(body.get(part, "")) for part in ("kind", "name", "value"))
        if kind not in ("tag", "cell", "label", "seen") or len(name) > LONGEST:
            raise SaccadeError(f"no mark {kind!r} {name[:LONGEST]!r}.")
        if kind == "label" and not self._judges(name, value):
            raise SaccadeError(f"{value!r}: no {name} of a label.")
        self.marks.put(row.key, kind, name, value)  # type: ignore[arg-type]
        return as_json({"row": _row(row, self.marks.one(row.key)), **self._live()})

    def _judges(self, name: str, value: str) -> bool:
        if name == "class":
            return value in ("", *self.table.classes)
        return name == "verdict" and value in ("", *VERDICTS)

    def name(self, body: Mapping[str, Any]) -> Answer:
        """A new tag or column."""
        kind, name = str(body.get("kind")), " ".join(str(body.get("name", "")).split())
        if kind not in ("tag", "cell") or not 0 < len(name) <= LONGEST:
            raise SaccadeError("a name of 1 to 200 characters is expected.")
        if kind == "cell" and is_taken(name):
            raise SaccadeError(f"{name!r} is a column of saccade's own; choose another name.")
        self.marks.add_name(kind, name)  # type: ignore[arg-type]
        return as_json(self._live())

    def sheets(self) -> Answer:
        """Write the spreadsheets now."""
        return as_json([str(path) for path in write_sheets(self.table, self.marks).files])


def _row(row: Row, said: Marked) -> dict[str, Any]:
    return {
        "id": row.index,
        "key": row.key,
        "true": row.true,
        "predicted": row.predicted,
        "p_true": _number(row.p_true),
        "p_predicted": _number(row.p_predicted),
        "loss": _number(row.loss),
        "error": _number(row.error),
        "wrong": row.wrong,
        "nearest": row.nearest,
        "traits": row.traits,
        "tags": said.tags,
        "cells": dict(said.cells),
        "verdict": said.verdict,
        "label": said.label,
        "looked": said.looked,
    }


def _number(value: float) -> float | None:
    return float(f"{value:.4g}") if math.isfinite(value) else None


def _finite(value: float) -> float:
    return value if math.isfinite(value) else -math.inf
