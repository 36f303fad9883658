"""What flows through saccade: frozen records, checked when made.

Letters for shapes: N examples, C channels, K classes, M objects, P points, T target values,
D embedding length, H height, W width; `*space` is one to three axes (W | H, W | D, H, W).
Boxes are (x1, y1, x2, y2) in absolute pixels of the displayed picture (after EXIF rotation), with
0 <= x1 < x2 <= width. Points are (x, y) in the same pixels. Records for results live on the CPU.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

import torch
from torch import Tensor

from saccade.errors import SaccadeError

Split = Literal["train", "dev", "test"]
Severity = Literal["error", "warning", "info"]
Goal = Literal["fit training", "fit dev", "fit test", "work in use"]
"""The four goals of the notes, each with its own knobs (orthogonalisation)."""

FieldKind = Literal[
    "label", "labels", "values", "box", "boxes", "points", "mask", "identity", "sequence", "volume"
]
"""What an annotation is, apart from the task it serves. See `Field`."""


def _check(condition: bool, message: str) -> None:
    if not condition:
        raise SaccadeError(message, name="bad-record")


def _check_probabilities(values: Tensor, where: str) -> None:
    _check(bool(torch.isfinite(values).all()), f"{where}: not finite")
    _check(bool(((values >= -1e-4) & (values <= 1 + 1e-4)).all()), f"{where}: outside 0..1")


def _check_boxes(boxes: Tensor, where: str) -> None:
    _check(
        boxes.ndim == 2 and boxes.shape[1] == 4, f"{where}: shape {tuple(boxes.shape)}, not (M, 4)"
    )
    _check(bool(torch.isfinite(boxes).all()), f"{where}: not finite")
    _check(bool((boxes[:, 2:] >= boxes[:, :2]).all()), f"{where}: not (x1, y1, x2, y2)")


# --- what comes in ------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Field:
    """One annotation that every example may carry.

    kind       what `Example.target[name]` holds, and what `Batch.targets` holds for it
      label      class name                      -> name: (N,) int64, -1 missing
      labels     list of class names             -> name: (N, K) float32 of 0 and 1, NaN missing
      values     list of numbers or None         -> name: (N, T) float32, NaN missing
      box        {"box": xyxy or None, "label"}  -> name: (N, 4),
                                                    name + ".label": (N,) int64, -1 no object
      boxes      [{"box": xyxy, "label"}, ...]   -> name: list of (M, 4),
                                                    name + ".label": list of (M,) int64
      points     [[x, y] or None, ...]           -> name: (N, P, 2), name + ".visible": (N, P) bool
      mask       path or array of class indices  -> name: (N, *space) int64, -1 ignored
      identity   name of a person or thing       -> name: (N,) int64, -1 unknown
    classes    names in index order: of classes (label, labels, box, boxes, mask, identity),
               of target columns (values) or of points (points)
    """

    name: str
    kind: FieldKind
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check(bool(self.name), "field without a name")
        _check(len(set(self.classes)) == len(self.classes), f"field {self.name}: a class twice")


@dataclass(frozen=True, kw_only=True)
class Example:
    """One picture and what is known of it.

    key      unique within its data set, shown to the user: a path below the root, or "file#row"
    target   annotation by field name, in the form `Field` tells; absent or None = missing
    split    where the user's own files put it, else None
    group    examples of one group (a patient, a place, a film) never come to lie in two splits
    source   where the picture comes from (web, phone, clinic), for data mismatch
    """

    key: str
    target: Mapping[str, Any] = field(default_factory=dict)
    split: Split | None = None
    group: str | None = None
    source: str | None = None


@dataclass(frozen=True, kw_only=True)
class Notice:
    """Something to know about the data, found by a reader or the audit.

    name is kebab-case ("hidden-folder", "broken-file", "duplicate-across-splits"), message one
    sentence that says what was found and what to do, files the keys or paths concerned; groups
    holds the same files where some belong together (copies of one picture).
    """

    name: str
    severity: Severity
    message: str
    files: tuple[str, ...] = ()
    groups: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """How network input pixels relate to the displayed pictures.

    matrix  (N, 3, 3) float64: homogeneous (x, y, 1) in the picture -> (x, y, 1) in the network
            input, both in pixels with the origin at the top left corner of the top left pixel
    size    (N, 2) int64: height, width of the displayed picture
    """

    matrix: Tensor
    size: Tensor

    def __post_init__(self) -> None:
        _check(self.matrix.shape[1:] == (3, 3), f"geometry: matrix {tuple(self.matrix.shape)}")
        _check(self.size.shape == (len(self.matrix), 2), f"geometry: size {tuple(self.size.shape)}")

    def to_picture(self, row: int, points: Tensor) -> Tensor:
        """Map (M, 2) points of network input `row` back to pixels of its picture."""
        back = torch.linalg.inv(self.matrix[row].double())
        mapped = points.double() @ back[:2, :2].T + back[:2, 2]
        moved: Tensor = mapped.to(points.dtype)
        return moved


@dataclass(frozen=True, kw_only=True)
class Mix:
    """Second targets of inputs that are mixtures of two examples (mixup, cutmix).

    targets  of the other examples, in the form of `Batch.targets`
    share    (N,) float32: what the input's own targets count, 0..1; the others count the rest
    """

    targets: Mapping[str, Any]
    share: Tensor

    def to(self, device: torch.device | str) -> Mix:
        """The same mixture with its tensors on `device`."""
        targets = {name: _move(value, device) for name, value in self.targets.items()}
        return Mix(targets=targets, share=self.share.to(device))

    def part(self, rows: slice) -> Mix:
        """The mixture of some of the inputs."""
        targets = {name: value[rows] for name, value in self.targets.items()}
        return Mix(targets=targets, share=self.share[rows])


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What the data room hands to a task.

    inputs    (N, C, *space) float32, normalised as the model card tells
    targets   per field name as `Field` tells; empty when predicting
    indices   (N,) int64: rows of the data set's table of examples
    geometry  picture -> input; None where inputs are not pictures
    weights   (N,) float32: weight of each example's loss, None = all 1
    mix       the other examples mixed into the inputs; None = each input is one example
    """

    inputs: Tensor
    targets: Mapping[str, Any]
    indices: Tensor
    geometry: Geometry | None = None
    weights: Tensor | None = None
    mix: Mix | None = None

    def __post_init__(self) -> None:
        _check(
            3 <= self.inputs.ndim <= 5,
            f"batch: inputs {tuple(self.inputs.shape)}, not (N, C, *space)",
        )
        _check(self.indices.shape == self.inputs.shape[:1], "batch: one index per input expected")

    def __len__(self) -> int:
        return len(self.inputs)

    def to(self, device: torch.device | str) -> Batch:
        """The same batch with inputs, targets and weights on `device`."""
        return replace(
            self,
            inputs=self.inputs.to(device, non_blocking=True),
            targets={name: _move(value, device) for name, value in self.targets.items()},
            weights=None if self.weights is None else self.weights.to(device),
            mix=None if self.mix is None else self.mix.to(device),
        )

    def part(self, start: int, stop: int) -> Batch:
        """Examples start ... stop - 1 as a batch of their own."""
        rows = slice(start, stop)
        return replace(
            self,
            inputs=self.inputs[rows],
            targets={name: value[rows] for name, value in self.targets.items()},
            indices=self.indices[rows],
            geometry=None
            if self.geometry is None
            else Geometry(matrix=self.geometry.matrix[rows], size=self.geometry.size[rows]),
            weights=None if self.weights is None else self.weights[rows],
            mix=None if self.mix is None else self.mix.part(rows),
        )


def _move(value: Any, device: torch.device | str) -> Any:
    if isinstance(value, Tensor):
        return value.to(device, non_blocking=True)
    return [item.to(device, non_blocking=True) for item in value]


# --- what comes out -----------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Classification:
    """One class of several. probabilities: (K,) float32, sum 1."""

    classes: tuple[str, ...]
    probabilities: Tensor

    def __post_init__(self) -> None:
        _check(
            self.probabilities.shape == (len(self.classes),), "classification: one number per class"
        )

    @property
    def index(self) -> int:
        return int(self.probabilities.argmax())

    @property
    def label(self) -> str:
        return self.classes[self.index]

    @property
    def score(self) -> float:
        return float(self.probabilities.max())

    def as_dict(self) -> dict[str, Any]:
        scores = dict(zip(self.classes, _numbers(self.probabilities), strict=True))
        return {"label": self.label, "score": _number(self.score), "scores": scores}


@dataclass(frozen=True, kw_only=True)
class MultiLabel:
    """Any number of classes at once. probabilities, thresholds: (K,) float32, class by class."""

    classes: tuple[str, ...]
    probabilities: Tensor
    thresholds: Tensor

    def __post_init__(self) -> None:
        shape = (len(self.classes),)
        _check(self.probabilities.shape == shape, "multi-label: one number per class")
        _check(self.thresholds.shape == shape, "multi-label: one threshold per class")

    @property
    def labels(self) -> tuple[str, ...]:
        chosen = self.probabilities >= self.thresholds
        return tuple(name for name, yes in zip(self.classes, chosen.tolist(), strict=True) if yes)

    def as_dict(self) -> dict[str, Any]:
        scores = dict(zip(self.classes, _numbers(self.probabilities), strict=True))
        return {"labels": list(self.labels), "scores": scores}


@dataclass(frozen=True, kw_only=True)
class Values:
    """Numbers in the user's own units. values: (T,) float32."""

    names: tuple[str, ...]
    values: Tensor

    def __post_init__(self) -> None:
        _check(self.values.shape == (len(self.names),), "values: one number per name")

    def as_dict(self) -> dict[str, Any]:
        return {"values": dict(zip(self.names, _numbers(self.values), strict=True))}


@dataclass(frozen=True, kw_only=True)
class Localization:
    """At most one object. score: that there is one, 0..1; box: (4,) xyxy; probabilities: (K,)."""

    classes: tuple[str, ...]
    score: float
    box: Tensor
    probabilities: Tensor

    def __post_init__(self) -> None:
        _check_boxes(self.box[None], "localization")
        _check(
            self.probabilities.shape == (len(self.classes),), "localization: one number per class"
        )

    @property
    def label(self) -> str | None:
        return self.classes[int(self.probabilities.argmax())] if self.score >= 0.5 else None

    def as_dict(self) -> dict[str, Any]:
        boxes = [_numbers(self.box)] if self.label is not None else []
        scores = dict(zip(self.classes, _numbers(self.probabilities), strict=True))
        return {"label": self.label, "score": _number(self.score), "scores": scores, "boxes": boxes}


@dataclass(frozen=True, kw_only=True)
class Landmarks:
    """Named points. points: (P, 2) xy pixels; scores: (P,) probability of being visible."""

    names: tuple[str, ...]
    points: Tensor
    scores: Tensor

    def __post_init__(self) -> None:
        _check(self.points.shape == (len(self.names), 2), "landmarks: one point per name")
        _check(self.scores.shape == (len(self.names),), "landmarks: one score per name")

    def as_dict(self) -> dict[str, Any]:
        points = {name: _numbers(xy) for name, xy in zip(self.names, self.points, strict=True)}
        return {
            "points": points,
            "scores": dict(zip(self.names, _numbers(self.scores), strict=True)),
        }


@dataclass(frozen=True, kw_only=True)
class Detections:
    """Objects, best first. boxes: (M, 4) xyxy; scores: (M,) 0..1; labels: (M,) int64."""

    classes: tuple[str, ...]
    boxes: Tensor
    scores: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        _check_boxes(self.boxes, "detections")
        _check(self.scores.shape == self.labels.shape == (len(self.boxes),), "detections: ragged")
        _check_probabilities(self.scores, "detections: scores")

    def as_dict(self) -> dict[str, Any]:
        return {
            "labels": [self.classes[label] for label in self.labels.tolist()],
            "scores": _numbers(self.scores),
            "boxes": [_numbers(box) for box in self.boxes],
        }


@dataclass(frozen=True, kw_only=True)
class Segmentation:
    """A class for every pixel or voxel. mask: (*space) uint8 or int64 into classes."""

    classes: tuple[str, ...]
    mask: Tensor

    def __post_init__(self) -> None:
        inside = self.mask.numel() == 0 or (
            int(self.mask.min()) >= 0 and int(self.mask.max()) < len(self.classes)
        )
        _check(inside, "segmentation: mask holds an index without a class")

    def as_dict(self) -> dict[str, Any]:
        counts = torch.bincount(self.mask.flatten().long(), minlength=len(self.classes)).tolist()
        return {"labels": [name for name, n in zip(self.classes, counts, strict=True) if n]}


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """A picture as a point on the unit sphere. vector: (D,) float32 of length 1."""

    vector: Tensor

    def __post_init__(self) -> None:
        _check(self.vector.ndim == 1, "embedding: not a vector")
        _check(abs(float(self.vector.norm()) - 1) < 1e-2, "embedding: length is not 1")

    def as_dict(self) -> dict[str, Any]:
        return {"values": _numbers(self.vector)}


@dataclass(frozen=True, kw_only=True)
class Match:
    """Who is it? name None: nobody in the gallery is within `threshold` (cosine distance 0..2)."""

    name: str | None
    distance: float
    threshold: float

    def __post_init__(self) -> None:
        _check(0 <= self.distance <= 2 + 1e-4, f"match: cosine distance {self.distance}")

    def as_dict(self) -> dict[str, Any]:
        return {"label": self.name, "score": _number(1 - self.distance / 2)}


@dataclass(frozen=True, kw_only=True)
class Sequence:
    """Generated or labelled samples. samples: (T,) float32 in -1..1; rate in samples per second."""

    samples: Tensor
    rate: int

    def as_dict(self) -> dict[str, Any]:
        return {"seconds": _number(len(self.samples) / self.rate)}


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture as a result (style transfer, heat map). pixels: (3, H, W) uint8 RGB."""

    pixels: Tensor

    def __post_init__(self) -> None:
        _check(self.pixels.ndim == 3 and self.pixels.shape[0] == 3, "picture: not (3, H, W)")
        _check(self.pixels.dtype == torch.uint8, "picture: not uint8")

    def as_dict(self) -> dict[str, Any]:
        return {"height": self.pixels.shape[1], "width": self.pixels.shape[2]}


@dataclass(frozen=True, kw_only=True)
class Heads:
    """Several results for one picture, by field name (multi-task)."""

    heads: Mapping[str, Classification | MultiLabel | Values]

    def as_dict(self) -> dict[str, Any]:
        return {name: result.as_dict() for name, result in self.heads.items()}


Result = (
    Classification
    | MultiLabel
    | Values
    | Localization
    | Landmarks
    | Detections
    | Segmentation
    | Embedding
    | Match
    | Sequence
    | Picture
    | Heads
)


@dataclass(frozen=True, kw_only=True)
class Scored:
    """One evaluated batch, example by example.

    results     N results
    losses      (N,) float32: the training loss of each example, NaN where it has no target
    errors      (N,) float32: the task's error measure (0/1 for classes, absolute error for values,
                1 - IoU for boxes and masks ...), NaN where it has no target
    embeddings  (N, D) float32: the features before the head, or None
    """

    results: list[Any]
    losses: Tensor
    errors: Tensor
    embeddings: Tensor | None = None

    def __post_init__(self) -> None:
        size = (len(self.results),)
        _check(
            self.losses.shape == self.errors.shape == size, "scored: one loss and error per result"
        )


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A measured number with its 95 % interval. n: examples (or groups) it stands on."""

    value: float
    low: float
    high: float
    n: int

    def __post_init__(self) -> None:
        ordered = math.isnan(self.value) or self.low - 1e-9 <= self.value <= self.high + 1e-9
        _check(ordered, f"measure: {self.value} outside its interval {self.low}..{self.high}")


# --- what is kept -------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """From a decoded picture to network input, the same in training, use and export.

    height, width  of the network input
    channels       1 grey, 3 RGB
    fit            crop: shorter side scaled to the input, centre cut; pad: longer side scaled, rest
                   filled with mean; stretch: both sides scaled
    mean, std      per channel, on the 0..1 scale: input = (pixel / 255 - mean) / std
    background     RGB 0..255 that transparent pixels are laid on
    margin         crop only: the shorter side is scaled to margin times the input before the cut
    max_pixels     of a picture; larger ones are refused before they are decoded
    """

    height: int
    width: int
    channels: int
    fit: Literal["crop", "pad", "stretch"]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    background: tuple[int, int, int] = (255, 255, 255)
    margin: float = 1.0
    max_pixels: int = 50_000_000

    def __post_init__(self) -> None:
        _check(min(self.height, self.width) > 0, "preprocessing: empty input")
        _check(
            len(self.mean) == len(self.std) == self.channels, "preprocessing: one mean per channel"
        )
        _check(all(value > 0 for value in self.std), "preprocessing: std must be positive")
        _check(1 <= self.margin <= 4, f"preprocessing: margin {self.margin}, expected 1..4")
        _check(self.margin == 1 or self.fit == "crop", "preprocessing: a margin goes with crop")


OWN = "own"
"""ModelCard.model of a network that is the user's own nn.Module."""

ENSEMBLE = "ensemble"
"""ModelCard.model of several networks that answer as one; its arguments list the members."""


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """Everything needed to use a network besides its weights; travels with them as JSON.

    task          name in the table of tasks;  fields: what it predicts, class names in index order
    model         name in the catalogue;  arguments: what its builder was called with
    decision      thresholds chosen on dev, views whose answers are averaged
    metrics       measured on dev, name -> {value, low, high, n}
    data          name, number of examples and digest of the training data; how large pictures were
    versions      of saccade, torch and Python that made it;  licence, source: of pretrained weights
    """

    task: str
    fields: tuple[Field, ...]
    model: str
    arguments: Mapping[str, Any]
    preprocessing: Preprocessing
    decision: Mapping[str, Any] = field(default_factory=dict)
    task_arguments: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    licence: str = ""
    source: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelCard:
        """Rebuild a card from its JSON; unknown or missing entries are an error that names them."""
        known = {item.name for item in fields(cls)}
        required = {"task", "fields", "model", "arguments", "preprocessing"}
        wrong = sorted((set(values) - known) | (required - set(values)))
        _check(not wrong, f"model card: unknown or missing {', '.join(wrong)}")
        card = dict(values)
        card["fields"] = tuple(
            Field(name=item["name"], kind=item["kind"], classes=tuple(item["classes"]))
            for item in values["fields"]
        )
        preprocessing: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values["preprocessing"].items()
        }
        card["preprocessing"] = Preprocessing(**preprocessing)
        return cls(**card)


# --- what to do next ----------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All that the diagnosis may use, read from a run folder alone.

    errors       part ("train", "train-dev", "dev", "test") -> measured error (0 is perfect)
    human        human-level error, None = unknown
    curves       column of results.csv -> one number per epoch
    health       rows of health.csv;  images: rows of data.parquet;  predictions: part -> its rows
    dynamics     rows of dynamics.parquet
    folds        answers on training examples by networks that had not seen them; may be empty
    recipe       the complete recipe;  card: the model card;  data: the manifest
    run          the run folder, as the user named it;  log: lines of log.txt
    tensors      names of the network's tensors
    thumbnails   part -> {"index": (n,), "pixels": (n, S, S, 3) uint8}
    scale        what the error of knowing nothing but the targets would be; 1 where errors are 0..1
    """

    task: str
    errors: Mapping[str, Measure]
    human: Measure | None
    curves: Mapping[str, tuple[float, ...]]
    health: tuple[Mapping[str, Any], ...]
    images: Any
    predictions: Mapping[str, Any]
    dynamics: Any
    recipe: Mapping[str, Any]
    card: ModelCard | None
    data: Mapping[str, Any]
    run: str = ""
    log: tuple[str, ...] = ()
    tensors: tuple[str, ...] = ()
    thumbnails: Mapping[str, Any] = field(default_factory=dict)
    scale: float = 1.0
    folds: Any = field(default_factory=dict)


Limit = Literal[
    "avoidable-bias", "variance", "data-mismatch", "dev-overfitting", "nothing", "cannot-tell"
]
"""What holds a result back: one of the four gaps, or none."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What limits the result now. Always there, even where there is no finding.

    gap      the gap that decides, or the largest one; None where nothing could be measured
    lines    what limits the result, how sure that is, what to type next: one sentence each
    command  what the last line says
    """

    limit: Limit
    gap: Measure | None
    lines: tuple[str, str, str]
    command: str


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One fault of a run, with the evidence and what to do.

    evidence       numbers by name, each with its interval where it has one
    knob           the one thing to turn;  goal: which of the four goals that serves
    command        what to type
    expected_gain  how much the error could fall (0..1 of the error measure's range)
    """

    name: str
    severity: Severity
    message: str
    evidence: Mapping[str, Any]
    knob: str
    goal: Goal
    command: str
    expected_gain: float

    def __post_init__(self) -> None:
        _check(bool(self.evidence), f"finding {self.name}: no evidence")
        _check(bool(self.command), f"finding {self.name}: no command")


def _number(value: float) -> float:
    """Round to six significant digits, so that printed JSON stays readable."""
    return float(f"{value:.6g}")


def _numbers(values: Tensor) -> list[float]:
    return [_number(value) for value in values.tolist()]
