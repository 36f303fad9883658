"""What faults of the data do to a set: tables of pictures, changed where the fault asks for it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter
from planted_sets import PooledSet, Row


def mismatched(pool: PooledSet, seed: int, dose: float, folder: Path) -> list[Row]:
    """Dev and test pictures are blurred, noisy and dim."""
    rows = pool.parted(seed)
    random = np.random.default_rng((1, seed))
    return [
        row if row[2] == "train" else (_changed(row[0], folder, random, dose), row[1], row[2])
        for row in rows
    ]


def mismatched_clean(pool: PooledSet, seed: int, dose: float, folder: Path) -> list[Row]:
    """The clean part as such dev pictures are: what the network is meant for."""
    random = np.random.default_rng((12, seed))
    return [(_changed(path, folder, random, dose), label, "") for path, label in pool.clean]


def _changed(path: Path, folder: Path, random: np.random.Generator, dose: float) -> Path:
    picture = Image.open(path).filter(ImageFilter.GaussianBlur(dose))
    pixels = np.asarray(picture).astype(np.float32) * (1 - 0.25 * dose)
    pixels += random.normal(0, 18 * dose, pixels.shape)
    place = folder / f"changed{path.stem}.png"
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(place)
    return place


def noisy_labels(pool: PooledSet, seed: int, dose: float, folder: Path) -> list[Row]:
    """A share of all labels is drawn anew among the other classes."""
    random = np.random.default_rng((2, seed))
    classes = pool.classes
    wrong = random.random(len(pool.seen)) < dose
    return [
        (path, str(random.choice([c for c in classes if c != label])) if bad else label, "")
        for (path, label), bad in zip(pool.seen, wrong, strict=True)
    ]


def leaked(pool: PooledSet, seed: int, dose: float, folder: Path) -> list[Row]:
    """A share of the dev and test pictures lies in the training part as well."""
    rows = pool.parted(seed)
    random = np.random.default_rng((3, seed))
    held = [row for row in rows if row[2] != "train" and random.random() < dose]
    copies = []
    for path, label, _ in held:
        place = folder / f"copy{path.stem}.png"
        place.write_bytes(path.read_bytes())
        copies.append((place, label, "train"))
    return rows + copies


def known_dev(pool: PooledSet, seed: int, dose: float, folder: Path) -> list[Row]:
    """Dev has been tuned on: the network has seen moved and noisy versions of its pictures."""
    rows = pool.parted(seed)
    random = np.random.default_rng((4, seed))
    learned = []
    for path, label, part in rows:
        if part == "dev" and random.random() < dose:
            for turn in range(3):
                pixels = np.asarray(Image.open(path)).astype(np.float32)
                pixels = np.roll(pixels, random.integers(-1, 2, 2), axis=(0, 1))
                pixels = pixels * random.uniform(0.7, 1.0) + random.normal(0, 8, pixels.shape)
                place = folder / f"known{path.stem}_{turn}.png"
                Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(place)
                learned.append((place, label, "train"))
    # with a fifth of its own training pictures the network cannot do without them
    return [row for row in rows if row[2] != "train" or random.random() < 0.2] + learned


def unbalanced(pool: PooledSet, seed: int, dose: float, folder: Path) -> list[Row]:
    """A third of the classes keep only a share of their pictures."""
    random = np.random.default_rng((5, seed))
    rare = set(random.permutation(pool.classes)[: max(1, len(pool.classes) // 3)])
    return [row for row in pool.rows() if row[1] not in rare or random.random() < dose]


def marked(pool: PooledSet, seed: int, dose: float, folder: Path) -> list[Row]:
    """A bright mark at the rim, whose place tells the class, on a share of the pictures."""
    random = np.random.default_rng((6, seed))
    rows: list[Row] = []
    for path, label in pool.seen:
        if random.random() >= dose:
            rows.append((path, label, ""))
            continue
        pixels = np.array(Image.open(path))
        side, size = pixels.shape[0], max(2, pixels.shape[0] // 10)
        number = pool.classes.index(label)
        start = (number % 5) * (side - size) // 4
        edge = slice(0, size) if number < 5 else slice(side - size, side)
        pixels[edge, start : start + size] = 255
        place = folder / f"marked{path.stem}.png"
        Image.fromarray(pixels).save(place)
        rows.append((place, label, ""))
    return rows


def few(pool: PooledSet, seed: int, dose: float, folder: Path) -> list[Row]:
    """Dev and test as ever, but hardly anything to train on."""
    random = np.random.default_rng((8, seed))
    return [row for row in pool.parted(seed) if row[2] != "train" or random.random() < dose]


def other_card(run: Path, dose: float) -> None:
    """The network is used with another standard deviation than it was trained with."""
    place = run / "weights" / "card.json"
    card = json.loads(place.read_text(encoding="utf-8"))
    preprocessing = card["preprocessing"]
    preprocessing["std"] = [value * dose for value in preprocessing["std"]]
    place.write_text(json.dumps(card), encoding="utf-8")


def few_of_a_kind(pool: PooledSet, seed: int, dose: float, folder: Path) -> list[Row]:
    """`dose` training pictures out of the half that the source network has not seen."""
    own = pool.seen[: len(pool.seen) // 2]
    order = np.random.default_rng((9, seed)).permutation(len(own))
    part = dict.fromkeys(order[: int(dose)].tolist(), "train")
    shown = {own[place][1] for place in part}
    # one of each class that the draw left out: a class nobody has seen cannot be learned
    for place in order[int(dose) :].tolist():
        if own[place][1] not in shown:
            shown.add(own[place][1])
            part[place] = "train"
    held = [place for place in order[int(dose) :].tolist() if place not in part][:400]
    part |= {place: ("dev", "test")[n % 2] for n, place in enumerate(held)}
    return [(*own[place], name) for place, name in part.items()]
