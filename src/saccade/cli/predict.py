"""saccade predict RUN SOURCE..."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from saccade.cli.keys import json_key, key, verb
from saccade.cli.output import Output
from saccade.errors import SaccadeError

if TYPE_CHECKING:
    from saccade.experiment.prepare import Reporter
    from saccade.predict import Prediction, Predictor
    from saccade.report.predictions import Album
    from saccade.tiled import Tiles
    from saccade.windows import SlidingWindows

CHUNK = 64
"""Pictures per step of the progress bar."""

SHOWN = 8
"""Points in a line."""

NEW = "\0"
"""--save without DIR: a new folder of its own."""


@verb()
@click.argument("run")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@key(
    "--save",
    is_flag=False,
    flag_value=NEW,
    metavar="[DIR]",
    group="Output",
    help="Write annotated pictures and predictions.csv into DIR, or without DIR (put --save last) "
    "into a new folder runs/predict/NAME.",
)
@key(
    "--conf",
    type=float,
    group="Boxes",
    help="Least confidence of a box; of detection, instead of the one chosen for each class on "
    "dev.  [--windows: 0.9]",
)
@key(
    "--iou",
    type=float,
    group="Boxes",
    help="Overlap of two boxes of a class, at most.  [0.6; --windows: 0.3]",
)
@key(
    "--tiles",
    is_flag=True,
    group="Boxes",
    help="Detect in tiles that overlap, in which small things of large pictures stay as large as "
    "in training, and in the whole picture; boxes found twice are merged.",
)
@key(
    "--tile",
    type=int,
    metavar="SIDE",
    group="Boxes",
    help="Of a tile, in pixels of the picture; the usual side of training pictures when left out.",
)
@key(
    "--windows",
    is_flag=True,
    group="Sliding windows",
    help="Run a classifier of close crops over whole pictures: boxes from every window at several "
    "scales, in one pass each.",
)
@key("--scales", type=int, group="Sliding windows", help="Of each picture, by 1.41.  [5]")
@key(
    "--background",
    metavar="CLASS",
    group="Sliding windows",
    help="Class of windows without object; known names (background, none ...) are found.",
)
@key(
    "--batch",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    group="Model",
    help="Pictures at once.",
)
@key("--device", group="Model", help="cpu, cuda, cuda:N or mps; the best when left out.")
@json_key
@click.pass_obj
def command(
    output: Output,
    run: str,
    sources: tuple[str, ...],
    save: str | None,
    conf: float | None,
    iou: float | None,
    tiles: bool,
    tile: int | None,
    windows: bool,
    scales: int | None,
    background: str | None,
    batch: int,
    device: str | None,
) -> None:
    """Use the network of RUN on pictures.

    Masks are always written, as PNG files of class indices: into DIR of --save, or into a new
    folder runs/predict/NAME.

    SOURCE is a picture, a folder (all pictures in it, at any depth) or a quoted pattern such as
    "photos/*.jpg". Unreadable pictures are named and passed over; when none can be read, the exit
    code is 1.
    """
    if windows and tiles:
        raise click.UsageError(
            "--windows is for classifiers, --tiles for detectors: leave one out."
        )
    if save is not None and save != NEW and Path(save).is_file():
        raise click.UsageError(
            f"--save {save}: that is a file. Write --save=DIR, or put --save last."
        )
    from saccade import predict
    from saccade.report.predictions import Album

    predictor = predict.load(run, device=device)
    limits = _given(conf=conf, iou=iou)
    slide: SlidingWindows | Tiles | None
    slide = _slide(predictor, windows, limits, _given(scales=scales, background=background))
    if slide is None:
        predictor = predictor.selecting(**limits) if limits else predictor
        slide = _tiles(predictor, tiles, tile, batch)
    files = [path for _, path in predict.expand(list(sources))]

    def answer(some: list[Path]) -> list[Prediction]:
        return slide(some) if slide else predictor(some, batch=batch)

    def album(answers: list[Prediction]) -> Album | None:
        masks = _has_masks(answers)
        if save is None and not masks:
            return None
        found = Album(_folder(run, save or NEW, files), pictures=save is not None)
        if there := found.taken(files, masks=masks):
            raise SaccadeError(
                f"--save {save}: {there[0]} is there already and would be overwritten. Name "
                "another folder.",
                name="exists",
                files=[str(place) for place in there],
            )
        return found

    with output.reporter() as reporter:
        told = _answered(files, answer, album, reporter)
    _tell(output, told)
    if slide is not None:
        output.note(slide.sentence())
    if told.album is not None:
        told.album.finish()
        output.line(f"saved in {told.album.folder}")
    output.value(told.values)


@dataclass
class _Told:
    """What was found: values for programs, lines for people, pictures that cannot be read."""

    values: list[dict[str, Any]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    failed: list[Prediction] = field(default_factory=list)
    album: Album | None = None


def _answered(
    files: list[Path],
    answer: Callable[[list[Path]], list[Prediction]],
    album: Callable[[list[Prediction]], Album | None],
    reporter: Reporter,
) -> _Told:
    """Answer and save some pictures after the other, so that memory does not grow with them.

    album: where answers like these are kept, None = nowhere
    """
    told = _Told()
    for start in range(0, len(files), CHUNK):
        answers = answer(files[start : start + CHUNK])
        told.album = told.album or album(answers)
        masks = {} if told.album is None else told.album.add(answers)
        for place, each in enumerate(answers):
            found = each.as_dict()
            told.values.append({**found, "mask": str(masks[place])} if place in masks else found)
            if each.result is None:
                told.failed.append(each)
            else:
                told.lines.append(f"{each.source}  {in_words(each.result.as_dict())}")
        reporter.progress("predicting", len(told.values), len(files))
    return told


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _slide(
    predictor: Predictor, wanted: bool, limits: dict[str, Any], given: dict[str, Any]
) -> SlidingWindows | None:
    """The classifier as a detector, where that is asked for."""
    if not wanted:
        if given:
            names = ", ".join(f"--{name}" for name in given)
            raise click.UsageError(f"{names}: goes with --windows.")
        return None
    from saccade.windows import Settings, SlidingWindows

    return SlidingWindows(predictor, Settings(**limits, **given))


def _tiles(predictor: Predictor, wanted: bool, side: int | None, batch: int) -> Tiles | None:
    """The detector for large pictures, where that is asked for."""
    if not wanted:
        if side is not None:
            raise click.UsageError("--tile: goes with --tiles.")
        return None
    from saccade.tiled import Tiles

    return Tiles(predictor, side, batch=batch)


def _tell(output: Output, told: _Told) -> None:
    if told.failed and not told.lines:
        if told.album is not None:
            with contextlib.suppress(OSError):  # what lay there before stays
                told.album.folder.rmdir()
        first, many = str(told.failed[0].error), len(told.failed) > 1
        raise SaccadeError(
            f"none of {len(told.failed)} pictures can be read. First: {first}" if many else first,
            name="broken-files" if many else "broken-file",
            files=[answer.source for answer in told.failed],
        )
    for answer in told.failed:
        output.note(f"saccade: {answer.error}")
    for line in told.lines:
        output.line(line)


def _folder(run: str, save: str, files: list[Path]) -> Path:
    """Where to save; never among the pictures themselves, which would be overwritten."""
    from saccade.training.run import new_run

    if save == NEW:
        place = Path(run).resolve()
        runs = (each for each in (place, *place.parents) if (each / "args.yaml").is_file())
        named = next(runs, place.with_suffix(""))
        return new_run(Path("runs"), "predict", named.name).root
    folder = Path(save)
    if folder.resolve() in {file.resolve().parent for file in files}:
        raise SaccadeError(
            f"--save {save}: the pictures themselves lie there, and saccade never writes among "
            "them. Name another folder.",
            name="inside-data",
            files=[save],
        )
    return folder


def _has_masks(answers: list[Prediction]) -> bool:
    """A mask is a picture: it is always written, as no line can say it."""
    from saccade.types import Segmentation

    return any(isinstance(answer.result, Segmentation) for answer in answers)


def in_words(result: dict[str, Any]) -> str:
    """One line for people: label and score, place, points, labels, values, or heads one by one."""
    scores = result.get("scores", {})
    if "points" in result:
        seen = [name for name, chance in scores.items() if chance >= 0.5]
        told = [f"{name} {x:.0f},{y:.0f}" for name, (x, y) in result["points"].items()]
        more = f" ... ({len(told)} points)" if len(told) > SHOWN else ""
        return f"{len(seen)} of {len(told)} points visible: {'  '.join(told[:SHOWN])}{more}"
    if "boxes" in result and "label" in result:
        if result["label"] is None:
            return f"(nothing)  {result['score']:.1%}"
        place = ", ".join(f"{side:.0f}" for side in result["boxes"][0])
        return f"{result['label']}  {result['score']:.1%}  box {place}"
    if "label" in result:
        return f"{result['label']}  {result['score']:.1%}"
    if "labels" in result and isinstance(scores, dict):
        told = [
            f"{name} {scores[name]:.1%}" if name in scores else name for name in result["labels"]
        ]
        return ", ".join(told) or "(none)"
    if "labels" in result:
        pairs = zip(result["labels"], scores, strict=True)
        return ", ".join(f"{name} {score:.1%}" for name, score in pairs) or "(none)"
    if "values" in result and isinstance(result["values"], dict):
        return "  ".join(f"{name}={value:g}" for name, value in result["values"].items())
    return "  ".join(
        f"{name}: {in_words(head)}" for name, head in result.items() if isinstance(head, dict)
    )
