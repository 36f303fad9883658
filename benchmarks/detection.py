"""Detection beside its peers: suppression, average precision, training and prediction.

    python benchmarks/detection.py [--parts suppression precision networks] [--record]
    python benchmarks/detection.py --parts families --data ../shared/data/raccoon [--weights FILE]

Suppression against torchvision's `batched_nms` on the same boxes, scores and threshold: both are
asked for the best 300 boxes that stay, and must keep the same. Average precision from the boxes to
the numbers, end to end: pycocotools and faster-coco-eval start from lists in memory (their records
are built within the time, since a user has boxes, not records). Networks: Faster R-CNN with
ResNet-50-FPN, ours and torchvision's own, the same batch in turns. Families: R-CNN, Fast R-CNN,
Faster R-CNN and YOLO on one backbone, each trained alike on DATA and scored on its test part, and
the time of one picture, in turns. Boxes that R-CNN and Fast R-CNN begin from are found anew for
every picture, also while training, as in use.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from results import Figure, add_option, exit_code, record, show

from saccade.ops import average_precision as ap
from saccade.ops.suppression import suppress

Runs = dict[str, Callable[[], Any]]


def in_turns(runs: Runs, rounds: int) -> dict[str, list[float]]:
    """Seconds of each contestant, A B C A B C; the first round warms up."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            began = time.perf_counter()
            run()
            if number:
                times[name].append(time.perf_counter() - began)
    return times


def ratio(times: dict[str, list[float]], slow: str, fast: str) -> float:
    """Median over the rounds of how many times faster."""
    return statistics.median(a / b for a, b in zip(times[slow], times[fast], strict=True))


def many_boxes(count: int, classes: int, clustered: bool) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(count, 2, generator=generator) * 600
    size = torch.rand(count, 2, generator=generator) * 150 + 5
    labels = torch.randint(classes, (count,), generator=generator)
    if clustered:  # 100 objects, each found some 84 times
        chosen = torch.randint(100, (count,), generator=generator)
        corner = corner[chosen] + torch.randn(count, 2, generator=generator) * 4
        size, labels = size[chosen], labels[chosen]
    return torch.cat([corner, corner + size], 1), torch.rand(count, generator=generator), labels


def suppressions() -> list[Figure]:
    from torchvision.ops import batched_nms

    figures = []
    for name, clustered in (("random", False), ("clustered", True)):
        found = many_boxes(8400, 80, clustered)
        assert torch.equal(suppress(*found), batched_nms(*found, 0.5)[:300])
        times = in_turns(
            {
                "ours": lambda found=found: suppress(*found),
                "theirs": lambda found=found: batched_nms(*found, 0.5)[:300],
            },
            rounds=50,
        )
        ours, theirs = (1000 * min(times[each]) for each in ("ours", "theirs"))
        gain = ratio(times, "theirs", "ours")
        figures += [
            Figure(f"8,400 {name} boxes, 80 classes: ms", f"{ours:.2f}", "<= 2", ours <= 2),
            Figure(
                f"8,400 {name} boxes: times batched_nms ({theirs:.1f} ms)",
                f"{gain:.1f}",
                ">= 4",
                gain >= 4,
            ),
        ]
    return figures


def scored_boxes(pictures: int, each: int, classes: int) -> tuple[ap.Objects, ap.Objects]:
    """`each` detections a picture, a third as many objects, most of them found."""
    random = np.random.default_rng(0)
    count = pictures * (each // 3)
    low = random.random((count, 2)) * 400
    true = ap.Objects(
        pictures=np.repeat(np.arange(pictures), each // 3),
        labels=random.integers(0, classes, count),
        boxes=np.concatenate([low, low + random.random((count, 2)) * 150 + 2], 1).round(1),
    )
    copies = np.repeat(np.arange(count), 3)
    moved = (true.boxes[copies] + random.normal(0, 4, (len(copies), 4))).round(1)
    moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + 1)
    found = ap.Objects(
        pictures=true.pictures[copies],
        labels=true.labels[copies],
        boxes=moved,
        scores=random.random(len(copies)),
    )
    return found, true


def evaluated(kind: Any, found: ap.Objects, true: ap.Objects) -> float:
    """mAP by an evaluator of COCO records. kind: its (COCO, COCOeval)."""
    make, judge = kind

    def sides(each: ap.Objects) -> list[list[float]]:
        return np.concatenate(
            [each.boxes[:, :2], each.boxes[:, 2:] - each.boxes[:, :2]], 1
        ).tolist()

    with contextlib.redirect_stdout(io.StringIO()):
        data = make()
        data.dataset = {
            "info": {},
            "images": [{"id": index} for index in np.unique(true.pictures).tolist()],
            "categories": [{"id": index, "name": str(index)} for index in range(20)],
            "annotations": [
                {
                    "id": row + 1,
                    "image_id": picture,
                    "category_id": label,
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": 0,
                }
                for row, (picture, label, box) in enumerate(
                    zip(true.pictures.tolist(), true.labels.tolist(), sides(true), strict=True)
                )
            ],
        }
        data.createIndex()
        assert found.scores is not None
        columns = (found.pictures.tolist(), found.labels.tolist(), sides(found))
        rows = [
            {"image_id": picture, "category_id": label, "bbox": box, "score": score}
            for picture, label, box, score in zip(*columns, found.scores.tolist(), strict=True)
        ]
        evaluation = judge(data, data.loadRes(rows), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0])


def precision() -> list[Figure]:
    import faster_coco_eval
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    found, true = scored_boxes(500, 100, 20)
    answers: dict[str, float] = {}

    def ours() -> None:
        answers["ours"] = ap.mean(ap.curves(ap.match(found, true), 20)[:, 0])

    def other(name: str, kind: Any) -> Callable[[], None]:
        def run() -> None:
            answers[name] = evaluated(kind, found, true)

        return run

    fast = (faster_coco_eval.COCO, faster_coco_eval.COCOeval_faster)
    runs = {
        "ours": ours,
        "pycocotools": other("pycocotools", (COCO, COCOeval)),
        "faster-coco-eval": other("faster-coco-eval", fast),
    }
    times = in_turns(runs, rounds=3)
    assert abs(answers["ours"] - answers["pycocotools"]) < 1e-9
    figures = [
        Figure(
            "average precision, 500 pictures x 99 boxes, 20 classes: s", f"{min(times['ours']):.3f}"
        )
    ]
    for name, goal in (("pycocotools", 8.0), ("faster-coco-eval", 1.5)):
        gain = ratio(times, name, "ours")
        figures.append(
            Figure(
                f"times {name} ({min(times[name]):.2f} s)",
                f"{gain:.1f}",
                f">= {goal:g}",
                gain >= goal,
            )
        )
    return figures


def networks(side: int) -> list[Figure]:
    """Faster R-CNN on ResNet-50-FPN: one training step and one prediction, ours and theirs."""
    from torchvision.models.detection import fasterrcnn_resnet50_fpn

    from saccade.models import catalog, faster_rcnn

    torch.manual_seed(0)
    theirs = fasterrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, min_size=side, max_size=side
    )
    ours = catalog.network("faster_rcnn", num_classes=90)
    ours.load_state_dict(faster_rcnn.from_torchvision(theirs.state_dict()))
    ours = ours.to(memory_format=torch.channels_last)
    images = torch.rand(2, 3, side, side)
    batch = images.to(memory_format=torch.channels_last)
    boxes = torch.tensor([[20.0, 20, 100, 120], [90, 40, 150, 90]])
    labels = torch.tensor([0, 1])
    targets = [{"boxes": boxes, "labels": labels + 1}] * 2

    def step(parts: dict[str, torch.Tensor]) -> None:
        torch.stack(list(parts.values())).sum().backward()

    def train_ours() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            parts = ours.training_loss(batch, [boxes] * 2, [labels] * 2)
        step(parts)

    runs: Runs = {"ours": train_ours, "theirs": lambda: step(theirs(list(images), targets))}
    ours.train(), theirs.train()
    training = in_turns(runs, rounds=3)
    ours.eval(), theirs.eval()

    def use_ours() -> None:
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
            ours.detect(batch[:1])

    def use_theirs() -> None:
        with torch.inference_mode():
            theirs([images[0]])

    use = in_turns({"ours": use_ours, "theirs": use_theirs}, rounds=5)
    return [
        Figure(
            f"Faster R-CNN, ResNet-50-FPN, {side} pixels: training, pictures/s",
            f"{2 / min(training['ours']):.2f} (torchvision {2 / min(training['theirs']):.2f})",
        ),
        Figure(
            "the same: prediction of one picture, ms",
            f"{1000 * min(use['ours']):.0f} (torchvision {1000 * min(use['theirs']):.0f})",
        ),
    ]


FAMILIES = ("rcnn", "fast_rcnn", "faster_rcnn", "yolo")


def families(
    names: list[str], data: Path, backbone: str, side: int, epochs: int, weights: str
) -> list[Figure]:
    """Speed and mAP side by side: what looking at every region again costs and gains."""
    import saccade
    from saccade.predict import Predictor

    figures: list[Figure] = []
    predictors: dict[str, Predictor] = {}
    dataset = saccade.open(str(data), task="detection")
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            began = time.perf_counter()
            trained = saccade.train(
                dataset,
                task="detection",
                project=folder,
                name=name,
                model=name,
                backbone=backbone,
                weights=weights,
                imgsz=side,
                epochs=epochs,
                batch=4,
                settings={"train.health": False},
            )
            seconds = time.perf_counter() - began
            score = trained.val("test").measures["map50"]
            figures.append(
                Figure(
                    f"{name}: map50 on test ({score.low:.3f} to {score.high:.3f}), training",
                    f"{score.value:.3f}, {seconds:.0f} s",
                )
            )
            print(figures[-1], flush=True)
            predictors[name] = trained.predictor
    keys = [example.key for example in dataset.examples[:5]]
    paths = [str(Path(dataset.root) / key) for key in keys]
    runs: Runs = {name: lambda made=made: made(paths, batch=1) for name, made in predictors.items()}
    times = in_turns(runs, rounds=3)
    for name in names:
        each = 1000 * min(times[name]) / len(paths)
        gain = ratio(times, name, names[-1])
        what = f"{name}: one picture, ms (times {names[-1]})"
        figures.append(Figure(what, f"{each:.0f} ({gain:.1f})"))
    return figures


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    every = ["suppression", "precision", "networks"]
    parser.add_argument("--parts", nargs="+", choices=[*every, "families"], default=every)
    parser.add_argument("--side", type=int, default=320, help="of the networks' input")
    parser.add_argument("--data", type=Path, help="of the families: boxes, with a test part")
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=FAMILIES)
    parser.add_argument("--backbone", default="resnet18", help="of the families")
    parser.add_argument("--weights", default="none", help="of the families' backbone")
    parser.add_argument("--epochs", type=int, default=20, help="of the families")
    add_option(parser)
    chosen = parser.parse_args(arguments)
    if "families" in chosen.parts and chosen.data is None:
        parser.error("--parts families needs --data")
    load = os.getloadavg()[0]
    parts: dict[str, Callable[[], list[Figure]]] = {
        "suppression": suppressions,
        "precision": precision,
        "networks": lambda: networks(chosen.side),
        "families": lambda: families(
            list(chosen.families),
            chosen.data,
            chosen.backbone,
            chosen.side,
            chosen.epochs,
            chosen.weights,
        ),
    }
    figures = [figure for name in chosen.parts for figure in parts[name]()]
    print(show(figures))
    if chosen.record:
        threads = torch.get_num_threads()
        note = f"{threads} threads, load average {load:.1f} at the start"
        record("Detection: " + ", ".join(chosen.parts), figures, note=note)
    return exit_code(figures)


if __name__ == "__main__":
    raise SystemExit(main())
