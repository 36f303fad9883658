"""One small picture with objects, for detectors to learn by heart."""

from __future__ import annotations

import torch
from torch import Tensor

from saccade.ops import average_precision as ap
from saccade.tasks.detection_scores import gather, gather_found
from saccade.types import Detections

BOXES = torch.tensor([[8.0, 10, 40, 44], [50, 52, 90, 84], [54, 8, 74, 34]])
LABELS = torch.tensor([0, 1, 0])
CLASSES = ("square", "disc")


def picture(side: int = 96) -> Tensor:
    """(1, 3, side, side) noise with three plain areas."""
    made = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0)) * 0.4
    for (x1, y1, x2, y2), label in zip(BOXES.int().tolist(), LABELS.tolist(), strict=True):
        made[0, label, y1:y2, x1:x2] += 1.5
    return made


def learn(detector, *, steps: int, rate: float = 2e-3) -> list[float]:
    """Train on the one picture; the loss after each step."""
    torch.manual_seed(0)
    detector.new_head(len(CLASSES))
    detector.fit_anchors(BOXES[:, 2:] - BOXES[:, :2])
    detector.train()
    optimizer = torch.optim.Adam(detector.parameters(), lr=rate)
    images, losses = picture(), []
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, 2 * (1 - step / steps))
        parts = detector.training_loss(images, [BOXES], [LABELS])
        loss = sum(part.sum() for part in parts.values())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(detector.parameters(), 5.0)
        optimizer.step()
        losses.append(float(loss.detach()))
    detector.eval()
    return losses


@torch.no_grad()
def map50(detector) -> float:
    """mAP at IoU 0.5 on the one picture."""
    found = detector.detect(picture(), confidence=0.01, iou=0.6, limit=100)[0]
    return map50_of(
        Detections(classes=CLASSES, boxes=found.boxes, scores=found.scores, labels=found.labels)
    )


def map50_of(found: Detections) -> float:
    """mAP at IoU 0.5 of what was found on the one picture."""
    matches = ap.match(gather_found([found]), gather([BOXES], [LABELS]))
    return ap.mean(ap.curves(matches, len(CLASSES))[0, 0])
