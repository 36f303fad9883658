"""What R-CNN, Fast R-CNN and Faster R-CNN share: regions are pooled, classified and corrected.

torchvision's tested parts do the sampling, the losses and the decoding (`RoIHeads`); its parts
switch by mode, so they are wrapped here in methods that do not.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from saccade.ops.roi_align import roi_align

Propose = Callable[[Tensor], Tensor]
"""One picture (C, H, W) -> boxes (P, 4)."""


class Seen(NamedTuple):
    """Objects in one input, best first: (M, 4) pixels, (M,) scores, (M,) int64 labels."""

    boxes: Tensor
    scores: Tensor
    labels: Tensor


class RegionDetector(nn.Module):
    """Regions of a picture, pooled from maps, then one class and a corrected box for each.

    Args:
        backbone: whose weights may be given.
        maps: images -> maps by name, from which regions are pooled.
        roi_heads: torchvision's `RoIHeads`.
        rpn: torchvision's `RegionProposalNetwork`, or None where `propose` finds the regions.
        propose: see `Propose`.
        minimum_size: smallest side of the input.
    """

    def __init__(
        self,
        *,
        backbone: nn.Module,
        maps: nn.Module,
        roi_heads: Any,
        rpn: Any | None = None,
        propose: Propose | None = None,
        minimum_size: int = 32,
    ) -> None:
        super().__init__()
        assert (rpn is None) != (propose is None)
        self.backbone = backbone
        self.maps_of = maps
        self.rpn = rpn
        self.roi_heads = roi_heads
        self.propose = propose
        self.minimum_size = minimum_size

    def new_head(self, num_classes: int) -> None:
        """Fresh last layers, for the classes and the background."""
        old = self.roi_heads.box_predictor.cls_score
        predictor = Predictor(old.in_features, num_classes + 1)
        self.roi_heads.box_predictor = predictor.to(old.weight)

    def fit_anchors(self, sizes: Tensor) -> None:
        """Nothing: the papers' anchors stay as they are."""

    def tell(self, boxes: Sequence[Tensor], size: tuple[int, int]) -> list[str]:
        """How many objects the regions found beforehand cover cannot be told from boxes alone."""
        return []

    def forward(self, images: Tensor) -> list[Tensor]:
        """The maps that regions are pooled from."""
        return list(self._maps(images).values())

    def training_loss(
        self, images: Tensor, boxes: Sequence[Tensor], labels: Sequence[Tensor]
    ) -> dict[str, Tensor]:
        """Parts of the loss of the whole batch: scalars."""
        return self._losses(images, self._maps(images), boxes, labels)

    @torch.no_grad()
    def detect(
        self, images: Tensor, *, confidence: float = 0.05, iou: float = 0.5, limit: int = 100
    ) -> list[Seen]:
        """What is seen in each input, without duplicates in a class."""
        return self._found(images, self._maps(images), confidence, iou, limit)

    @torch.no_grad()
    def judge(
        self,
        images: Tensor,
        boxes: Sequence[Tensor],
        labels: Sequence[Tensor],
        *,
        confidence: float = 0.05,
        iou: float = 0.5,
        limit: int = 100,
    ) -> tuple[Tensor, list[Seen]]:
        """The loss of each picture, and `detect`, from one pass through the backbone."""
        maps = self._maps(images)
        given = [] if self.propose is None else [self.propose(image) for image in images]
        losses = []
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # regions are drawn for the loss
            for row in range(len(images)):
                part = slice(row, row + 1)
                mine = {name: value[part] for name, value in maps.items()}
                parts = self._losses(images[part], mine, boxes[part], labels[part], given[part])
                losses.append(torch.stack(list(parts.values())).sum())
        return torch.stack(losses), self._found(images, maps, confidence, iou, limit, given)

    def _maps(self, images: Tensor) -> dict[str, Tensor]:
        # regions are pooled in full precision
        return {name: value.float() for name, value in self.maps_of(images).items()}

    def _regions(
        self,
        images: Tensor,
        maps: dict[str, Tensor],
        targets: list[dict[str, Tensor]] | None,
        given: list[Tensor],
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Regions of each picture, and losses of finding them. given: what `propose` said."""
        if self.rpn is None:
            assert self.propose is not None
            return given or [self.propose(image) for image in images], {}
        from torchvision.models.detection.image_list import ImageList

        sizes = [(images.shape[2], images.shape[3])] * len(images)
        regions, losses = self.rpn(ImageList(images, sizes), maps, targets)
        return regions, losses

    def _losses(
        self,
        images: Tensor,
        maps: dict[str, Tensor],
        boxes: Sequence[Tensor],
        labels: Sequence[Tensor],
        given: Sequence[Tensor] = (),
    ) -> dict[str, Tensor]:
        targets = [
            {"boxes": each.float(), "labels": kind + 1}  # 0 is the background
            for each, kind in zip(boxes, labels, strict=True)
        ]
        sizes = [(images.shape[2], images.shape[3])] * len(images)
        with _mode(self, True):
            regions, losses = self._regions(images, maps, targets, list(given))
            _, of_regions = self.roi_heads(maps, regions, sizes, targets)
        return {
            name.removeprefix("loss_"): value for name, value in {**losses, **of_regions}.items()
        }

    def _found(
        self,
        images: Tensor,
        maps: dict[str, Tensor],
        confidence: float,
        iou: float,
        limit: int,
        given: Sequence[Tensor] = (),
    ) -> list[Seen]:
        heads = self.roi_heads
        heads.score_thresh, heads.nms_thresh, heads.detections_per_img = confidence, iou, limit
        # regions found beforehand are so many that those of a batch would fill the memory
        step = 1 if self.rpn is None else len(images)
        found: list[dict[str, Tensor]] = []
        with _mode(self, False):
            for start in range(0, len(images), step):
                part = slice(start, start + step)
                mine = {name: value[part] for name, value in maps.items()}
                regions, _ = self._regions(images[part], mine, None, list(given[part]))
                sizes = [(images.shape[2], images.shape[3])] * len(regions)
                found += heads(mine, regions, sizes, None)[0]
        return [Seen(each["boxes"], each["scores"], each["labels"] - 1) for each in found]


class RegionPool(nn.Module):
    """Regions read from the map that fits their size, as torchvision's `MultiScaleRoIAlign` does.

    The same numbers; on a CPU the gradient comes by matrix products (see `ops.roi_align`).

    Args:
        names: of the maps that are read, from fine to coarse.
        size: side of what is read, in cells.
        samples: places read in each cell, in each direction.
    """

    def __init__(self, names: Sequence[str], size: int, samples: int = 2) -> None:
        super().__init__()
        self.names = list(names)
        self.output_size = (size, size)  # so named there, where heads ask for it
        self.samples = samples

    def forward(
        self, maps: dict[str, Tensor], boxes: Sequence[Tensor], sizes: Sequence[tuple[int, int]]
    ) -> Tensor:
        """(R, C, size, size) for the R boxes of all pictures.

        boxes  one (P, 4) in pixels of the input for each picture
        sizes  (height, width) of the inputs
        """
        height = max(height for height, _ in sizes)
        levels = [maps[name] for name in self.names]
        scales = [2.0 ** round(math.log2(level.shape[2] / height)) for level in levels]
        found = []
        for row, regions in enumerate(boxes):
            level_of = _levels(regions, scales)
            pooled: Tensor | None = None
            for place, (level, scale) in enumerate(zip(levels, scales, strict=True)):
                chosen = (level_of == place).nonzero()[:, 0]
                part = self._read(level[row], regions[chosen] * scale)
                if pooled is None:
                    pooled = part.new_zeros(len(regions), *part.shape[1:])
                pooled = pooled.index_copy(0, chosen, part)
            assert pooled is not None
            found.append(pooled)
        return torch.cat(found)

    def _read(self, level: Tensor, regions: Tensor) -> Tensor:
        with torch.autocast(level.device.type, enabled=False):
            if level.requires_grad and level.device.type == "cpu":
                return roi_align(level, regions, self.output_size[0], self.samples)
            import torchvision.ops  # a second to import

            found: Tensor = torchvision.ops.roi_align(
                level[None], [regions.to(level)], self.output_size, sampling_ratio=self.samples
            )
        return found


def _levels(regions: Tensor, scales: Sequence[float]) -> Tensor:
    """(P,) which map each region is read from: Lin et al. 2017, equation 1 (https://arxiv.org/abs/1612.03144)."""
    side = ((regions[:, 2] - regions[:, 0]) * (regions[:, 3] - regions[:, 1])).sqrt()
    level = torch.floor(4 + torch.log2(side / 224) + 1e-6)  # 224 pixels belong to stride 16
    finest, coarsest = (-math.log2(scale) for scale in (scales[0], scales[-1]))
    return (level.clamp(finest, coarsest) - finest).long()


class _mode:
    """torchvision's two switching parts in a mode, whatever that of the network is."""

    def __init__(self, detector: RegionDetector, training: bool) -> None:
        self.parts = [each for each in (detector.rpn, detector.roi_heads) if each is not None]
        self.before = [each.training for each in self.parts]
        self.wanted = training

    def __enter__(self) -> None:
        for part in self.parts:
            part.training = self.wanted  # its layers keep their own mode

    def __exit__(self, *_: object) -> None:
        for part, before in zip(self.parts, self.before, strict=True):
            part.training = before


def named_maps(maps: Sequence[Tensor]) -> dict[str, Tensor]:
    """As torchvision's poolers want them: "0", "1" ... from fine to coarse."""
    return {str(place): value for place, value in zip(itertools.count(), maps)}


class Predictor(nn.Module):
    """Scores of the classes and corrections of each one's box, named as torchvision names them."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.cls_score = nn.Linear(width, classes)
        self.bbox_pred = nn.Linear(width, 4 * classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return in_full(self.cls_score, x), in_full(self.bbox_pred, x)


def in_full(layer: nn.Module, x: Tensor) -> Tensor:
    """The layer in full precision whatever the rest computes in: what places boxes needs it."""
    with torch.autocast(x.device.type, enabled=False):
        found: Tensor = layer(x.float())
    return found


def heads(pool: nn.Module, head: nn.Module, width: int, num_classes: int, drawn: int) -> Any:
    """Torchvision's `RoIHeads` with the papers' numbers. drawn: regions of a picture that learn."""
    from torchvision.models.detection.roi_heads import RoIHeads

    return RoIHeads(
        box_roi_pool=pool,
        box_head=head,
        box_predictor=Predictor(width, num_classes + 1),
        fg_iou_thresh=0.5,
        bg_iou_thresh=0.5,
        batch_size_per_image=drawn,
        positive_fraction=0.25,
        bbox_reg_weights=None,
        score_thresh=0.05,
        nms_thresh=0.5,
        detections_per_img=100,
    )
