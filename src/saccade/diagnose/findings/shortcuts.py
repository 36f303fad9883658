"""Shortcuts: a rim, a mark or a size that gives the class away without the thing itself."""

from __future__ import annotations

import math

import numpy as np

from saccade.diagnose import commands, signals
from saccade.diagnose.evidence import SIDE
from saccade.types import Evidence, Finding

RIM = 4
"""Pixels of the 32 that count as the rim: where marks stand and things do not."""

BLOCK = 4
"""Pixels of the rim that are looked at together."""

MOST = 2.0
"""Margin beyond which hardly anything is left of a picture."""

GREY = {"1", "L", "LA", "I", "I;16", "F"}
"""Pillow's names of pictures without colours."""

LEAST_ROWS = 80

TELLS = 0.2
"""Share of pictures that one place gives away, over all classes; unmarked things: next to none."""

PURE = 0.95
"""Of the pictures that a place calls a class, this many must be of it."""

ODDS = 15.0
"""And the odds of that, at the lower end of its interval, over those of guessing the class."""


def shortcut(evidence: Evidence) -> Finding | None:
    """Some place at the rim, or the size and kind of the file, that gives the class away."""
    for where, table in (("size and kind of the file", _facts), ("rim of the picture", _rims)):
        rows = [table(evidence, part) for part in ("train", "dev")]
        if any(found is None for found in rows):
            continue
        (places, labels), (new, truth) = rows  # type: ignore[misc]
        if min(len(labels), len(truth)) < LEAST_ROWS:
            continue
        told, best = given_away(places, labels, new, truth)
        share = float(np.mean(list(told.values())))
        if share < TELLS:
            continue
        return Finding(
            name="shortcut",
            severity="error",
            message=f"the {where} alone gives away the class of {signals.percent(share)} of the "
            "pictures: the network need not look at the thing itself.",
            evidence={
                "given_away": share,
                "where": where,
                "by_class": told,
                "examples": len(truth),
                "places": {} if table is _facts else {name: _frame(n) for name, n in best.items()},
            },
            knob="what the pictures show",
            goal="work in use",
            command=commands.retrain(evidence, *_hidden(evidence, table is _rims, best)),
            expected_gain=0.5 * share,
        )
    return None


def _hidden(evidence: Evidence, rim: bool, best: dict[str, int]) -> list[str]:
    """Settings that hide what gives classes away, and as little else as that takes.

    Of a rim: a network judged by the middle of pictures, and trained on windows all over them, has
    to do without what stands at one side.
    """
    if rim:
        before = float(commands.of_recipe(evidence, "data.margin", 1.0))
        margin = before * SIDE / (SIDE - 2 * _depth(evidence))
        return [commands.setting("data.margin", math.ceil(100 * min(margin, MOST)) / 100)]
    modes = set(evidence.images["mode"].astype(str).tolist())
    told = any(FACTS[place][0] == "mode" for place in best.values())
    if told and modes & GREY and modes - GREY:
        values = (("channels", 1), ("mean", None), ("std", None))
        return [commands.setting(f"data.{name}", value) for name, value in values]
    return [commands.setting("augment.scale", [0.25, 1.0])]


def _depth(evidence: Evidence) -> int:
    """Pixels of the rim, counted from outside, behind which no place gives classes away."""
    for depth in range(1, RIM):
        rows = [_rims(evidence, part, depth) for part in ("train", "dev")]
        (places, labels), (new, truth) = rows  # type: ignore[misc]
        told, _ = given_away(places, labels, new, truth)
        if float(np.mean(list(told.values()))) < TELLS / 4:
            return depth
    return RIM


def given_away(
    places: np.ndarray, labels: np.ndarray, new: np.ndarray, truth: np.ndarray
) -> tuple[dict[str, float], dict[str, int]]:
    """Class -> share of its new pictures that the best single place names, and hardly others.

    And class -> that place, where there is one.

    places, new: (n, places, features). One shallow tree looks at one place; what it finds on the
    training pictures has to hold on the new ones.
    """
    from sklearn.tree import DecisionTreeClassifier

    best = dict.fromkeys(np.unique(truth.astype(str)).tolist(), 0.0)
    where: dict[str, int] = {}
    for place in range(places.shape[1]):
        tree = DecisionTreeClassifier(max_leaf_nodes=2 * len(best) + 2, min_samples_leaf=5)
        tree.fit(places[:, place], labels.astype(str))
        answer = tree.predict_proba(new[:, place])
        for column, name in enumerate(tree.classes_):
            # leaves that are pure in training alone: the rest of a tree's answers is guessing
            named = answer[:, column] >= PURE
            own = truth == name
            if not _gives_away(own, named):
                continue
            if (share := float(named[own].mean())) > best.get(name, 0.0):
                best[name], where[name] = share, place
    return best, where


def _gives_away(own: np.ndarray, named: np.ndarray) -> bool:
    """own: (n,) of the class;  named: (n,) called it. Beyond what few pictures show by chance."""
    found = signals.share(int(own[named].sum()), int(named.sum()))
    if found.n < 3 or found.value < PURE:
        return False
    guessed = own.mean() / max(1 - own.mean(), 1e-9)
    return bool(found.low > ODDS * guessed * (1 - found.low))


def _frame(place: int) -> tuple[float, float, float, float]:
    """Left, top, width and height, in percent of the picture, of a block with its neighbours."""
    count = SIDE // BLOCK
    turn, block = divmod(place, count)
    rim = np.zeros((SIDE, SIDE), dtype=bool)
    # the blocks of a side lie in the picture turned so often, as they were taken out of it
    rim[:RIM, max(0, block - 1) * BLOCK : (block + 2) * BLOCK] = True
    ys, xs = np.nonzero(np.rot90(rim, -turn))
    left, top = float(xs.min()), float(ys.min())
    size = (float(xs.max()) + 1 - left, float(ys.max()) + 1 - top)
    return (100 * left / SIDE, 100 * top / SIDE, 100 * size[0] / SIDE, 100 * size[1] / SIDE)


def _rims(evidence: Evidence, part: str, depth: int = 0) -> tuple[np.ndarray, np.ndarray] | None:
    """(n, places, 12) mean colour and brightest point of blocks at the rim, and class names.

    depth: pixels of the rim that are not looked at, counted from outside.
    """
    shown = evidence.thumbnails.get(part, {})
    rows = evidence.predictions.get(part, {})
    if not len(shown.get("index", ())) or len(signals.labels(evidence, part)) == 0:
        return None
    place = {index: number for number, index in enumerate(rows["index"].tolist())}
    chosen = [place[index] for index in shown["index"].tolist()]
    pixels = shown["pixels"].astype(np.float32)  # (n, 32, 32, 3)
    turned = [np.rot90(pixels, turn, axes=(1, 2))[:, depth:RIM] for turn in range(4)]
    sides = np.stack(turned, axis=1)  # (n, 4, RIM - depth, 32, 3)
    count = sides.shape[3] // BLOCK
    blocks = sides.reshape(len(pixels), 4, -1, count, BLOCK, 3).transpose(0, 1, 3, 2, 4, 5)
    blocks = blocks.reshape(len(pixels), 4 * count, -1, 3)
    features = np.concatenate([blocks.mean(axis=2), blocks.max(axis=(2, 3))[..., None]], axis=2)
    # a mark may lie across blocks, so each is seen with its neighbours around the rim
    around = [np.roll(features, turn, axis=1) for turn in (-1, 0, 1)]
    return np.concatenate(around, axis=2), np.asarray(rows["target"][chosen], dtype=object)


FACTS = (("width", "height"), ("mode",), ("format",))
"""Facts of a file that are looked at together."""


def _facts(evidence: Evidence, part: str) -> tuple[np.ndarray, np.ndarray] | None:
    """(n, 3, 2) size, mode and format of the file as numbers, and class names."""
    images, rows = evidence.images, evidence.predictions.get(part, {})
    if not len(images.get("key", ())) or len(signals.labels(evidence, part)) == 0:
        return None
    numbers = {"width": images["width"], "height": images["height"]}
    for name in ("mode", "format"):
        numbers[name] = np.unique(images[name].astype(str), return_inverse=True)[1]
    pairs = [np.stack([numbers[names[0]], numbers[names[-1]]], axis=1) for names in FACTS]
    table = np.stack(pairs, axis=1)[rows["index"]]
    if (table == table[0]).all():
        return None
    return table.astype(np.float32), np.asarray(rows["target"], dtype=object)
