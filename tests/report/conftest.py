"""Run folders as training leaves them, written without training."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from saccade.tasks.measures import per_class
from saccade.training.run import RunFolder
from saccade.types import Field, ModelCard, Preprocessing

CARD = ModelCard(
    task="classification",
    fields=(Field(name="label", kind="label", classes=("a", "b")),),
    model="resnet18",
    arguments={},
    preprocessing=Preprocessing(
        height=28, width=28, channels=1, fit="crop", mean=(0.5,), std=(0.3,)
    ),
)


def measure(value: float, n: int = 200) -> dict[str, float]:
    return {"value": value, "low": max(0, value - 0.05), "high": min(1, value + 0.03), "n": n}


def jpeg(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (28, 28), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


def write_start(run: RunFolder, card: ModelCard, names: list[str], epochs: int) -> None:
    """What is there before the first epoch is over, and the epochs."""
    run.write_args(
        {
            "task": card.task,
            "data": {"imgsz": [28, 28], "mean": [0.5], "fit": "crop"},
            "model": {"name": card.model},
            "train": {"epochs": epochs, "seed": 0},
            "run": {"data": "my photos", "saccade": "0.1.0"},
        }
    )
    run.write_environment()
    examples = [
        {"key": f"{name}/{i}.png", "target": {"label": name}, "part": part}
        for name in names
        for i, part in enumerate(["train"] * 6 + ["dev"] * 2 + ["test"] * 2)
    ]
    run.write_json(run.data, {"examples": examples})
    run.write_table(
        run.images,
        {
            "key": [e["key"] for e in examples],
            "split": [e["part"] for e in examples],
            "width": [28] * len(examples),
            "height": [28] * len(examples),
            "mode": ["L"] * len(examples),
        },
    )
    run.say("digits: 120 train, 40 dev")


def write_results(run: RunFolder, main: str, epochs: int, best: float) -> None:
    rows: list[dict[str, Any]] = [
        {
            "epoch": epoch,
            "train/loss": 2.2 * 0.8**epoch,
            f"train/{main}": best + 0.01 - 0.5 * 0.7**epoch,
            f"metrics/{main}": best - 0.5 * 0.7**epoch if epoch < epochs else best,
            "val/loss": 2.3 * 0.82**epoch + 0.05,
            "lr/pg0": 0.1 * (1 - epoch / (epochs + 1)),
        }
        for epoch in range(1, epochs + 1)
    ]
    run.write_results(rows)


def write_pictures(run: RunFolder, count: int) -> None:
    run.write_table(
        run.thumbnails("dev"),
        {
            "index": list(range(count)),
            "key": [f"{i}.png" for i in range(count)],
            "jpeg": [jpeg(i) for i in range(count)],
        },
    )


@pytest.fixture
def classified(tmp_path: Path) -> Callable[..., RunFolder]:
    """A finished run that classifies: `classified(names, epochs=12, each=20)`."""

    def make(names: list[str], *, epochs: int = 12, each: int = 20, sure: float = 0.4) -> RunFolder:
        run = RunFolder(tmp_path / "runs" / "classification" / "train")
        size = len(names)
        field = Field(name="label", kind="label", classes=tuple(names))
        card = replace(
            CARD, fields=(field,), metrics={"accuracy": measure(0.9), "f1": measure(0.88)}
        )
        write_start(run, card, names, epochs)
        write_results(run, "accuracy", epochs, 0.9)
        run.write_card(card)
        random = np.random.default_rng(0)
        truth = np.repeat(np.arange(size), each)
        chances = random.dirichlet(np.ones(size), len(truth)) + sure * np.eye(size)[truth]
        chances /= chances.sum(1, keepdims=True)
        guess = chances.argmax(1)
        confusion = np.zeros((size, size), int)
        np.add.at(confusion, (truth, guess), 1)
        hits = confusion.diagonal()
        run.write_json(
            run.details,
            {
                "dev": {
                    "classes": names,
                    "confusion": confusion.tolist(),
                    "per_class": per_class(
                        tuple(names), hits, confusion.sum(0) - hits, each - hits
                    ),
                }
            },
        )
        run.write_table(
            run.predictions("dev"),
            {
                "index": np.arange(len(truth)),
                "key": [f"{names[t]}/{i}.png" for i, t in enumerate(truth)],
                "target": [names[t] for t in truth],
                "loss": -np.log(chances[np.arange(len(truth)), truth]),
                "error": (truth != guess).astype(np.float32),
                "probabilities": chances.tolist(),
                "label": [names[g] for g in guess],
                "score": chances.max(1),
                "embedding": [[0.0, 1.0]] * len(truth),
            },
        )
        write_pictures(run, len(truth))
        Image.new("RGB", (200, 120), "teal").save(run.root / "train_batch0.jpg")
        run.say("Finished after 12 s.")
        return run

    return make


@pytest.fixture
def regressed(tmp_path: Path) -> RunFolder:
    """A finished run with two targets, one value missing."""
    run = RunFolder(tmp_path / "runs" / "regression" / "train")
    names = ("age", "height")
    card = replace(
        CARD,
        task="regression",
        fields=(Field(name="values", kind="values", classes=names),),
        metrics={"r2": measure(0.8), "mae": {"value": 3.2, "low": 2.8, "high": 3.7, "n": 60}},
    )
    write_start(run, card, [], 5)
    write_results(run, "r2", 5, 0.8)
    run.write_card(card)
    random = np.random.default_rng(1)
    truth = random.normal([40, 170], [15, 9], (60, 2))
    guess = truth + random.normal(0, [4, 3], (60, 2))
    targets = [list(row) for row in truth.tolist()]
    targets[0][1] = None
    per_target = {name: {"mae": measure(0.5), "rmse": measure(0.6)} for name in names}
    run.write_json(run.details, {"dev": {"targets": list(names), "per_target": per_target}})
    run.write_table(
        run.predictions("dev"),
        {
            "index": np.arange(60),
            "key": [f"{i}.png" for i in range(60)],
            "target": [json.dumps(row) for row in targets],
            "loss": np.abs(guess - truth).sum(1),
            "error": np.abs(guess - truth).sum(1),
            "values": guess.tolist(),
        },
    )
    write_pictures(run, 60)
    return run


@pytest.fixture
def tagged(tmp_path: Path) -> RunFolder:
    """A finished multi-label run with thresholds, one test look and one empty class."""
    run = RunFolder(tmp_path / "runs" / "multilabel" / "train")
    names = ["dog", "cat", "car"]
    card = replace(
        CARD,
        task="multilabel",
        fields=(Field(name="labels", kind="labels", classes=tuple(names)),),
        decision={"thresholds": [0.3, 0.55, 0.5]},
        metrics={"map": measure(0.7), "f1": measure(0.6)},
    )
    write_start(run, card, names, 4)
    write_results(run, "map", 4, 0.7)
    run.write_card(card)
    rows: dict[str, Any] = {
        name: {
            "examples": 12,
            **{key: measure(0.6, 12) for key in ("precision", "recall", "f1")},
            "average_precision": 0.65,
        }
        for name in names
    }
    nothing = {"value": None, "low": None, "high": None, "n": 0}
    rows["car"] = {
        "examples": 0,
        **dict.fromkeys(("precision", "recall", "f1"), nothing),
        "average_precision": None,
    }
    run.write_json(run.details, {"dev": {"classes": names, "per_class": rows}})
    random = np.random.default_rng(2)
    chances = random.random((30, 3))
    run.write_table(
        run.predictions("dev"),
        {
            "index": np.arange(30),
            "key": [f"{i}.png" for i in range(30)],
            "target": [json.dumps(["dog"] if i % 2 else []) for i in range(30)],
            "loss": random.random(30),
            "error": random.random(30),
            "probabilities": chances.tolist(),
            "labels": [[n for n, p in zip(names, row, strict=True) if p > 0.5] for row in chances],
        },
    )
    write_pictures(run, 30)
    look = {"when": "2026-01-01T00:00:00+00:00", "metrics": {"map": measure(0.66)}}
    run.write_json(run.looks, [look, look])
    return run
