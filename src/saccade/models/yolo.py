"""YOLO: each cell of a grid says whether an object's centre lies in it, where, and of which class.

Redmon et al. 2016, https://arxiv.org/abs/1506.02640 (one object a cell); Redmon & Farhadi 2017,
https://arxiv.org/abs/1612.08242 (anchors, passthrough) and 2018, https://arxiv.org/abs/1804.02767
(several scales). The small detector differs: any backbone, a narrow top-down pyramid, and, unless
the rule "centre" is chosen, several places that learn from each object, complete IoU as the loss
of boxes, and an objectness that learns how well its box fits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from saccade.errors import SaccadeError
from saccade.necks import Deep, Passthrough, Slim
from saccade.ops import boxes as box_ops
from saccade.ops import grid
from saccade.ops.suppression import suppress
from saccade.protocols import Backbone, resolutions

Rule = Literal["centre", "several"]
PRIOR = 0.01
"""First answer of every cell: most hold no object."""


class Found(NamedTuple):
    """Boxes in one input, best first: (M, 4) pixels, (M,) scores, (M,) int64 labels."""

    boxes: Tensor
    scores: Tensor
    labels: Tensor


class Yolo(nn.Module):
    """A backbone, a neck and one answer of 5 + K numbers for each cell and anchor.

    Args:
        backbone: any; its maps of `scales` last resolutions are used.
        neck: made of the channels of these maps.
        num_classes: K.
        anchors: B a scale, k-means of the training boxes; 0 = none, sizes in cell units; or the
            shapes themselves, (width, height) in pixels of the input, B for each scale.
        scales: how many maps.
        rule: "centre" is the notes' one place for each object, with logistic loss for p, squared
            error for the box and cross-entropy for the class; "several" see above.
    """

    def __init__(
        self,
        *,
        backbone: Backbone,
        neck: Callable[[Sequence[int]], nn.Module],
        num_classes: int,
        anchors: int | Sequence[Sequence[float]] = 3,
        scales: int = 3,
        rule: Rule = "several",
    ) -> None:
        super().__init__()
        places = resolutions(backbone)
        count = min(scales, len(places))
        assert isinstance(backbone, nn.Module)
        self.backbone: nn.Module = backbone
        self.used = places[-(max(2, count) if neck is Passthrough else count) :]
        self.neck = neck([backbone.channels[place] for place in self.used])
        self.rule: Rule = rule
        self.num_classes = num_classes
        channels: tuple[int, ...] = self.neck.channels  # type: ignore[assignment]
        given = None if isinstance(anchors, int) else _given(anchors, len(channels))
        self.num_anchors = (
            max(1, anchors) if isinstance(anchors, int) else len(anchors) // len(channels)
        )
        self.strides = tuple(backbone.strides[place] for place in self.used[-len(channels) :])
        self.minimum_size = max(backbone.minimum_size, self.strides[-1])
        self.answers = nn.ModuleList(nn.Conv2d(each, 1, 1) for each in channels)
        cell = torch.tensor(self.strides, dtype=torch.float32)[:, None, None]
        spread = 1.0 if anchors == 0 else 2.0 ** torch.arange(self.num_anchors)[None, :, None]
        self.register_buffer("anchors", cell * spread * torch.ones(1, self.num_anchors, 2))
        if given is not None:
            self.anchors.copy_(given)
        self.learns_anchors = given is None and anchors != 0
        self.new_head(num_classes)

    anchors: Tensor

    @property
    def trunk(self) -> Backbone:
        return cast(Backbone, self.backbone)

    def new_head(self, num_classes: int) -> None:
        """Fresh answers for other classes."""
        self.num_classes = num_classes
        for index, old in enumerate(self.answers):
            assert isinstance(old, nn.Conv2d)
            new = nn.Conv2d(old.in_channels, self.num_anchors * (5 + num_classes), 1)
            nn.init.normal_(new.weight, std=0.01)
            assert new.bias is not None
            first = new.bias.detach().view(self.num_anchors, -1)
            first.zero_()
            first[:, 4] = math.log(PRIOR / (1 - PRIOR))
            self.answers[index] = new.to(old.weight)

    def fit_anchors(self, sizes: Tensor) -> None:
        """Take anchors from (M, 2) widths and heights of training boxes, in input pixels."""
        if self.learns_anchors and len(sizes):
            found = box_ops.best_shapes(sizes.cpu(), self.anchors.shape[0] * self.num_anchors)
            self.anchors.copy_(found.view_as(self.anchors))

    def places(self, boxes: Sequence[Tensor], size: tuple[int, int]) -> grid.Grid:
        """Of an input of (height, width), with these boxes of pictures on it."""
        grids = [(-(-size[0] // stride), -(-size[1] // stride)) for stride in self.strides]
        shapes = [[(width, height) for width, height in each.tolist()] for each in self.anchors]
        count = sum(len(each) for each in boxes)
        if not count:
            return grid.Grid(grids, shapes)
        shared = grid.collisions(boxes, self.anchors.cpu(), self.strides, grids)
        return grid.Grid(grids, shapes, count, *shared)

    def tell(self, boxes: Sequence[Tensor], size: tuple[int, int]) -> list[str]:
        """The grids, the anchors, and how many objects find their place taken."""
        told = self.places(boxes, size).sentences()
        if self.rule == "several":
            told[1:] = [line + " (the rule several lets neighbours answer)" for line in told[1:]]
            shapes = torch.cat([each[:, 2:] - each[:, :2] for each in boxes]) if boxes else None
            lost = 0 if shapes is None else grid.unlike(shapes.cpu(), self.anchors.cpu())
            if lost:
                told.append(
                    f"{lost} objects are over {grid.RATIO:g} times as wide or high as any anchor, "
                    "or as any is as they, and are not learnt; give --set model.anchors"
                )
        return told

    def forward(self, images: Tensor) -> list[Tensor]:
        """(N, C, H, W) -> a raw map (N, B, rows, columns, 5 + K) for each scale, fine to coarse.

        The five are x, y, w, h and objectness, before their sigmoids and exponentials.
        """
        found = self.trunk.maps(images)
        maps = self.neck([found[place] for place in self.used])
        raw = []
        for answer, x in zip(self.answers, maps, strict=True):
            y = answer(x)
            n, _, rows, columns = y.shape
            y = y.view(n, self.num_anchors, 5 + self.num_classes, rows, columns)
            raw.append(y.permute(0, 1, 3, 4, 2).float())
        return raw

    def training_loss(
        self, images: Tensor, boxes: Sequence[Tensor], labels: Sequence[Tensor]
    ) -> dict[str, Tensor]:
        """Parts of the loss, each (N,).

        boxes: (M, 4) pixels of the input for each picture; labels: (M,) int64.
        """
        return self.loss_of(self(images), boxes, labels)

    def loss_of(
        self, raw: list[Tensor], boxes: Sequence[Tensor], labels: Sequence[Tensor]
    ) -> dict[str, Tensor]:
        """`training_loss` of what the network answered."""
        assign = grid.by_centre if self.rule == "centre" else grid.several
        sizes = [(each.shape[2], each.shape[3]) for each in raw]
        given = assign(grid.flatten(boxes, labels), self.anchors, self.strides, sizes)
        images = len(boxes)
        box, kind = raw[0].new_zeros(images), raw[0].new_zeros(images)
        there, count = raw[0].new_zeros(images), raw[0].new_zeros(images)
        for scale, (answers, each) in enumerate(zip(raw, given, strict=True)):
            mine = answers[each.image, each.anchor, each.row, each.column]  # (P, 5 + K)
            errors, fit = self._box_errors(mine, each, scale)
            box = box.index_add(0, each.image, errors)
            kind = kind.index_add(0, each.image, self._class_errors(mine[:, 5:], each.labels))
            target = torch.zeros_like(answers[..., 4])
            target[each.image, each.anchor, each.row, each.column] = fit
            wrong = F.binary_cross_entropy_with_logits(answers[..., 4], target, reduction="none")
            there = there + wrong.sum((1, 2, 3))
            count = count.index_add(0, each.image, torch.ones_like(fit))
        # a batch's mean is that over its places, so that pictures with many objects weigh more
        places = count.mean().clamp(min=1.0)
        weight = 5.0
        return {"box": weight * box / places, "object": there / places, "class": kind / places}

    def _box_errors(self, mine: Tensor, each: grid.Answers, scale: int) -> tuple[Tensor, Tensor]:
        """(P,) error of each box, and what its objectness should say."""
        anchors = self.anchors[scale][each.anchor]
        corner = torch.stack([each.column, each.row], 1) * self.strides[scale]
        if self.rule == "centre":
            centres = box_ops.to_centres(each.boxes)
            wanted = torch.cat(
                [(centres[:, :2] - corner) / self.strides[scale], centres[:, 2:] / anchors], 1
            )
            ours = torch.cat([mine[:, :2].sigmoid(), mine[:, 2:4].clamp(max=6).exp()], 1)
            return (ours - wanted).square().sum(1), torch.ones_like(mine[:, 0])
        predicted = self._place(mine[:, :4], corner, anchors, self.strides[scale])
        overlap = box_ops.complete_iou(predicted, each.boxes)
        return 1 - overlap, overlap.detach().clamp(min=0)

    def _class_errors(self, logits: Tensor, labels: Tensor) -> Tensor:
        if self.rule == "centre":
            return F.cross_entropy(logits, labels, reduction="none")
        wanted = F.one_hot(labels, self.num_classes).to(logits)
        return F.binary_cross_entropy_with_logits(logits, wanted, reduction="none").sum(1)

    def _place(self, raw: Tensor, corner: Tensor, anchors: Tensor, stride: int) -> Tensor:
        """Raw x, y, w, h (..., 4) at cells with this corner -> boxes (..., 4)."""
        if self.rule == "centre":
            centre = corner + stride * raw[..., :2].sigmoid()
            size = anchors * raw[..., 2:].clamp(max=6).exp()
        else:
            # half a cell beyond its edges; sizes from nothing to four times the anchor
            centre = corner + stride * (2 * raw[..., :2].sigmoid() - 0.5)
            size = anchors * (2 * raw[..., 2:].sigmoid()).square()
        return box_ops.to_corners(torch.cat([centre, size], -1))

    def decode(self, raw: list[Tensor]) -> tuple[Tensor, Tensor]:
        """All boxes (N, M, 4) in pixels, and scores (N, M, K): p times that of the class."""
        boxes, scores = [], []
        for scale, answers in enumerate(raw):
            stride, size = self.strides[scale], (answers.shape[2], answers.shape[3])
            corner = grid.corners_of_cells(size, stride, answers)
            anchors = self.anchors[scale][:, None, None]
            boxes.append(self._place(answers[..., :4], corner, anchors, stride).flatten(1, 3))
            logits = answers[..., 5:]
            of_class = logits.softmax(-1) if self.rule == "centre" else logits.sigmoid()
            scores.append((answers[..., 4:5].sigmoid() * of_class).flatten(1, 3))
        return torch.cat(boxes, 1), torch.cat(scores, 1)

    def judge(
        self,
        images: Tensor,
        boxes: Sequence[Tensor],
        labels: Sequence[Tensor],
        *,
        confidence: float = 0.01,
        iou: float = 0.6,
        limit: int = 100,
    ) -> tuple[Tensor, list[Found]]:
        """The loss of each picture, and `detect`, from one pass."""
        raw = self(images)
        parts = self.loss_of(raw, boxes, labels)
        found = self.found(raw, images.shape[2:], confidence, iou, limit)
        return torch.stack(list(parts.values())).sum(0), found

    def detect(
        self, images: Tensor, *, confidence: float = 0.01, iou: float = 0.6, limit: int = 100
    ) -> list[Found]:
        """What is seen in each input: boxes of its pixels, without duplicates in a class."""
        return self.found(self(images), images.shape[2:], confidence, iou, limit)

    def found(
        self, raw: list[Tensor], size: Sequence[int], confidence: float, iou: float, limit: int
    ) -> list[Found]:
        """`detect` of what the network answered on inputs of this height and width."""
        results = []
        for boxes, scores in zip(*self.decode(raw), strict=True):
            best, rows, labels = box_ops.candidates(scores, confidence, MOST_CANDIDATES)
            inside = box_ops.clip(boxes[rows], size[0], size[1])
            kept = suppress(inside, best, labels, threshold=iou, limit=limit)
            results.append(Found(inside[kept], best[kept], labels[kept]))
        return results


def _given(shapes: Sequence[Sequence[float]], scales: int) -> Tensor:
    """Shapes as anchors (scales, B, 2), the smallest on the finest map."""
    if not shapes or len(shapes) % scales:
        raise SaccadeError(
            f"model.anchors: {len(shapes)} shapes for {scales} scales; expected as many for each "
            f"scale, {scales} or {2 * scales} or ... (model.scales chooses how many scales)",
            name="bad-setting",
        )
    sizes = torch.tensor([[float(width), float(height)] for width, height in shapes])
    return sizes[sizes.prod(1).argsort(stable=True)].view(scales, -1, 2)


MOST_CANDIDATES = 3000
"""Of one picture, before suppression."""


def slim(channels: Sequence[int]) -> nn.Module:
    """The small detector's neck: as wide as the finest map asks for, 64 to 128."""
    return Slim(channels, width=min(128, max(64, channels[0] // 8 * 8)))


NECKS: dict[str, Callable[[Sequence[int]], nn.Module]] = {
    "yolo": slim,
    "yolov2": Passthrough,
    "yolov3": Deep,
}


def build(
    name: str,
    *,
    backbone: Backbone,
    num_classes: int = 80,
    anchors: int | Sequence[Sequence[float]] | None = None,
    scales: int | None = None,
    rule: str | None = None,
) -> Yolo:
    """yolo, yolov2 or yolov3 on a backbone."""
    usual = {"yolo": (3, 3, "several"), "yolov2": (5, 1, "centre"), "yolov3": (3, 3, "centre")}
    count, maps, way = usual[name]
    chosen = rule or way
    if chosen not in ("centre", "several"):
        raise SaccadeError(
            f"model.rule is {chosen!r}; expected centre or several", name="bad-setting"
        )
    return Yolo(
        backbone=backbone,
        neck=NECKS[name],
        num_classes=num_classes,
        anchors=count if anchors is None else anchors,
        scales=scales or maps,
        rule="centre" if chosen == "centre" else "several",
    )
