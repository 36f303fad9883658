"""Segmentation: a class for every pixel."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor, nn

from saccade.errors import SaccadeError
from saccade.ops import cells, intervals, mask_scores, pixels, scores
from saccade.ops.tiles import in_tiles
from saccade.protocols import Backbone, PixelNetwork, Sampling
from saccade.tasks import heads, measures
from saccade.tasks.own import OwnModule
from saccade.types import Batch, Field, Measure, Result, Scored, Segmentation
from saccade.upsampling import OverBackbone

LOSSES = ("cross-entropy", "dice", "focal", "cross-entropy+dice")

AT_ONCE = 1 << 25
"""Logits of one pass while nothing is remembered: 128 MiB."""

Heads = Literal["cross-entropy", "dice", "focal", "cross-entropy+dice"]


@dataclass(frozen=True, kw_only=True)
class SegmentationTask:
    """One of K classes for every pixel, from the one field of kind "mask" among `fields`.

    loss_name      of each pixel: cross-entropy, or focal with its `gamma`; of each class: dice; or
                   the sum of cross-entropy and dice
    class_weights  factor of each class's pixels (K numbers), "balanced" (set by `fit`), or None
    gaps           strength of the weights of narrow gaps between things (U-Net's w0, 10 there)
    gap_width      their width in pixels (U-Net's sigma)
    tile, overlap  inputs of more than tile x tile pixels are predicted in tiles that overlap

    Losses of `evaluate` are the plain cross-entropy; errors are 1 - IoU, the mean over classes that
    the picture or the answer holds. Scores are those of the network's input, results those of the
    picture.
    """

    fields: tuple[Field, ...]
    loss_name: Heads = "cross-entropy+dice"
    class_weights: tuple[float, ...] | Literal["balanced"] | None = None
    label_smoothing: float = 0.0
    gamma: float = 2.0
    gaps: float = 0.0
    gap_width: float = 5.0
    tile: int = 1024
    overlap: int = 256
    sampling: Sampling = "once"
    name: str = field(default="segmentation", init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fields", heads.choose_one(self.fields, "mask", self.name))
        heads.check_option(
            len(self.classes) >= 2,
            f"field {self.field_name}: segmentation needs two classes or more, found "
            f"{', '.join(self.classes) or 'none'}",
        )
        heads.check_choice("loss_name", self.loss_name, LOSSES)
        heads.check_smoothing(self.label_smoothing)
        heads.check_option(
            self.tile >= 64 and 0 < self.overlap <= self.tile // 2,
            "tile: expected 64 pixels or more, overlap: more than 0, at most half a tile",
        )
        heads.check_numbers(self, "class_weights", len(self.classes))

    @property
    def field_name(self) -> str:
        return self.fields[0].name

    @property
    def classes(self) -> tuple[str, ...]:
        return self.fields[0].classes

    def fit(self, targets: Mapping[str, Any]) -> SegmentationTask:
        """The task with "balanced" class weights made numbers, from the training masks."""
        if self.class_weights != "balanced":
            return self
        total = torch.zeros(len(self.classes), dtype=torch.int64)
        for mask in targets[self.field_name]:
            total += torch.bincount(mask[mask >= 0].long(), minlength=len(self.classes))
        return replace(self, class_weights=scores.balanced_weights(total.numpy()))

    def arguments(self) -> dict[str, Any]:
        return heads.option_values(self)

    def build(self, backbone: Backbone) -> nn.Module:
        """A network for pixels with a new last layer; a U-Net over any other backbone."""
        count = len(self.classes)
        if isinstance(backbone, PixelNetwork):
            backbone.new_head(count)
            return cast(nn.Module, backbone)
        if isinstance(backbone, OwnModule):
            # the module's own answer is the logits of every pixel
            backbone.num_outputs = count
            return backbone.module
        backbone.new_head(1)  # not used, so as small as can be
        return OverBackbone(backbone, num_classes=count, in_channels=_in_channels(backbone))

    def loss(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        masks = batch.targets[self.field_name]
        logits = self._segment(model, batch.inputs).float()
        parts: dict[str, Tensor] = {}
        if self.loss_name != "dice":
            parts["cross_entropy"] = pixels.cross_entropy(
                logits,
                masks,
                class_weights=self._weights(logits.device),
                weights=self._gap_weights(masks),
                smoothing=self.label_smoothing,
                gamma=self.gamma if self.loss_name == "focal" else 0.0,
            )
        if "dice" in self.loss_name:
            parts["dice"] = pixels.dice(logits, masks)
        return parts

    def evaluate(self, model: nn.Module, batch: Batch) -> Scored:
        results, plain, errors = list[Segmentation](), list[Tensor](), list[Tensor]()
        for rows, logits in self._logits(model, batch):
            part = batch.part(rows.start, rows.stop)
            masks = part.targets[self.field_name].cpu()
            missing = ~(masks >= 0).flatten(1).any(1)
            found = pixels.counts(logits.argmax(1), masks, len(self.classes)).double()
            each = mask_scores.iou(found.flatten(1).numpy())
            errors.append(
                heads.nan_where(missing, 1 - torch.from_numpy(scores.nan_mean(each)).float())
            )
            plain.append(heads.nan_where(missing, pixels.cross_entropy(logits, masks)))
            results += self._decode(logits, part)
        return Scored(results=results, losses=torch.cat(plain), errors=torch.cat(errors))

    def predict(self, model: nn.Module, batch: Batch) -> list[Result]:
        results: list[Result] = []
        for rows, logits in self._logits(model, batch):
            results += self._decode(logits, batch.part(rows.start, rows.stop))
        return results

    def metric(self) -> SegmentationMetric:
        return SegmentationMetric(self.field_name, self.classes)

    def decide(self, results: list[Any], targets: Mapping[str, Any]) -> Mapping[str, Any]:
        """Nothing: the most probable class is the answer."""
        return {}

    def _segment(self, model: nn.Module, inputs: Tensor) -> Tensor:
        """Logits of every pixel of the inputs, (N, K, H, W)."""
        segment = cast(Callable[[Tensor], Tensor], getattr(model, "segment", model))
        logits = segment(inputs)
        wanted = (len(inputs), len(self.classes), *inputs.shape[2:])
        if not isinstance(logits, Tensor) or logits.shape != wanted:
            found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise SaccadeError(
                f"your network {type(model).__name__} gives {found} for inputs "
                f"{tuple(inputs.shape)}; segmentation needs one number per class and pixel, "
                f"{wanted}",
                name="wrong-outputs",
            )
        return logits

    def _logits(self, model: nn.Module, batch: Batch) -> Iterator[tuple[slice, Tensor]]:
        """A few pictures at a time: which rows, and their logits on the CPU."""
        height, width = batch.inputs.shape[2:]
        if height * width > self.tile**2:
            for row in range(len(batch)):
                yield (
                    slice(row, row + 1),
                    in_tiles(
                        lambda part: self._segment(model, part).float(),
                        batch.inputs[row : row + 1],
                        tile=self.tile,
                        overlap=self.overlap,
                    ),
                )
            return
        step = max(1, AT_ONCE // (len(self.classes) * height * width))
        for start in range(0, len(batch), step):
            rows = slice(start, min(start + step, len(batch)))
            yield rows, heads.on_cpu(self._segment(model, batch.inputs[rows]))

    def _decode(self, logits: Tensor, part: Batch) -> list[Segmentation]:
        geometry = part.geometry
        if geometry is None:
            masks = logits.argmax(1)
        else:
            masks = [  # type: ignore[assignment]
                pixels.on_picture(own, geometry.matrix[row], _size(geometry.size[row]))
                for row, own in enumerate(logits)
            ]
        return [Segmentation(classes=self.classes, mask=mask) for mask in masks]

    def _gap_weights(self, masks: Tensor) -> Tensor | None:
        """(N, H, W): all classes but the first are things."""
        if not self.gaps:
            return None
        each = [
            cells.gap_weights(mask > 0, strength=self.gaps, sigma=self.gap_width)
            for mask in masks.cpu().numpy()
        ]
        return torch.from_numpy(np.stack(each)).to(masks.device)

    def _weights(self, device: torch.device) -> Tensor | None:
        return heads.class_weights(self.class_weights, device)


def _in_channels(backbone: Backbone) -> int:
    """What its first convolution takes."""
    layers = cast(nn.Module, backbone).modules()
    return next((each.in_channels for each in layers if isinstance(each, nn.Conv2d)), 3)


def _size(size: Tensor) -> tuple[int, int]:
    return int(size[0]), int(size[1])


class SegmentationMetric:
    """miou, dice, pixel_accuracy, boundary_f and iou_<class>, summed over all pixels of a part.

    Means are over all classes that occur or are predicted, background included. Intervals resample
    pictures. A boundary is right where a true one lies within two pixels of the network's input.
    """

    main = "miou"
    higher_is_better = True

    def __init__(self, field: str, classes: tuple[str, ...]) -> None:
        self.field = field
        self.classes = classes
        self._counts: list[Tensor] = []
        self._edges: list[Tensor] = []

    def update(self, scored: Scored, batch: Batch) -> None:
        masks = batch.targets[self.field].cpu()
        size = (masks.shape[1], masks.shape[2])
        for row, (result, mask) in enumerate(zip(scored.results, masks, strict=True)):
            if not bool((mask >= 0).any()):
                continue
            guess = result.mask.long()
            if batch.geometry is not None:
                guess = pixels.on_grid(guess, batch.geometry.matrix[row], size)
            guess = guess.clamp(min=0)[None]
            self._counts.append(pixels.counts(guess, mask[None], len(self.classes)))
            self._edges.append(pixels.boundary_counts(guess, mask[None], len(self.classes)))

    def compute(self) -> dict[str, Measure]:
        areas, edges, n = self._sums(self._counts, 3), self._sums(self._edges, 4), self._examples
        found = {
            "miou": measures.bootstrapped(areas, mask_scores.mean_iou, n),
            "dice": measures.bootstrapped(areas, mask_scores.mean_dice, n),
            "pixel_accuracy": measures.bootstrapped(areas, mask_scores.pixel_accuracy, n),
            "boundary_f": measures.bootstrapped(edges, mask_scores.mean_boundary_f, n),
        }
        for index, name in enumerate(self.classes):
            own = areas[:, index :: len(self.classes)]
            found[f"iou_{name}"] = measures.bootstrapped(own, _first(mask_scores.iou), n)
        return found

    def details(self) -> dict[str, Any]:
        """Classes, confusion none; per_pixel_class: iou, dice, boundary_f, share of each class."""
        areas, edges, n = self._sums(self._counts, 3), self._sums(self._edges, 4), self._examples
        total = areas.sum(axis=0).reshape(3, -1)
        rows: dict[str, Any] = {}
        for index, name in enumerate(self.classes):
            own, line = areas[:, index :: len(self.classes)], edges[:, index :: len(self.classes)]
            rows[name] = {
                "pixels": int(total[2, index]),
                "predicted": int(total[1, index]),
                "pictures": int((own[:, 2] > 0).sum()),
                "iou": measures.plain(measures.bootstrapped(own, _first(mask_scores.iou), n)),
                "dice": measures.plain(measures.bootstrapped(own, _first(mask_scores.dice), n)),
                "boundary_f": measures.plain(
                    measures.bootstrapped(line, _first(mask_scores.boundary_f), n)
                ),
            }
        return {"classes": list(self.classes), "per_pixel_class": rows}

    @property
    def _examples(self) -> int:
        return len(self._counts)

    def _sums(self, parts: list[Tensor], columns: int) -> scores.Array:
        """(U, columns K) of each unit of resampling."""
        if not parts:
            return np.zeros((0, columns * len(self.classes)))
        table = torch.cat(parts).flatten(1).double().numpy()
        return intervals.unit_sums(table, intervals.units(len(table)))


def _first(statistic: Callable[[scores.Array], scores.Array]) -> measures.Statistic:
    """The statistic of one class alone."""
    return lambda sums: statistic(sums)[..., 0]
