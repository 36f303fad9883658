"""What `saccade describe` shows: networks by name, those of runs, grids of detectors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from saccade.cli.keys import sides

if TYPE_CHECKING:
    from torch import nn

    from saccade.experiment.objects import Objects
    from saccade.ops.cost import Row
    from saccade.ops.grid import Grid


@dataclass(frozen=True)
class Given:
    """What the command line says. objects: of --data; options: of --set, for the builder."""

    imgsz: int | tuple[int, int] | None
    channels: int | None
    classes: int | None
    objects: Objects | None
    options: dict[str, Any]


@dataclass(frozen=True)
class Described:
    """A network, its input (C, H, W), its rows, and the grid of one that has cells."""

    name: str
    network: nn.Module
    input: tuple[int, int, int]
    rows: list[Row]
    grid: Grid | None = None


def boxes(data: str | None, imgsz: int | tuple[int, int] | None) -> Objects | None:
    """The objects of --data."""
    if data is None:
        return None
    from saccade import api
    from saccade.experiment.objects import of_data

    return of_data(api.open(data, task="detection"), None if imgsz is None else sides(imgsz))


def options(settings: tuple[str, ...]) -> dict[str, Any]:
    """Options of the builder from --set model.KEY=VALUE."""
    if not settings:
        return {}
    from saccade.experiment.build import BUILT_WITH
    from saccade.recipe import make_recipe, parse_setting

    pairs = dict(parse_setting(each) for each in settings)
    wrong = [name for name in pairs if name.removeprefix("model.") not in BUILT_WITH]
    if wrong:
        known = ", ".join(f"model.{name}" for name in sorted(BUILT_WITH))
        raise click.UsageError(f"--set {wrong[0]}: a network is built with {known}.")
    values = make_recipe(pairs).model.model_dump(include=BUILT_WITH)
    return {name: value for name, value in values.items() if value is not None}


def describe(name: str, given: Given) -> Described:
    """The network of a name, a run folder or a weights file."""
    from saccade.ops import cost

    if Path(name).exists():
        return _run(name, given)
    from saccade.models import catalog

    wanted = {"num_classes": given.classes, "in_channels": given.channels, **given.options}
    arguments = {key: value for key, value in wanted.items() if value is not None}
    network: nn.Module = cost.empty(lambda: catalog.network(name, **arguments))
    paper = catalog.INPUT.get(name, (3, 416, 416) if name in catalog.DETECTORS else (3, 224, 224))
    height, width = paper[1:] if given.imgsz is None else sides(given.imgsz)
    if given.objects is not None:
        height, width = given.objects.size
    shape = (given.channels or paper[0], height, width)
    grid = _grid(catalog.network(name, **arguments), given.objects, (height, width))
    return Described(name, network, shape, cost.describe(network, shape), grid)


def _run(path: str, given: Given) -> Described:
    """The network of a run, with its own input, classes and anchors."""
    from saccade import predict
    from saccade.experiment.objects import of_run
    from saccade.ops import cost
    from saccade.training.run import open_run

    predictor = predict.load(path, device="cpu")
    card = predictor.card
    usual = (card.preprocessing.height, card.preprocessing.width)
    size = usual if given.imgsz is None else sides(given.imgsz)
    shape = (card.preprocessing.channels, *size)
    objects = given.objects
    if objects is None and card.task == "detection" and Path(path).is_dir():
        objects = of_run(open_run(path), card)
    rows = cost.describe(predictor.model, shape)
    grid = _grid(predictor.model, objects, size, fitted=True)
    return Described(card.model, predictor.model, shape, rows, grid)


def _grid(
    network: Any, objects: Objects | None, size: tuple[int, int], *, fitted: bool = False
) -> Grid | None:
    """Cells of a YOLO. fitted: its anchors are those of its training."""
    from saccade.models.yolo import Yolo

    if not isinstance(network, Yolo):
        return None
    if objects is None:
        grid = network.places([], size)
        return grid if fitted or not network.learns_anchors else grid._replace(anchors=None)
    if not fitted:
        import torch

        joined = torch.cat(objects.boxes)
        network.fit_anchors(joined[:, 2:] - joined[:, :2])
    return network.places(objects.boxes, objects.size)
