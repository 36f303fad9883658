"""Run folders with chosen errors, written as training writes them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from saccade.training.run import RunFolder

NAMES = ("a", "b", "c")

RECIPE: dict[str, Any] = {
    "task": "classification",
    "data": {"imgsz": [8, 8], "channels": 1, "fraction": 1.0, "mean": [0.5], "std": [0.25]},
    "augment": {"shift": 0.1, "scale": [0.9, 1.1], "erase": 0.0},
    "model": {"name": "airbench_small"},
    "optimizer": {"name": "sgd", "lr0": 0.05, "weight_decay": 5e-4, "schedule": "linear"},
    "loss": {"label_smoothing": 0.1},
    "train": {"epochs": 10, "batch": 32, "patience": 10, "seed": 0},
    "run": {"data": "my photos"},
}


def write_run(
    root: Path,
    errors: dict[str, np.ndarray],
    *,
    recipe: dict[str, Any] | None = None,
    groups: dict[str, Sequence[str]] | None = None,
    seed: int = 0,
) -> RunFolder:
    """A finished run. errors: part -> (n,) of 0 and 1; everything else is unsuspicious."""
    run = RunFolder(root)
    root.mkdir(parents=True, exist_ok=True)
    run.write_args(recipe or RECIPE)
    examples, images, start = [], [], 0
    for part, wrong in errors.items():
        rows = scored(wrong, start, seed)
        start += len(wrong)
        run.write_table(run.predictions(part), rows)
        run.write_table(run.thumbnails(part), thumbnails(rows, seed))
        for place, key in enumerate(rows["key"]):
            entry = {"key": key, "part": part, "target": {"label": rows["target"][place]}}
            if groups:
                entry["group"] = groups[part][place]
            examples.append(entry)
            images.append((key, part))
    parts = {part: len(wrong) for part, wrong in errors.items()}
    fields = [{"name": "label", "kind": "label", "classes": list(NAMES)}]
    manifest = {"root": "my photos", "parts": parts, "fields": fields, "examples": examples}
    run.write_json(run.data, manifest)
    run.write_table(run.images, facts(images, seed))
    run.write_results(curves())
    run.log.write_text("Finished after 3 s.\n", encoding="utf-8")
    return run


def scored(wrong: np.ndarray, start: int, seed: int) -> dict[str, Any]:
    """Predictions of classes in turn; wrong ones are less confident, as they are in life."""
    random = np.random.default_rng((seed, start))
    count = len(wrong)
    target = np.arange(count) % len(NAMES)
    guess = np.where(wrong > 0, (target + 1) % len(NAMES), target)
    sure = np.where(wrong > 0, random.uniform(0.4, 0.6, count), random.uniform(0.6, 0.95, count))
    probabilities = np.repeat((1 - sure)[:, None] / 2, len(NAMES), axis=1)
    probabilities[np.arange(count), guess] = sure
    return {
        "index": np.arange(start, start + count),
        "key": [f"{start + number}.png" for number in range(count)],
        "target": [NAMES[number] for number in target],
        "loss": -np.log(probabilities[np.arange(count), target]),
        "error": wrong.astype(np.float32),
        "label": [NAMES[number] for number in guess],
        "score": sure,
        "probabilities": probabilities.tolist(),
        "embedding": list(
            (random.normal(0, 1, (count, 12)) + np.eye(3, 12)[guess] * 4).astype(np.float16)
        ),
    }


def thumbnails(rows: dict[str, Any], seed: int) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    jpegs = []
    for _ in range(16):
        file = io.BytesIO()
        Image.fromarray(random.integers(0, 256, (8, 8), dtype=np.uint8)).save(file, "JPEG")
        jpegs.append(file.getvalue())
    cycled = [jpegs[number % len(jpegs)] for number in range(len(rows["index"]))]
    return {"index": rows["index"], "key": rows["key"], "jpeg": cycled}


def facts(images: Sequence[tuple[str, str]], seed: int) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    count = len(images)
    return {
        "key": [key for key, _ in images],
        "split": [part for _, part in images],
        "sha256": [f"{number:064x}" for number in range(count)],
        "pixel_hash": [f"{number:032x}" for number in range(count)],
        "width": np.full(count, 8),
        "height": np.full(count, 8),
        "mode": ["L"] * count,
        "format": ["PNG"] * count,
        "mean": random.normal(127, 20, count).astype(np.float32),
        "std": random.normal(64, 5, count).astype(np.float32),
        "sharpness": random.normal(500, 50, count).astype(np.float32),
        "phash": random.integers(0, 2**63, count).astype(np.uint64),
    }


def curves(epochs: int = 10, top: float = 1.1) -> list[dict[str, float]]:
    """Losses that fall and flatten, a rate that ends at nothing."""
    return [
        {
            "epoch": epoch,
            "train/loss": top * 0.7**epoch + 0.3,
            "train/accuracy": 1 - 0.6 * 0.6**epoch,
            "metrics/accuracy": 1 - 0.6 * 0.6**epoch,
            "val/loss": top * 0.7**epoch + 0.4,
            "lr/pg0": 0.05 * (1 - epoch / epochs),
        }
        for epoch in range(1, epochs + 1)
    ]


def share(count: int, wrong: float, seed: int = 0) -> np.ndarray:
    """(count,) zeros and ones, `wrong` of them ones."""
    values = np.zeros(count, dtype=np.float32)
    values[: round(count * wrong)] = 1
    return np.random.default_rng(seed).permutation(values)
