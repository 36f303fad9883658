"""Segmentation with default settings on two small sets, and a plain U-Net loop of the same minutes.

    python benchmarks/pixels.py ../shared/data [--sets isbi nuclei heart] [--record]

isbi    slices 0 to 23 of the ISBI 2012 membranes are learnt, 24 to 29, a contiguous block, are
        judged. The plain loop is the U-Net of the tutorials: padded, float32, two whole slices a
        step, flips, Adam, cross-entropy; once as wide as published (31 million parameters, 1e-4),
        once a quarter as wide (1e-3), which suits a CPU. Of all, the best epoch counts.
nuclei  the 80 pictures of DSB 2018 as they lie; our own dev part is judged.
heart   one drawn picture learnt by heart, as examples/upsampling/one_picture.py does.

Intersection over union is counted here, from predicted masks of the pictures' own size.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from results import Figure, add_option, exit_code, record, show
from torch import Tensor, nn
from torch.nn import functional as F

import saccade

PIXELS, NUCLEI, SECONDS = 0.92, 0.80, 900
HEART, HEART_STEPS = 0.97, 120
HELD_OUT = range(24, 30)
WIDTHS = ((64, 1e-4), (16, 1e-3))


def scores(guesses: list[np.ndarray], truths: list[np.ndarray], of: int) -> tuple[float, float]:
    """Share of right pixels, and intersection over union of class `of`, over all pictures."""
    guess = np.concatenate([each.ravel() for each in guesses])
    truth = np.concatenate([each.ravel() for each in truths])
    both = np.sum((guess == of) & (truth == of))
    either = np.sum((guess == of) | (truth == of))
    return float(np.mean(guess == truth)), float(both / either)


def predicted(run: saccade.Trained, files: list[Path]) -> list[np.ndarray]:
    return [each.result.mask.numpy() for each in run.predict(files)]


def membranes(data: Path, folder: Path) -> list[Figure]:
    """Train and val folders of copies; our defaults; then the plain loop for as many seconds."""
    for number in range(30):
        part = "val" if number in HELD_OUT else "train"
        for kind in ("image", "label"):
            to = folder / "isbi" / part / kind
            to.mkdir(parents=True, exist_ok=True)
            shutil.copy(data / kind / f"{number}.png", to)
    began = time.perf_counter()
    run = saccade.train(folder / "isbi", project=folder / "runs", name="isbi")
    seconds = time.perf_counter() - began
    files = [data / "image" / f"{number}.png" for number in HELD_OUT]
    truths = [read(data / "label" / f"{number}.png") > 127 for number in HELD_OUT]
    right, membrane = scores([mask > 0 for mask in predicted(run, files)], truths, of=False)
    plain = [PlainLoop(data, width, rate).best(seconds, truths) for width, rate in WIDTHS]
    best = max(membrane for _, membrane, _ in plain)
    told = ", ".join(f"{iou:.4f} ({epochs} epochs)" for _, iou, epochs in plain)
    return [
        Figure("isbi: pixel accuracy", f"{right:.4f}", f">= {PIXELS}", right >= PIXELS),
        Figure("isbi: training, s", f"{seconds:.0f}", f"<= {SECONDS}", seconds <= SECONDS),
        Figure("isbi: membrane IoU", f"{membrane:.4f}", ">= plain loop", membrane >= best),
        Figure("isbi: plain loops in as many seconds, wide and narrow", told),
        Figure("isbi: their pixel accuracy", ", ".join(f"{right:.4f}" for right, _, _ in plain)),
    ]


def nuclei(data: Path, folder: Path) -> list[Figure]:
    began = time.perf_counter()
    run = saccade.train(data, task="segmentation", project=folder / "runs", name="nuclei")
    seconds = time.perf_counter() - began
    value = run.val("dev").measures["iou_foreground"].value
    return [
        Figure("nuclei: foreground IoU", f"{value:.4f}", f">= {NUCLEI}", value >= NUCLEI),
        Figure("nuclei: training, s", f"{seconds:.0f}", f"<= {SECONDS}", seconds <= SECONDS),
    ]


def by_heart(data: Path, folder: Path) -> list[Figure]:
    """Mean IoU of each network beside what its stride allows; `data` and `folder` are not used."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples" / "upsampling"))
    import one_picture

    figures = []
    for name, options in one_picture.NETWORKS.items():
        found = one_picture.by_heart(name, HEART_STEPS, **options)
        most = one_picture.allowed(one_picture.STRIDES[name])
        goal = HEART if one_picture.STRIDES[name] == 1 else most - 0.05
        figures.append(
            Figure(
                f"by heart: {name}, stride allows {most:.3f}",
                f"{found:.3f}",
                f">= {goal:.2f}",
                found >= goal,
            )
        )
    return figures


def read(file: Path) -> np.ndarray:
    return np.asarray(Image.open(file).convert("L"))


class PlainLoop:
    """What a tutorial would have written; pictures and masks lie in memory."""

    def __init__(self, data: Path, width: int, rate: float) -> None:
        torch.manual_seed(0)
        images = np.stack([read(data / "image" / f"{number}.png") for number in range(30)])
        labels = np.stack([read(data / "label" / f"{number}.png") for number in range(30)])
        self.images = torch.from_numpy(images)[:, None].float() / 255
        self.labels = torch.from_numpy(labels > 127).long()
        self.network = PlainUNet(width)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=rate)

    def best(self, seconds: float, truths: list[np.ndarray]) -> tuple[float, float, int]:
        """The held-out slices after the best epoch: pixel accuracy, membrane IoU; epochs in all."""
        reached: list[tuple[float, float]] = []
        left = seconds
        while left > 0:
            began = time.perf_counter()
            self.epoch()
            left -= time.perf_counter() - began
            reached.append(scores(self.masks(), truths, of=False))
            print(f"plain loop: {reached[-1]}, {left:.0f} s left", file=sys.stderr, flush=True)
        right, membrane = max(reached, key=lambda pair: pair[1])
        return right, membrane, len(reached)

    def epoch(self) -> None:
        self.network.train()
        for chosen in torch.randperm(HELD_OUT.start).split(2):
            x, y = self.images[chosen], self.labels[chosen]
            for axis in (-1, -2):
                if torch.rand(()) < 0.5:
                    x, y = x.flip(axis), y.flip(axis)
            self.optimizer.zero_grad()
            F.cross_entropy(self.network(x), y).backward()
            self.optimizer.step()

    def masks(self) -> list[np.ndarray]:
        self.network.eval()
        with torch.inference_mode():
            return [
                self.network(self.images[number, None]).argmax(1)[0].bool().numpy()
                for number in HELD_OUT
            ]


class PlainUNet(nn.Module):
    """Four poolings, `width` to 16 times as many channels, padded convolutions with batch norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        widths = [width << doubled for doubled in range(5)]
        self.down = nn.ModuleList(
            two_convolutions(a, b) for a, b in zip((1, *widths), widths, strict=False)
        )
        self.enlarge = nn.ModuleList(
            nn.ConvTranspose2d(2 * each, each, 2, stride=2) for each in widths[-2::-1]
        )
        self.up = nn.ModuleList(two_convolutions(2 * each, each) for each in widths[-2::-1])
        self.last = nn.Conv2d(width, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 1, H, W), both multiples of 16 -> logits (N, 2, H, W)."""
        passed: list[Tensor] = []
        for place, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if place else x)
            passed.append(x)
        passed.pop()
        for enlarge, block in zip(self.enlarge, self.up, strict=True):
            x = block(torch.cat([passed.pop(), enlarge(x)], 1))
        answer: Tensor = self.last(x)
        return answer


def two_convolutions(inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        layers += [nn.Conv2d(channels, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers)


SETS = {
    "isbi": ("isbi-membrane", membranes),
    "nuclei": ("nuclei-dsb2018", nuclei),
    "heart": (".", by_heart),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path, help="folder of isbi-membrane and nuclei-dsb2018")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    add_option(parser)
    given = parser.parse_args()
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        for each in given.sets:
            name, measure = SETS[each]
            figures += measure(given.data / name, Path(folder))
    print(show(figures))
    if given.record:
        note = f"Load of the machine at the end: {os.getloadavg()[2]:.1f} (15 minutes)."
        record("Pixels: " + ", ".join(given.sets), figures, note=note)
    return exit_code(figures)


if __name__ == "__main__":
    raise SystemExit(main())
