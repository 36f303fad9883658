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


def save_predictions(folder: Path, answers: Sequence[Prediction]) -> Path:
    """Write an annotated picture for every prediction, and predictions.csv; the table's path.

    Pictures keep their names; of two with the same name the second becomes NAME-2. Columns of the
    table: source, picture (the annotated one), what was found with a column per class, error.
    """
    taken: set[str] = set()
    rows = []
    for answer in answers:
        row: dict[str, Any] = {"source": answer.source}
        if answer.result is not None:
            name = _free_name(Path(answer.source), taken)
            _save_picture(Path(answer.source), folder / name, answer)
            row |= {"picture": name, **flat(answer.result.as_dict())}
        rows.append({**row, "error": answer.error or ""})
    write_atomic(folder / TABLE, _csv(rows))
    return folder / TABLE


def save_masks(folder: Path, answers: Sequence[Prediction]) -> dict[int, Path]:
    """Write masks/NAME.png for every answer that is a mask, and classes.txt; paths by position.

    The files hold class indices with a palette of colours and the names as text ("classes", JSON);
    with more than 256 classes 16-bit grey. The folder with the pictures beside it, in images/, can
    be trained on as it is.
    """
    taken: set[str] = set()
    places: dict[int, Path] = {}
    for position, answer in enumerate(answers):
        if isinstance(answer.result, Segmentation):
            name = _free_name(Path(answer.source), taken, keep=".png")
            places[position] = folder / "masks" / name
            write_atomic(places[position], mask_png(answer.result))
            names = "".join(f"{label}\n" for label in answer.result.classes)
            if len(places) == 1:
                write_atomic(folder / "classes.txt", names.encode())
    return places


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
