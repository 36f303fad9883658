"""Small data sets of drawn pictures, written to a folder or kept in memory."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from saccade.data.dataset import Dataset
from saccade.data.ingest import Ingested, ingest
from saccade.data.splits import Splits, split
from saccade.types import Example, Field


class Held:
    """A source that holds encoded pictures by key."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = dict(files)

    def load(self, key: str) -> bytes:
        return self.files[key]


def photo(seed: int, width: int = 96, height: int = 80) -> Image.Image:
    """Smooth coloured clouds, another one for every seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (7, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def encoded(picture: Image.Image, kind: str = "PNG", **options: int) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def held(files: Mapping[str, bytes], *examples: Example) -> tuple[Dataset, Ingested]:
    """A classification data set of encoded pictures, read."""
    names = tuple(sorted({example.target["label"] for example in examples}))
    dataset = Dataset(
        name="made",
        root="made",
        examples=examples,
        fields=(Field(name="label", kind="label", classes=names),),
        source=Held(files),
        tasks=("classification",),
    )
    return dataset, ingest(dataset, height=64, workers=0)


def by_parts(
    files: Mapping[str, bytes], parts: Mapping[str, str] | None = None
) -> tuple[Dataset, Ingested]:
    """As `held`; keys are "class/file"; parts by key."""
    given = parts or {}
    return held(
        files,
        *[
            Example(key=key, target={"label": Path(key).parent.name}, split=given.get(key))  # type: ignore[arg-type]
            for key in files
        ],
    )


class Nowhere:
    def load(self, key: str) -> bytes:
        raise AssertionError("a split reads no picture")


def unread(examples: Sequence[Example], *fields: Field) -> Dataset:
    return Dataset(
        name="made", root="made", examples=tuple(examples), fields=fields, source=Nowhere()
    )


def labelled(
    labels: Sequence[str],
    groups: Sequence[str | None] | None = None,
    given: Sequence[str | None] | None = None,
) -> Dataset:
    examples = [
        Example(
            key=f"{label}/{row}.png",
            target={"label": label},
            group=groups[row] if groups else None,
            split=given[row] if given else None,  # type: ignore[arg-type]
        )
        for row, label in enumerate(labels)
    ]
    return unread(examples, Field(name="label", kind="label", classes=tuple(sorted(set(labels)))))


def numbers() -> tuple[Dataset, Ingested, Splits]:
    files = {f"{i}.png": encoded(photo(i, 40, 40)) for i in range(20)}
    field = Field(name="target", kind="values", classes=("x", "y"))
    examples = tuple(
        Example(key=key, target={"target": [float(i), None if i % 2 else 1.5]})
        for i, key in enumerate(files)
    )
    dataset = Dataset(
        name="n", root="n", examples=examples, fields=(field,), source=Held(files), tasks=()
    )
    ingested = ingest(dataset, height=40, workers=0)
    return dataset, ingested, split(dataset, images=ingested.images)
