"""Predictions on disk: annotated pictures and a table."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageColor, PngImagePlugin

from saccade.data.read import decode
from saccade.files import write_atomic
from saccade.predict import Prediction
from saccade.report.drawing import annotate, color_of
from saccade.types import Segmentation

TABLE = "predictions.csv"


class Album:
    """Predictions on disk, written as they come, so that none has to stay in memory.

    Annotated pictures keep their names; of two with the same name the second becomes NAME-2.
    Columns of the table, predictions.csv: source, picture (the annotated one), what was found with
    a column per class, error. Masks are masks/NAME.png with class indices, a palette of colours and
    the names as text ("classes", JSON), 16-bit grey with more than 256 classes, and classes.txt:
    the folder with the pictures beside it, in images/, can be trained on as it is.

    pictures: also annotated pictures and the table, not masks alone
    """

    def __init__(self, folder: Path, *, pictures: bool) -> None:
        self.folder = folder
        self._pictures = pictures
        self._names: set[str] = set()
        self._mask_names: set[str] = set()
        self._rows: list[dict[str, Any]] = []

    def add(self, answers: Sequence[Prediction]) -> dict[int, Path]:
        """Write these; paths of their masks by position."""
        masks = {
            position: self._add_mask(Path(answer.source), answer.result)
            for position, answer in enumerate(answers)
            if isinstance(answer.result, Segmentation)
        }
        if self._pictures:
            if not self._rows:
                self.finish()  # the table marks the folder as ours from the first picture on
            self._rows += [self._add_picture(answer) for answer in answers]
        return masks

    def finish(self) -> None:
        """Write the table."""
        if self._pictures:
            write_atomic(self.folder / TABLE, _csv(self._rows))

    def taken(self, sources: Sequence[Path], *, masks: bool) -> list[Path]:
        """What lies where these pictures would be written, unless it is an older album."""
        if (self.folder / TABLE).is_file():
            return []
        names: set[str] = set()
        places = [self.folder / _free_name(source, names) for source in sources]
        if masks:
            places += [self.folder / "masks", self.folder / "classes.txt"]
        return [place for place in places if place.exists()]

    def _add_mask(self, source: Path, result: Segmentation) -> Path:
        if not self._mask_names:
            names = "".join(f"{label}\n" for label in result.classes)
            write_atomic(self.folder / "classes.txt", names)
        place = self.folder / "masks" / _free_name(source, self._mask_names, keep=".png")
        write_atomic(place, mask_png(result))
        return place

    def _add_picture(self, answer: Prediction) -> dict[str, Any]:
        row: dict[str, Any] = {"source": answer.source}
        if answer.result is not None:
            name = _free_name(Path(answer.source), self._names)
            _save_picture(Path(answer.source), self.folder / name, answer)
            row |= {"picture": name, **flat(answer.result.as_dict())}
        return {**row, "error": answer.error or ""}


def mask_png(result: Segmentation) -> bytes:
    """Class indices as a PNG with a palette; the background is black."""
    indices = result.mask.numpy()
    if len(result.classes) > 256:
        picture = Image.fromarray(indices.astype(np.uint16))
    else:
        picture = Image.fromarray(indices.astype(np.uint8))
        colors = [(0, 0, 0), *(ImageColor.getrgb(color_of(place)) for place in range(1, 256))]
        picture.putpalette([channel for color in colors for channel in color[:3]])
    told = PngImagePlugin.PngInfo()
    told.add_itxt("classes", json.dumps(result.classes, ensure_ascii=False))
    file = io.BytesIO()
    picture.save(file, "PNG", pnginfo=told)
    return file.getvalue()


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested results as columns: scores.cat, values.age; lists of names joined by "|"."""
    row: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            row |= flat(value, f"{prefix}{name}.")
        elif isinstance(value, list) and all(isinstance(item, str) for item in value):
            row[prefix + name] = "|".join(value)
        else:
            row[prefix + name] = json.dumps(value) if isinstance(value, list) else value
    return row


def _save_picture(source: Path, place: Path, answer: Prediction) -> None:
    assert answer.result is not None
    pixels = decode(source.read_bytes(), channels=3)
    file = io.BytesIO()
    drawn = annotate(Image.fromarray(pixels), answer.result)
    drawn.save(file, "JPEG" if place.suffix == ".jpg" else "PNG", quality=92)
    write_atomic(place, file.getvalue())


def _free_name(source: Path, taken: set[str], keep: str = "") -> str:
    # lossy pictures stay lossy, all others keep every pixel
    lossy = source.suffix.lower() in (".jpg", ".jpeg", ".heic", ".heif")
    suffix = keep or (".jpg" if lossy else ".png")
    number = 1
    while (name := f"{source.stem}{'' if number == 1 else f'-{number}'}{suffix}") in taken:
        number += 1
    taken.add(name)
    return name


def _csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    columns = list(dict.fromkeys(key for row in rows for key in row if key != "error"))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, [*columns, "error"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    # file names that are no text keep their bytes
    return text.getvalue().encode("utf-8", "surrogateescape")
