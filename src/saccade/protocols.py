"""The promises between the rooms. A class keeps one by having its methods; nobody inherits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from torch import Tensor, nn

from saccade.types import Batch, Field, Measure, Result, Scored

Sampling = Literal["once", "balanced", "identities"]
"""Each example once an epoch; classes equally often; P identities with K examples each."""


@runtime_checkable
class Source(Protocol):
    """A place that holds pictures (folder, zip, array file, a user's dataset)."""

    def load(self, key: str) -> bytes | np.ndarray:
        """The raw bytes of an encoded file, or a decoded uint8 array (H, W) or (H, W, C).

        Raises SaccadeError where the key cannot be read.
        """
        ...


@runtime_checkable
class Backbone(Protocol):
    """A network seen as maps from fine to coarse; any task stands on any backbone.

    channels, strides    of each map; strides as factors of the input's side
    minimum_size         smallest side of the input that every stage can take, in pixels
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]
    minimum_size: int

    def maps(self, inputs: Tensor) -> list[Tensor]:
        """(N, C, *space) -> one map (N, channels[i], *space / strides[i]) per stage.

        The last map is the one before the head's pooling.
        """
        ...

    def embed(self, last: Tensor) -> Tensor:
        """The last map -> (N, D), what the final linear layer sees."""
        ...

    def classify(self, last: Tensor) -> Tensor:
        """The last map -> (N, num_classes) logits."""
        ...

    def auxiliary(self, maps: list[Tensor]) -> list[Tensor]:
        """Logits of auxiliary heads, for losses only; empty where the paper has none."""
        ...

    def new_head(self, num_classes: int) -> None:
        """Replace the final linear layer (and auxiliary heads) by freshly initialised ones."""
        ...

    def __call__(self, inputs: Tensor) -> Tensor:
        """classify(maps(inputs)[-1])"""
        ...


@runtime_checkable
class Whitens(Protocol):
    """A backbone whose first layer is set from the data before training."""

    def whiten(self, inputs: Tensor) -> None:
        """Take in (N, C, *space) normalised pictures."""
        ...


@runtime_checkable
class PixelNetwork(Protocol):
    """A network that answers for every pixel of its input; segmentation alone stands on it.

    minimum_size    smallest side of the input that every stage can take, in pixels
    """

    minimum_size: int

    def segment(self, inputs: Tensor) -> Tensor:
        """(N, C, H, W) -> logits (N, num_classes, H, W), whatever the size."""
        ...

    def new_head(self, num_classes: int) -> None:
        """Replace what is left of the logits by freshly initialised layers."""
        ...

    def __call__(self, inputs: Tensor) -> Tensor:
        """The paper's own forward pass, whose logits may be fewer than the pixels."""
        ...


class Found(Protocol):
    """Objects in one input, best first: boxes (M, 4) in its pixels, scores (M,), labels (M,)."""

    @property
    def boxes(self) -> Tensor: ...

    @property
    def scores(self) -> Tensor: ...

    @property
    def labels(self) -> Tensor: ...


@runtime_checkable
class Detector(Protocol):
    """A network that finds objects: a backbone with what the paper puts on it.

    Boxes are (M, 4) xyxy in pixels of the input, labels (M,) int64, one of each for every picture.
    """

    backbone: nn.Module
    minimum_size: int

    def new_head(self, num_classes: int) -> None:
        """Fresh layers where the number of classes counts."""
        ...

    def fit_anchors(self, sizes: Tensor) -> None:
        """Take what is to be known of (M, 2) widths and heights of training boxes, in pixels."""
        ...

    def tell(self, boxes: Sequence[Tensor], size: tuple[int, int]) -> list[str]:
        """How it sees these boxes of inputs of (height, width), for the user."""
        ...

    def training_loss(
        self, images: Tensor, boxes: Sequence[Tensor], labels: Sequence[Tensor]
    ) -> dict[str, Tensor]:
        """Named parts, each (N,), or scalars where a part belongs to the batch."""
        ...

    def detect(
        self, images: Tensor, *, confidence: float, iou: float, limit: int
    ) -> Sequence[Found]:
        """What is seen with at least this confidence, without duplicates in a class."""
        ...

    def judge(
        self,
        images: Tensor,
        boxes: Sequence[Tensor],
        labels: Sequence[Tensor],
        *,
        confidence: float,
        iou: float,
        limit: int,
    ) -> tuple[Tensor, Sequence[Found]]:
        """The loss of each picture (N,), and `detect`, from one pass."""
        ...


@runtime_checkable
class FromExamples(Protocol):
    """A task that sets parts of its network from training examples before the first step."""

    def begin(self, model: nn.Module, batches: Iterable[Batch]) -> list[str]:
        """What was set, for the user. batches: training examples without augmentation."""
        ...


@runtime_checkable
class Selects(Protocol):
    """A task that answers with boxes: those it is sure enough of, without duplicates in a class.

    iou   overlap beyond which the weaker of two boxes is dropped
    most  boxes in one picture
    """

    @property
    def iou(self) -> float: ...

    @property
    def most(self) -> int: ...

    def selecting(self, *, conf: float | None = None, iou: float | None = None) -> Task:
        """The task with this confidence for every class and this overlap; None = as it is."""
        ...


class Metric(Protocol):
    """Accumulates scored batches; a fresh one for every evaluation."""

    main: str
    higher_is_better: bool

    def update(self, scored: Scored, batch: Batch) -> None: ...

    def compute(self) -> dict[str, Measure]:
        """Every metric of the task by its contract name, `main` among them."""
        ...

    def details(self) -> dict[str, Any]:
        """What the report draws besides: confusion matrix, numbers per class; JSON values."""
        ...


class Task(Protocol):
    """What a problem means: head, loss, decoding, metric. Knows neither network nor data set.

    name       in the table of tasks
    fields     the annotations it learns, class names included
    sampling   how the loop should draw examples
    """

    @property
    def name(self) -> str: ...

    @property
    def fields(self) -> tuple[Field, ...]: ...

    @property
    def sampling(self) -> Sampling: ...

    def fit(self, targets: Mapping[str, Any]) -> Task:
        """The task with what it takes from the training targets (class weights, mean and std)."""
        ...

    def arguments(self) -> dict[str, Any]:
        """The options it was built with, for `ModelCard.task_arguments`."""
        ...

    def build(self, backbone: Backbone) -> nn.Module:
        """The trainable network: the backbone with this task's head."""
        ...

    def loss(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Named parts, each (N,) per example, or a scalar where a part has no examples.

        The loop weights, averages and sums them. Missing targets count as 0.
        """
        ...

    def evaluate(self, model: nn.Module, batch: Batch) -> Scored:
        """Results, losses, errors and embeddings in one pass."""
        ...

    def predict(self, model: nn.Module, batch: Batch) -> list[Result]:
        """Results alone, in pixels of the original picture (through `batch.geometry`)."""
        ...

    def metric(self) -> Metric: ...

    def decide(self, results: list[Any], targets: Mapping[str, Any]) -> Mapping[str, Any]:
        """Thresholds and the like chosen on dev, for `ModelCard.decision`; empty where none."""
        ...


def resolutions(backbone: Backbone) -> list[int]:
    """Places of the last map of each stride, fine to coarse: some networks have several of one."""
    last = {stride: place for place, stride in enumerate(backbone.strides)}
    return sorted(last.values())
