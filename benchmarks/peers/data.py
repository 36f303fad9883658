"""The same pictures for all: files in class folders, whatever they came from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

import saccade


def export(data: str, folder: Path, *, examples: int, val: int, batch: int, seed: int = 0) -> int:
    """Write train/CLASS and val/CLASS under `folder`; how many training pictures there are.

    examples: of the training part at most, cut to whole batches so that all train on equal ones;
    val: of the other part. Both are drawn by `seed` from all that `data` holds.
    """
    dataset = saccade.open(data, task="classification")
    field = dataset.fields[0].name
    order = np.random.default_rng(seed).permutation(len(dataset.examples))
    kept = min(val, len(order) // 4)
    count = min(examples, len(order) - kept)
    count -= count % batch if count >= batch else 0
    parts = {"val": order[:kept], "train": order[kept : kept + count]}
    for part, rows in parts.items():
        for row in rows.tolist():
            example = dataset.examples[row]
            place = folder / part / str(example.target[field])
            place.mkdir(parents=True, exist_ok=True)
            _write(dataset.source.load(example.key), place / f"{row:06d}")
    return count


def _write(loaded: bytes | np.ndarray, path: Path) -> None:
    if isinstance(loaded, bytes):
        suffix = ".png" if loaded[:4] == b"\x89PNG" else ".jpg"
        path.with_suffix(suffix).write_bytes(loaded)
    else:
        Image.fromarray(loaded).save(path.with_suffix(".png"))
