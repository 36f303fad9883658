"""The page of `saccade check`: what is in a data set and what is wrong with it, with pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from saccade.data.checks.facts import some_of
from saccade.data.strata import classes_of
from saccade.experiment.prepare import Prepared
from saccade.files import write_atomic
from saccade.types import Notice

SETS = 8  # sets of copies shown with pictures, per finding
COPIES = 6  # pictures shown of one set
SINGLES = 24  # single pictures shown per finding
NAMED = 500  # file names listed per finding
CLASSES = 40  # classes shown with pictures
SAMPLES = 6  # pictures shown of a class
SIDE = 160  # pixels of a thumbnail
SEVERITIES = (("error", "Errors"), ("warning", "Warnings"), ("info", "Worth knowing"))


class Checked(Protocol):
    """What `saccade.api.check` returns."""

    @property
    def prepared(self) -> Prepared: ...
    @property
    def notices(self) -> tuple[Notice, ...]: ...
    @property
    def summary(self) -> dict[str, Any]: ...


def write(checked: Checked, path: Path) -> None:
    """Write the page to `path`: one file with all pictures inside. Raises SaccadeError."""
    # a file name may hold bytes that are no text; the page shows a question mark for each
    write_atomic(path, render(checked).encode("utf-8", "replace"))


def render(checked: Checked) -> str:
    """The page as text."""
    environment = Environment(
        loader=PackageLoader("saccade.report"),
        # class and file names are the user's: they must never become markup
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(count=lambda value: f"{value:,}")
    prepared, summary = checked.prepared, checked.summary
    album = _Album(prepared)
    return environment.get_template("check.html.jinja").render(
        name=prepared.dataset.name,
        root=prepared.dataset.root,
        method=prepared.method,
        facts=_overview(prepared, summary),
        parts=list(summary["parts"]),
        summary=summary,
        classes=_classes(album, summary),
        tally=[
            (severity, some_of(sum(n.severity == severity for n in checked.notices), noun))
            for severity, noun in (("error", "error"), ("warning", "warning"), ("info", "note"))
        ],
        chapters=[
            (
                severity,
                title,
                [_finding(album, n) for n in checked.notices if n.severity == severity],
            )
            for severity, title in SEVERITIES
        ],
    )


class _Album:
    """Thumbnails and captions of the pictures, by key."""

    def __init__(self, prepared: Prepared) -> None:
        examples = prepared.dataset.examples
        self.prepared = prepared
        self.row = {example.key: row for row, example in enumerate(examples)}
        self.labels = classes_of(prepared.dataset)
        self.inside = prepared.ingested.inside

    def show(self, key: str) -> dict[str, Any]:
        """What the template needs for one picture; `image` is None where it cannot be read."""
        row = self.row.get(key)
        if row is None:
            return {"key": key, "image": None, "part": "", "label": "", "size": "", "small": False}
        images = self.prepared.ingested.images
        width, height = int(images["width"][row]), int(images["height"][row])
        return {
            "key": key,
            "image": self.picture(row),
            "part": str(self.prepared.part[row]),
            "label": ", ".join(self.labels[row]),
            "size": f"{width} x {height}",
            "small": max(width, height) <= 64,
        }

    def picture(self, row: int) -> str:
        """A data address of the decoded picture, at most SIDE pixels wide and high."""
        pixels = self.prepared.ingested.pixels[row].permute(1, 2, 0).numpy()  # (H, W, C)
        if self.inside is not None:
            left, top, right, bottom = self.inside[row].tolist()
            pixels = pixels[top:bottom, left:right]
        pixels = np.ascontiguousarray(pixels)
        image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
        image.thumbnail((SIDE, SIDE))
        kind = "PNG" if max(image.size) <= 64 else "JPEG"
        buffer = io.BytesIO()
        image.save(buffer, kind, quality=82)
        return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _overview(prepared: Prepared, summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    sizes = summary["sizes"]
    facts = [("pictures", f"{summary['examples']:,}")]
    if summary["broken"]:
        facts.append(("unreadable", f"{summary['broken']:,}"))
    if prepared.dataset.tasks:
        facts.append(("task", prepared.dataset.tasks[0]))
    if summary["classes"]:
        facts.append(("classes", f"{len(summary['classes']):,}"))
    facts += [(part, f"{n:,}") for part, n in summary["parts"].items()]
    if sizes:
        facts.append(("width", _span(sizes["width"])))
        facts.append(("height", _span(sizes["height"])))
    facts.append(("colours", ", ".join(f"{mode} {n:,}" for mode, n in summary["modes"].items())))
    return facts


def _span(size: Mapping[str, float]) -> str:
    if size["min"] == size["max"]:
        return f"{size['min']:,} px"
    return f"{size['min']:,} to {size['max']:,} px, median {size['median']:,.0f}"


def _classes(album: _Album, summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Name, counts by part with their share of the largest class, and a few pictures of each."""
    largest = max(summary["classes"].values(), default=1) or 1
    first: dict[str, list[str]] = {name: [] for name in list(summary["classes"])[:CLASSES]}
    for example, names in zip(album.prepared.dataset.examples, album.labels, strict=True):
        for name in names:
            if name in first and len(first[name]) < SAMPLES:
                first[name].append(example.key)
    return [
        {
            "name": name,
            "n": n,
            "counts": [(part, counts[name]) for part, counts in summary["splits"].items()],
            "shares": [
                (part, 100 * counts[name] / largest) for part, counts in summary["splits"].items()
            ],
            "pictures": [album.show(key) for key in first.get(name, [])],
        }
        for name, n in summary["classes"].items()
    ]


def _finding(album: _Album, notice: Notice) -> dict[str, Any]:
    """A notice with pictures: sets of copies side by side, or single ones."""
    known = [key for key in notice.files if key in album.row]
    sets: Sequence[Sequence[str]] = notice.groups[:SETS]
    singles = [] if notice.groups else known[:SINGLES]
    hidden = len(notice.groups) - len(sets) if notice.groups else len(known) - len(singles)
    return {
        "name": notice.name,
        "message": notice.message,
        "sets": [
            {
                "pictures": [album.show(key) for key in own[:COPIES]],
                "hidden": max(0, len(own) - COPIES),
            }
            for own in sets
        ],
        "singles": [album.show(key) for key in singles],
        "hidden": some_of(hidden, "set" if notice.groups else "picture") if hidden else "",
        "files": notice.files[:NAMED],
        "unnamed": max(0, len(notice.files) - NAMED),
    }
