"""The recipe: one frozen, typed object that says everything about a training, printed complete.

None means "decided from the data and the machine before the first step"; `experiment.train` fills
every None and writes the result to args.yaml.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic import Field as Limited

from saccade import recipes
from saccade.errors import SaccadeError


class Part(BaseModel):
    """A section of the recipe: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _height_and_width(value: Any) -> Any:
    return (value, value) if isinstance(value, int) else value


Size = Annotated[tuple[int, int], BeforeValidator(_height_and_width)]
"""Height and width in pixels; one number stands for both."""


def _shapes(value: Any) -> Any:
    """A number up to 20, or pairs of sides."""
    pairs = value if isinstance(value, list | tuple) else []
    good = all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs) and all(
        isinstance(side, int | float) and side > 0 for pair in pairs for side in pair
    )
    if value is None or (pairs and good) or (isinstance(value, int) and 0 <= value <= 20):
        return value
    raise ValueError("expected 0 to 20, or shapes in pixels: [[width, height], ...]")


Anchors = Annotated[int | tuple[tuple[float, float], ...] | None, BeforeValidator(_shapes)]

Share = Limited(default=None, ge=0, lt=1)


class DataRecipe(Part):
    """Which examples, and how pictures become input."""

    imgsz: Size | None = None
    """Of the network input."""
    crop: Size | None = None
    """Height and width that training sees at once of pictures with masks; None = by their size."""
    names: tuple[str, ...] = ()
    """Of the classes of masks, in the order of their numbers, where no file names them."""
    views: int | None = Limited(default=None, ge=1)
    """How often an epoch sees each training picture, each time cropped and changed anew."""
    sight: float = Limited(default=0.5, ge=0, le=1)
    """Share of crops that look at a pixel of a class, each class alike, so that rare ones stay in
    sight; the others fall anywhere."""
    channels: Literal[1, 3] | None = None
    fit: Literal["crop", "pad", "stretch"] | None = None
    margin: float = Limited(default=1.0, ge=1, le=2)
    """With crop: how much larger than the input pictures are kept, to be cropped from."""
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    dev: float | None = Share
    test: float | None = Share
    """Shares of all examples; None = by the amount of data."""
    train_dev: float | None = Share
    """Share of the training part kept aside as train-dev; None = where dev's sources differ."""
    seed: int | None = Limited(default=None, ge=0, lt=2**31)
    """Of the split; None = that of the training. Given, trainings of any seed share their parts."""
    fraction: float = Limited(default=1.0, gt=0, le=1)
    """Share of the training part that is used."""
    labels: str | None = None
    """File of corrected labels, as `saccade labels` writes it."""
    human_error: float | None = Limited(default=None, ge=0)
    """Error of people on the same pictures, for the diagnosis; 0.02 = 2 %."""
    sampling: Literal["once", "balanced", "replacement"] = "once"
    class_weights: Literal["none", "balanced"] = "none"
    allow_dropped: float = Limited(default=0.01, ge=0, le=1)
    """Share of unreadable pictures beyond which training stops."""
    background: tuple[int, int, int] = (255, 255, 255)
    """RGB that transparent pixels are laid on."""
    max_pixels: int = 50_000_000
    workers: int | None = Limited(default=None, ge=0)


class AugmentRecipe(Part):
    """Random changes of each training picture; see `data.augment.Augment` for units."""

    mirror: float | None = None
    flip: float | None = None
    shift: float | None = None
    scale: tuple[float, float] | None = None
    ratio: tuple[float, float] | None = None
    rotate: float | None = None
    shear: float | None = None
    warp: float | None = None
    elastic: float | None = None
    brightness: float | None = None
    contrast: float | None = None
    saturation: float | None = None
    color: float | None = None
    lighting: float | None = None
    erase: float | None = None
    alternate: bool | None = None
    padding: Literal["reflect", "edge", "mean"] | None = None
    mixup: float | None = None
    cutmix: float | None = None


class ModelRecipe(Part):
    """The network and how it starts."""

    name: str | None = None
    """One of `saccade models`, or timm/NAME; a detector: yolo, yolov2, yolov3."""
    backbone: str | None = None
    """Network of `saccade models` that a detector or unet stands on."""
    anchors: Anchors = None
    """Shapes a detector begins from: how many on each scale, found by k-means of the boxes (0 =
    none: one object a cell, sizes in cells); or the shapes, [[width, height], ...] in pixels of the
    input."""
    scales: int | None = Limited(default=None, ge=1, le=5)
    """Maps a detector answers on, the coarsest ones."""
    rule: Literal["centre", "several"] | None = None
    """Which places of the grid learn from an object: the one of its centre, or several."""
    weights: str | None = None
    """imagenet, a weights file or a run; none = start at random."""
    freeze: str | int | None = None
    """none, all (but the head), a number of first stages, or beginnings of layer names."""
    head_epochs: int | None = Limited(default=None, ge=0)
    """First epochs in which the new head alone learns."""
    unfreeze_every: int = Limited(default=0, ge=0)
    """Epochs after which one more stage learns, last ones first; 0 = all at once."""
    stage_decay: float | None = Limited(default=None, gt=0, le=1)
    """Factor of the learning rate from each stage to the one before it."""
    pretrain: Literal["none", "autoencoder"] = "none"
    """autoencoder: first learn to restore the pictures of the whole training part, without labels;
    with data.fraction, also those whose labels are not used."""
    pretrain_epochs: int | None = Limited(default=None, ge=1)
    norm: str | None = None
    act: str | None = None
    init: str | None = None
    upsampling: Literal["nearest", "bilinear", "transposed", "unpool"] | None = None
    width: int | None = Limited(default=None, ge=1)
    """Channels of the first convolution of unet_small, unet_padded and unet_valid."""
    dropout: float | None = Limited(default=None, ge=0, lt=1)
    dropout_behind: dict[str, Annotated[float, Limited(ge=0, lt=1)]] = {}
    """Layer name -> probability with which its units are dropped while training."""
    stochastic_depth: float | None = Limited(default=None, ge=0, lt=1)
    stem: Literal["small", "large"] | None = None


class OptimizerRecipe(Part):
    """How weights move. See `training.optim` and `training.schedule` for the names."""

    name: str | None = None
    lr0: Annotated[float, Limited(gt=0)] | Literal["auto"] | None = None
    """auto = found by a short sweep before training; written down as the number found."""
    bias_rate: float = Limited(default=1.0, gt=0)
    """Rate of biases and norms, relative to that of the weights."""
    momentum: float | None = Limited(default=None, ge=0, lt=1)
    beta2: float = Limited(default=0.99, ge=0, lt=1)
    weight_decay: float | None = Limited(default=None, ge=0)
    schedule: str | None = None
    warmup: float | None = Limited(default=None, ge=0, lt=1)
    """Share of all updates in which the rate rises to lr0."""
    last_rate: float | None = Limited(default=None, gt=0, le=1)
    """Where the schedule ends, relative to lr0; None = 0 of linear and cosine, 0.0001 of onecycle,
    0.001 of exponential, 0.01 of step, 0.1 of 1/t."""
    plateau_patience: int = Limited(default=5, ge=0)
    """With schedule plateau: epochs without a better dev score before the rate falls."""
    plateau_factor: float = Limited(default=0.1, gt=0, lt=1)
    clip: float = Limited(default=0.0, ge=0)
    """Largest gradient norm, 0 = no limit."""
    l1: float = Limited(default=0.0, ge=0)
    """Strength of the pull that makes small weights exactly 0."""
    ema: float | None = Limited(default=None, ge=0, lt=1)
    """Decay of the average of the weights that is judged and kept in their place; 0 = none."""

    @property
    def first_rate(self) -> float:
        """lr0 as a number, once it is decided."""
        return self.lr0 if isinstance(self.lr0, float) else 0.0


class TaskRecipe(Part):
    """Options of the task's loss and head."""

    label_smoothing: float | None = Limited(default=None, ge=0, lt=1)
    binary: Literal["sigmoid", "softmax"] | None = None
    """Two classes as one sigmoid unit or two softmax units."""
    name: str | None = None
    """cross-entropy or focal; mse or huber; for masks cross-entropy, focal, dice or
    cross-entropy+dice."""
    box_weight: float | None = Limited(default=None, gt=0)
    """Of the squared error of a box beside the other parts of localization's loss."""
    pairs: str | None = None
    """Points that change names in a mirrored picture, "left_eye:right_eye,..."; none = no pair."""
    normalise_by: str | None = None
    """Two points whose distance errors are divided by, "left_eye,right_eye"; box = the diagonal of
    the points' box."""
    gaps: float | None = Limited(default=None, ge=0)
    """Masks: strength of the weights of narrow gaps between things (U-Net's w0, 10 there)."""
    gap_width: float | None = Limited(default=None, gt=0)
    """Of those gaps in pixels (U-Net's sigma, 5 there)."""


class TrainRecipe(Part):
    """How long, how much at once, on what."""

    epochs: int | None = Limited(default=None, ge=1)
    effort: float = Limited(default=1.0, gt=0)
    """Where epochs is None: passes relative to those that the amount of data suggests."""
    batch: int | None = Limited(default=None, ge=1)
    accumulate: int | None = Limited(default=None, ge=1)
    """Pieces in which a batch passes through the network, to save memory; the update is the same
    but for batch norm, which sees a piece at a time. None = as memory allows."""
    health: bool = True
    """Whether gradients and activations of each layer are measured after every epoch."""
    patience: int | None = Limited(default=None, ge=0)
    """Epochs without a better dev score before training stops; 0 = never."""
    views: Literal["plain", "mirror", "shift", "mirror+shift"] = "plain"
    """How the finished network sees a picture: its answers over these views are averaged."""
    seed: int = Limited(default=0, ge=0, lt=2**31)
    device: str | None = None
    precision: Literal["bf16", "fp32"] | None = None
    channels_last: bool | None = None
    threads: int | None = None


class Recipe(Part):
    """Everything about a training. `task` None = inferred from the data."""

    task: str | None = None
    data: DataRecipe = DataRecipe()
    augment: AugmentRecipe = AugmentRecipe()
    model: ModelRecipe = ModelRecipe()
    optimizer: OptimizerRecipe = OptimizerRecipe()
    loss: TaskRecipe = TaskRecipe()
    train: TrainRecipe = TrainRecipe()

    def as_dict(self) -> dict[str, Any]:
        return self.model_dump(mode="json")


KEYS = {
    "task": "task",
    "model": "model.name",
    "backbone": "model.backbone",
    "weights": "model.weights",
    "freeze": "model.freeze",
    "dropout": "model.dropout",
    "imgsz": "data.imgsz",
    "fraction": "data.fraction",
    "labels": "data.labels",
    "human_error": "data.human_error",
    "workers": "data.workers",
    "epochs": "train.epochs",
    "batch": "train.batch",
    "patience": "train.patience",
    "seed": "train.seed",
    "device": "train.device",
    "lr0": "optimizer.lr0",
    "optimizer": "optimizer.name",
    "weight_decay": "optimizer.weight_decay",
}
"""The keys known from the field, and where they stand in the recipe."""


def make_recipe(settings: Mapping[str, Any], start: Recipe | None = None) -> Recipe:
    """A recipe from settings by known key ("lr0") or full path ("optimizer.lr0").

    `start` is the recipe they change. Raises SaccadeError for an unknown key or a bad value.
    """
    values = (start or Recipe()).as_dict()
    for key, value in settings.items():
        _put(values, KEYS.get(key, key), value)
    return from_dict(values)


def from_dict(values: Mapping[str, Any]) -> Recipe:
    """A recipe from nested values, as in args.yaml."""
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SaccadeError(
            f"{where}: {first['msg']}, found {first.get('input')!r}.", name="bad-setting"
        ) from error


def read_recipe(name: str | Path) -> Recipe:
    """A recipe file (YAML, the form of args.yaml), or one of saccade's own by its name."""
    path = Path(name)
    if not path.exists():
        path = recipes.find(str(name)) or path
    if not path.exists():
        known = ", ".join(recipes.names())
        raise SaccadeError(
            f"{name}: there is no such file, nor is it one of saccade's own recipes ({known}).",
            name="bad-recipe",
        )
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SaccadeError(
            f"{path}: cannot be read as YAML ({error}).", name="bad-recipe"
        ) from error
    return from_dict({key: value for key, value in (values or {}).items() if key != "run"})


def parse_setting(text: str) -> tuple[str, Any]:
    """The key and value of `--set a.b=c`; c is read as YAML (numbers, lists, true, null)."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise SaccadeError(f"--set {text}: expected KEY=VALUE, for example --set data.test=0.2.")
    try:
        return key.strip(), yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise SaccadeError(f"--set {text}: {value!r} is not a value.") from error


def all_keys() -> list[str]:
    """Every full path of the recipe, in order."""
    paths: list[str] = []
    for name, value in Recipe().as_dict().items():
        paths += [f"{name}.{key}" for key in value] if isinstance(value, dict) else [name]
    return paths


def _put(values: dict[str, Any], path: str, value: Any) -> None:
    if path not in all_keys():
        near = difflib.get_close_matches(path, [*all_keys(), *KEYS], n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]}?" if near else f" Known: {', '.join(all_keys())}."
        raise SaccadeError(f"{path}: not a setting.{hint}", name="unknown-setting")
    section, _, key = path.rpartition(".")
    (values[section] if section else values)[key] = value
