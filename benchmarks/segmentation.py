"""A U-Net over the same encoder, trained on the same crops for the same steps, beside a peer's.

    python benchmarks/segmentation.py ../shared/data/isbi-membrane [--steps 150]

Both begin at random, see the same augmented crops in the same order and minimise cross-entropy and
Dice with AdamW and a falling rate. The peer is segmentation-models-pytorch in an environment of its
own: as its examples train it, and tuned (channels last, bfloat16). Blocks of steps take turns. Mean
IoU is that of the last weights on whole dev pictures.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from results import Figure, add_option, exit_code, record, show

from saccade.data.open import open_dataset
from saccade.experiment.defaults import Facts, complete
from saccade.experiment.prepare import Prepared, Reporter, make_batches, prepare_data
from saccade.models import catalog
from saccade.ops import mask_scores
from saccade.recipe import Recipe, make_recipe
from saccade.tasks.segmentation import SegmentationTask
from saccade.training.device import choose
from saccade.training.loop import sum_parts
from saccade.types import Batch

sys.path.insert(0, str(Path(__file__).parent / "peers"))
from environments import default_cache, python_of
from protocol import Contestant

BLOCK = 10
NOISE = 0.01
"""Of the mean IoU of two trainings that differ in their seed alone."""


def crops_of(data: str, batch: int, steps: int) -> tuple[dict[str, np.ndarray], Any]:
    """What both see: training crops step by step, whole dev pictures; and the task."""
    recipe = make_recipe({"task": "segmentation", "batch": batch, "data.views": 1000})
    prepared = prepare_data(open_dataset(data, task="segmentation"), recipe, reporter=Reporter())
    recipe = _complete(recipe, prepared)
    hardware = choose("cpu", "fp32")
    train = make_batches(prepared, prepared.rows("train"), recipe, hardware, train=True)
    dev = make_batches(prepared, prepared.rows("dev"), recipe, hardware, train=False)
    task = SegmentationTask(fields=prepared.dataset.fields)
    shown = [batch for batch, _ in zip(train.epoch(0), range(steps), strict=False)]
    whole = next(dev.epoch(0))
    return {
        "train_x": np.stack([each.inputs.contiguous().numpy() for each in shown]),
        "train_y": np.stack([each.targets[task.field_name].numpy() for each in shown]),
        "dev_x": whole.inputs.contiguous().numpy(),
        "dev_y": whole.targets[task.field_name].numpy(),
    }, task


def _complete(recipe: Recipe, prepared: Prepared) -> Recipe:
    rows = prepared.rows("train")
    mean, std = prepared.statistics(rows)
    ingested = prepared.ingested
    facts = Facts(
        task="segmentation",
        examples=len(rows),
        height=ingested.height,
        width=ingested.width,
        channels=ingested.channels,
        fit=ingested.fit,
        mean=mean,
        std=std,
        hardware=choose("cpu", "fp32"),
        mask_classes=len(prepared.dataset.fields[0].classes),
    )
    return complete(recipe, facts)


class Ours:
    """The same steps with our network, loss and defaults of the hardware."""

    def __init__(self, crops: dict[str, np.ndarray], task: SegmentationTask, threads: int) -> None:
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        self.crops, self.task, self.hardware = crops, task, choose("cpu", None)
        network = catalog.create("unet", backbone="resnet18", in_channels=crops["train_x"].shape[2])
        self.network = self.hardware.place(task.build(network))
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=2e-3, weight_decay=0.01)
        steps = len(crops["train_x"])
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, steps)
        self.step = 0

    def block(self) -> float:
        self.network.train()
        began = time.perf_counter()
        for _ in range(min(BLOCK, len(self.crops["train_x"]) - self.step)):
            x = torch.from_numpy(self.crops["train_x"][self.step])
            batch = Batch(
                inputs=x.contiguous(memory_format=self.hardware.memory_format),
                targets={self.task.field_name: torch.from_numpy(self.crops["train_y"][self.step])},
                indices=torch.arange(len(x)),
            )
            with self.hardware.autocast():
                parts = self.task.loss(self.network, batch)
            self.optimizer.zero_grad(set_to_none=True)
            sum_parts(parts, len(batch)).mean().backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            self.schedule.step()
            self.step += 1
        return time.perf_counter() - began

    def guesses(self) -> list[list[int]]:
        self.network.eval()
        x, y = (torch.from_numpy(self.crops[f"dev_{name}"]) for name in "xy")
        with torch.inference_mode():
            found = torch.cat([self.network(one[None]).argmax(1) for one in x])  # type: ignore[operator]
        known = y >= 0
        guess, truth = found[known], y[known]
        parts = (guess[guess == truth], guess, truth)
        return [torch.bincount(part, minlength=len(self.task.classes)).tolist() for part in parts]


def iou_of(counts: list[list[int]]) -> float:
    return float(mask_scores.mean_iou(np.array(counts, dtype=float).flatten()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data")
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    add_option(parser)
    given = parser.parse_args()
    crops, task = crops_of(given.data, given.batch, given.steps)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "crops.npz"
        np.savez(file, **crops)
        python = str(python_of("smp", default_cache()))
        loop = str(Path(__file__).parent / "peers" / "smp_loop.py")
        peers = {
            form: Contestant(
                form,
                [python, loop, str(file), str(given.threads), form],
                workers=None,
                environment={"OMP_NUM_THREADS": str(given.threads)},
                log=Path(folder) / f"{form}.log",
            )
            for form in ("plain", "tuned")
        }
        ours = Ours(crops, task, given.threads)
        seconds: dict[str, list[float]] = {"ours": [], "plain": [], "tuned": []}
        for _ in range(-(-given.steps // BLOCK)):
            seconds["ours"].append(ours.block())
            for form, peer in peers.items():
                seconds[form].append(float(peer.ask("block")))
        scores = {"ours": iou_of(ours.guesses())}
        for form, peer in peers.items():
            scores[form] = iou_of(peer.ask("guesses"))
            peer.close()
    figures = figures_of(seconds, scores, given.batch)
    print(show(figures))
    if given.record:
        note = f"{given.threads} threads, {given.steps} steps of {given.batch} crops"
        record("Segmentation", figures, note=note)
    return exit_code(figures)


def figures_of(
    seconds: dict[str, list[float]], scores: dict[str, float], batch: int
) -> list[Figure]:
    figures = []
    for form in ("plain", "tuned"):
        ratios = [b / a for a, b in zip(seconds["ours"][1:], seconds[form][1:], strict=True)]
        ratio = statistics.median(ratios)
        told = f"{ratio:.2f}x ({min(ratios):.2f} to {max(ratios):.2f})"
        goal = (">= 1.0x", ratio >= 1) if form == "plain" else ("-", None)
        figures.append(Figure(f"training steps, times smp {form}", told, *goal))
    rates = ", ".join(
        f"{name} {batch * BLOCK / statistics.median(values):.2f}"
        for name, values in seconds.items()
    )
    figures.append(Figure("crops per second", rates))
    best = max(scores["plain"], scores["tuned"])
    told = ", ".join(f"{name} {value:.4f}" for name, value in scores.items())
    met = scores["ours"] >= best - NOISE
    figures.append(Figure("mean IoU on dev", told, f">= best smp - {NOISE}", met))
    return figures


if __name__ == "__main__":
    sys.exit(main())
