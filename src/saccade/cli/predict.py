"""saccade predict RUN SOURCE..."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from saccade.cli.keys import json_key, key, verb
from saccade.cli.output import Output
from saccade.errors import SaccadeError

if TYPE_CHECKING:
    from saccade.predict import Prediction, Predictor
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
    values: list[dict[str, Any]] = []
    lines: list[str] = []
    failed: list[Prediction] = []
    album: Album | None = None
    with output.reporter() as reporter:
        for start in range(0, len(files), CHUNK):
            some = files[start : start + CHUNK]
            answers = slide(some) if slide else predictor(some, batch=batch)
            if album is None and (save is not None or _has_masks(answers)):
                folder = _folder(run, NEW if save is None else save, files)
                album = Album(folder, pictures=save is not None)
            masks = {} if album is None else album.add(answers)
            for place, answer in enumerate(answers):
                found = answer.as_dict()
                values.append({**found, "mask": str(masks[place])} if place in masks else found)
                if answer.result is None:
                    failed.append(answer)
                else:
                    lines.append(f"{answer.source}  {in_words(answer.result.as_dict())}")
            reporter.progress("predicting", len(values), len(files))
    if album is not None and not lines:
        with contextlib.suppress(OSError):  # nothing was written; what lay there before stays
            album.folder.rmdir()
    _tell(output, lines, failed)
    if slide is not None:
        output.note(slide.sentence())
    if album is not None:
        album.finish()
        output.line(f"saved in {album.folder}")
    output.value(values)


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


def _tell(output: Output, lines: list[str], failed: list[Prediction]) -> None:
    if failed and not lines:
        first = str(failed[0].error)
        told = f"none of {len(failed)} pictures can be read. First: {first}"
        raise SaccadeError(
            first if len(failed) == 1 else told,
            name="broken-file" if len(failed) == 1 else "broken-files",
            files=[answer.source for answer in failed],
        )
    for answer in failed:
        output.note(f"saccade: {answer.error}")
    for line in lines:
        output.line(line)


def _folder(run: str, save: str, files: list[Path]) -> Path:
    """Where to save; never among the pictures themselves, which would be overwritten."""
    from saccade.report.predictions import TABLE
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
    if not (folder / TABLE).is_file():  # else they are predictions, which may be replaced
        names = ("masks", "classes.txt", *(file.name for file in files))
        there = [folder / name for name in names if (folder / name).exists()]
        if there:
            raise SaccadeError(
                f"--save {save}: {there[0]} is there already and would be overwritten. Name "
                "another folder.",
                name="exists",
                files=[str(place) for place in there],
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
