"""A run's pictures: results.png, confusion_matrix.png, val_batch0_pred.jpg."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from saccade.files import write_atomic
from saccade.report import boxes, masks, outcomes, places
from saccade.report.drawing import PLATE, caption
from saccade.report.matrix import MOST_NUMBERED, clipped, strength, worst_classes
from saccade.report.records import Records, views
from saccade.report.sections import without_classes
from saccade.training.run import RunFolder

DEV, TRAIN, WRONG, RATE = "#1f6fd1", "#b9680a", "#d2481f", "#5f6871"
TILES = 16
TILE = 224


def write(run: RunFolder) -> None:
    """Write whatever the run's records allow; a run without an epoch gets nothing."""
    records = Records(run)
    if records.results:
        _save(results(records.results), run, "results.png")
    heads = [details for _, details in views(records.details.get("dev", {}))]
    matrix = next((details for details in heads if details.get("confusion")), None)
    if matrix is not None:
        figure = confusion(matrix["classes"], matrix["confusion"])
        _save(figure, run, "confusion_matrix.png")
    drawn = batch(records)
    if drawn is not None:
        file = io.BytesIO()
        drawn.save(file, "JPEG", quality=90)
        write_atomic(run.root / "val_batch0_pred.jpg", file.getvalue())


def results(rows: Sequence[dict[str, float]]) -> Figure:
    """Loss, every metric and the rate over the epochs."""
    columns = [name for name in rows[0] if name.startswith("metrics/")]
    metrics = [name.removeprefix("metrics/") for name in without_classes(columns)]
    panels = [("loss", "train/loss", "val/loss")]
    panels += [(name, f"train/{name}", f"metrics/{name}") for name in metrics]
    panels.append(("learning rate", "lr/pg0", ""))
    across = min(3, len(panels))
    lines = -(-len(panels) // across)
    figure = Figure(figsize=(3.9 * across, 2.9 * lines), layout="constrained")
    for place, (title, first, second) in enumerate(panels):
        axes = figure.add_subplot(lines, across, place + 1)
        _curves(axes, rows, title, first, second)
    return figure


def _curves(
    axes: Axes, rows: Sequence[dict[str, float]], title: str, first: str, second: str
) -> None:
    for column, name, color in ((first, "train", TRAIN), (second, "dev", DEV)):
        points = [(row["epoch"], row[column]) for row in rows if column in row]
        if points:
            color = color if second else RATE
            marker = "o" if len(points) < 3 else None
            axes.plot(*zip(*points, strict=True), color=color, label=name, lw=1.8, marker=marker)
    axes.set_title(title, loc="left", fontsize=11, parse_math=False)
    axes.set_xlabel("epoch", fontsize=9, color=RATE)
    axes.grid(color="#e2e4e6", lw=0.8)
    axes.tick_params(labelsize=9, colors=RATE, length=0)
    axes.spines[:].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    if second and axes.lines:
        axes.legend(frameon=False, fontsize=9)


def confusion(classes: Sequence[str], counts: Sequence[Sequence[int]]) -> Figure:
    """Share of each true class (row) that was taken for each class; counts where there is room."""
    shown = worst_classes(counts)
    size = len(shown)
    rows = [[counts[row][column] for column in shown] for row in shown]
    totals = [max(1, sum(counts[row])) for row in shown]
    shares = np.array(rows) / np.array(totals)[:, None]
    side = min(24.0, max(4.5, 2.2 + 0.36 * size if size <= MOST_NUMBERED else 3 + 0.2 * size))
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(_shades(shares), interpolation="nearest")
    font = 9 if size <= MOST_NUMBERED else 7
    names = [clipped(classes[place]) for place in shown]
    axes.set_xticks(range(size), names, rotation=90, fontsize=font, parse_math=False)
    axes.set_yticks(range(size), names, fontsize=font, parse_math=False)
    axes.tick_params(length=0)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if size <= MOST_NUMBERED:
        for row, line in enumerate(rows):
            for column, n in enumerate(line):
                if n:
                    ink = "white" if shares[row, column] > 0.5 else "#1b1e22"
                    axes.text(column, row, str(n), ha="center", va="center", fontsize=8, color=ink)
    axes.set_title("dev" if size == len(counts) else f"dev, the {size} classes with most mistakes")
    return figure


def _shades(shares: np.ndarray) -> np.ndarray:
    """(K, K) shares of the rows -> (K, K, 4) colours: right answers blue, mistakes orange."""
    shades = np.ones((*shares.shape, 4))
    for (row, column), share in np.ndenumerate(shares):
        right = row == column
        shades[row, column, :3] = to_rgb(DEV if right else WRONG)
        shades[row, column, 3] = strength(share, bool(right)) if share else 0
    return shades


def batch(records: Records) -> Image.Image | None:
    """The first dev examples with what was found in them; None before they are scored."""
    rows = records.predictions("dev")[:TILES]
    pictures = records.thumbnails("dev", [row["index"] for row in rows])
    tiles = [
        _tile(pictures[row["index"]], row, records) for row in rows if row["index"] in pictures
    ]
    if not tiles:
        return None
    across = min(4, len(tiles))
    height = max(tile.height for tile in tiles)
    down = -(-len(tiles) // across)
    sheet = Image.new("RGB", (across * (TILE + 6) + 6, down * (height + 6) + 6), "white")
    for place, tile in enumerate(tiles):
        x, y = place % across, place // across
        sheet.paste(tile, (6 + x * (TILE + 6), 6 + y * (height + 6)))
    return sheet


def _tile(jpeg: bytes, row: dict[str, Any], records: Records) -> Image.Image:
    """One picture on a square with its caption: white where right, orange where wrong."""
    counts: list[tuple[str, str]] | None = None
    if boxes.has_boxes(row):
        drawn, counts = boxes.shown(records, row, jpeg)
        jpeg = drawn or jpeg
    target = outcomes.parsed(row["target"])
    jpeg = places.drawn(jpeg, row, target) or jpeg
    picture = Image.open(io.BytesIO(jpeg)).convert("RGB")
    if "true_mask" in row:
        mask = masks.unpacked(row["mask"])
        small = picture.resize((mask.shape[1], mask.shape[0]))
        picture = Image.fromarray(masks.tinted(np.asarray(small), mask))
    scale = TILE / max(picture.size)
    sampling = Image.Resampling.NEAREST if max(picture.size) <= 64 else Image.Resampling.BICUBIC
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    square = Image.new("RGB", (TILE, TILE), PLATE)
    resized = picture.resize(size, sampling)
    square.paste(resized, ((TILE - resized.width) // 2, (TILE - resized.height) // 2))
    wrong = (row.get("error") or 0) > 0 and "label" in row
    if counts is not None:
        told = ", ".join(f"{count} {kind}" for kind, count in counts) or "nothing"
        return caption(square, [(told, "")])
    if places.placed(row, target):
        return caption(square, [places.told(row)])
    return caption(square, _lines(row), "#ff9b6b" if wrong else "#ffffff")


def _lines(row: dict[str, Any]) -> list[tuple[str, str]]:
    """At most two lines, so that all tiles are alike."""
    if "true_mask" in row:
        return [(row["key"].rpartition("/")[2], f"IoU {1 - row['error']:.2f}")]
    target = str(row["target"])
    if "label" in row and "score" in row:
        said = row["label"] if row["label"] == target else f"{row['label']} (true: {target})"
        return [(said, f"{row['score']:.0%}")]
    if "labels" in row:
        return [(", ".join(row["labels"]) or "(none)", ""), (f"true: {_joined(target)}", "")]
    if "values" in row:
        values = ", ".join(f"{value:.3g}" for value in row["values"])
        return [(values, ""), (f"true: {_joined(target)}", "")]
    return [(str(row.get("result", "")), ""), (f"true: {target}", "")]


def _joined(target: str) -> str:
    try:
        values = json.loads(target)
    except ValueError:
        return target
    return ", ".join(map(str, values)) if isinstance(values, list) else str(values)


def _save(figure: Figure, run: RunFolder, name: str) -> None:
    file = io.BytesIO()
    with warnings.catch_warnings():
        # class names may use a script that the font lacks; the boxes it draws are enough
        warnings.filterwarnings("ignore", message="Glyph .* missing", category=UserWarning)
        # Agg draws into memory: no window, whatever backend the user has set
        FigureCanvasAgg(figure).print_png(file)  # type: ignore[no-untyped-call]
    write_atomic(run.root / name, file.getvalue())
