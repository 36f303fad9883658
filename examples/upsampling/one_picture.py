"""How finely a network can answer: one picture learnt by heart, with coarse and fine strides.

    python examples/upsampling/one_picture.py [--steps 120]

FCN-32s decides once every 32 pixels and draws straight lines between, so its edges stay rough
however long it learns; 16s and 8s add finer maps. SegNet and U-Net answer pixel by pixel. Beside
each figure stands what its stride allows: answers fitted to the mask itself, one for every stride.
The picture is drawn: discs and bars on noise.
"""

from __future__ import annotations

import argparse
import sys

import torch
from torch import Tensor, nn
from torch.nn import functional

from saccade.models import catalog
from saccade.ops import mask_scores, pixels
from saccade.tasks.segmentation import SegmentationTask
from saccade.types import Batch, Field

CLASSES = ("ground", "disc", "bar")
STRIDES = {"fcn32s": 32, "fcn16s": 16, "fcn8s": 8, "segnet": 1, "unet_small": 1}
NETWORKS: dict[str, dict[str, object]] = {
    "fcn32s": {"hidden": 256, "dropout": 0.0},
    "fcn16s": {"hidden": 256, "dropout": 0.0},
    "fcn8s": {"hidden": 256, "dropout": 0.0},
    "segnet": {},
    "unet_small": {},
}


def scene(side: int = 160) -> tuple[Tensor, Tensor]:
    """Inputs (1, 3, side, side) and mask (1, side, side)."""
    generator = torch.Generator().manual_seed(0)
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    mask = torch.zeros(side, side, dtype=torch.int64)
    for at_y, at_x, radius in ((40, 45, 26), (110, 60, 17), (70, 120, 21), (135, 130, 12)):
        mask[(y - at_y) ** 2 + (x - at_x) ** 2 < radius**2] = 1
    mask[(y > 12) & (y < 22) & (x > 80)] = 2
    mask[(x > 90) & (x < 101) & (y > 95)] = 2
    colours = torch.tensor([[0.0, 0, 0], [1.0, -0.5, 0.3], [-0.6, 0.8, 1.0]])
    clean = colours[mask].permute(2, 0, 1)
    inputs = clean + 0.4 * torch.randn(3, side, side, generator=generator)
    return inputs[None], mask[None]


def by_heart(name: str, steps: int, side: int = 160, **options: object) -> float:
    """Mean IoU on the one picture after learning it, with the batch statistics of training."""
    torch.manual_seed(0)
    inputs, mask = scene(side)
    task = SegmentationTask(fields=(Field(name="mask", kind="mask", classes=CLASSES),))
    backbone = catalog.create(name, in_channels=3, **options)  # type: ignore[arg-type]
    network: nn.Module = task.build(backbone).train()
    batch = Batch(inputs=inputs, targets={"mask": mask}, indices=torch.arange(1))
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad(set_to_none=True)
        torch.stack(list(task.loss(network, batch).values())).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        guess = network.segment(inputs).argmax(1)  # type: ignore[operator]
    counts = pixels.counts(guess, mask, len(CLASSES)).flatten().double().numpy()
    return float(mask_scores.mean_iou(counts))


def allowed(stride: int, side: int = 160, steps: int = 300) -> float:
    """Mean IoU of answers every `stride` pixels, enlarged bilinearly: fitted, without a network."""
    mask = scene(side)[1]
    answers = torch.zeros(1, len(CLASSES), side // stride, side // stride, requires_grad=True)
    optimizer = torch.optim.Adam([answers], lr=0.3)
    for _ in range(steps):
        optimizer.zero_grad(set_to_none=True)
        drawn = functional.interpolate(answers, size=(side, side), mode="bilinear")
        functional.cross_entropy(drawn, mask).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    counts = pixels.counts(drawn.argmax(1), mask, len(CLASSES)).flatten().double().numpy()
    return float(mask_scores.mean_iou(counts))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=120)
    given = parser.parse_args()
    for name, options in NETWORKS.items():
        found, most = by_heart(name, given.steps, **options), allowed(STRIDES[name])
        print(f"{name:<12} {found:.3f}   its stride allows about {most:.3f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
