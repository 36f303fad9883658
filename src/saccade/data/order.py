"""In which order an epoch sees its examples: a pure function of (seed, epoch)."""

from __future__ import annotations

import torch
from torch import Tensor

from saccade.data.uniforms import permutation, uniforms

REPEAT = 1 << 40
"""Added to an example's key for every earlier time the same epoch has drawn it."""


def once(seed: int, epoch: int, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Every row once: (N,) rows in random order, and the keys of their random numbers."""
    drawn = rows[permutation(seed, epoch, len(rows))]
    return drawn, drawn


def repeated(seed: int, epoch: int, rows: Tensor, times: int) -> tuple[Tensor, Tensor]:
    """Every row so many times: rows in random order, and the keys of their random numbers."""
    keys = torch.cat([rows + turn * REPEAT for turn in range(times)])
    chosen = permutation(seed, epoch, len(keys))
    return rows.repeat(times)[chosen], keys[chosen]


def replaced(seed: int, epoch: int, rows: Tensor) -> tuple[Tensor, Tensor]:
    """As many draws as rows, each from all of them: about 63 % of the rows show up in an epoch.

    Returns:
        (N,) rows and (N,) keys of their random numbers: a row drawn again gets another key.
    """
    places = torch.arange(len(rows))
    # an epoch of its own keeps these numbers apart from those of augmentation
    chance = uniforms(seed, -2 - epoch, places, 2).double()
    drawn = ((chance[:, 0] + chance[:, 1] * 2.0**-24) * len(rows)).long()
    order = torch.argsort(drawn, stable=True)
    starts = torch.searchsorted(drawn[order], drawn[order])
    turns = torch.empty_like(drawn)
    turns[order] = places - starts  # how often the epoch drew it before
    return rows[drawn], rows[drawn] + turns * REPEAT


def balanced(seed: int, epoch: int, rows: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """As many draws as labelled rows, every class equally often (but for the remainder).

    A class goes through its rows in a random order, again and again until it has its share; a
    large class shows another part of itself every epoch.

    Args:
        seed: of the run.
        epoch: any integer.
        rows: (N,) int64.
        labels: (N,) int64 classes of these rows, -1 unknown: never drawn.

    Returns:
        (M,) rows and (M,) keys of their random numbers: a row drawn again gets another key.
    """
    rows, labels = rows[labels >= 0], labels[labels >= 0]
    classes = torch.unique(labels)
    if not len(classes):
        return rows, rows
    lucky = permutation(seed, epoch, len(classes))  # who gets the remainder
    share, rest = divmod(len(rows), len(classes))
    drawn, keys = [], []
    for place, label in enumerate(classes.tolist()):
        count = share + int(lucky[place] < rest)
        members = rows[labels == label]
        turns = -(-count // len(members))
        for turn in range(turns):
            order = permutation(seed + turn, epoch, len(members))
            part = members[order][: count - turn * len(members)]
            drawn.append(part)
            keys.append(part + turn * REPEAT)
    mixed = permutation(seed, epoch, len(rows))
    return torch.cat(drawn)[mixed], torch.cat(keys)[mixed]
