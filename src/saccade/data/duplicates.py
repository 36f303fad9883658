"""Finding copies of a picture that were resized or saved again: near-duplicates.

Three steps, each cheap: a 64-bit perceptual hash per picture (made once, when it is read), pairs
of hashes that differ in few bits (found by sorting, not by comparing all with all), and a look at
the two small pictures themselves, which decides.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

SIDE = 32  # pixels of the thumbnail that is hashed
BITS = 64
DISTANCE = 8  # bits in which the hashes of two copies may differ
BLOCKS = DISTANCE + 2  # two of these blocks are equal where at most DISTANCE bits differ
NEIGHBOURS = 64  # values compared with each one of equal blocks: bounds the time on uniform sets
CROWD = 32  # pictures of one hash that are compared all with all
MIN_SIDE = 32  # pixels: smaller pictures of one kind resemble each other without being copies
MIN_DETAIL = 8.0  # standard deviation of grey levels, 0..255; below lie skies and blank pages
LOOK = 16  # pixels of the thumbnails compared: finer ones lose small or blurred copies
SAME = 0.985  # correlation of two copies' thumbnails; single frames of one scene lie below

_BIT_COUNT = np.array([value.bit_count() for value in range(1 << 16)], dtype=np.uint8)


def perceptual_hashes(grey: Tensor) -> np.ndarray:
    """Hash grey pictures so that copies differ in few bits.

    Args:
        grey: (N, H, W) uint8 or float, any size; whole pictures, not augmented.

    Returns:
        (N,) uint64: the signs of the 64 lowest frequencies (without the mean) of a cosine
        transform of the 32 x 32 thumbnail. Brightness and contrast leave them alone.
    """
    thumbnails = _shrink(grey[:, None].float(), SIDE)[:, 0]  # (N, 32, 32)
    basis = _cosines()  # (12, 32)
    spectrum = basis @ thumbnails @ basis.T  # (N, 12, 12)
    across, down = _low_frequencies(len(basis))
    signs = (spectrum[:, across, down] > 0).numpy()  # (N, 64)
    packed: np.ndarray = np.packbits(signs, axis=1).view(">u8")[:, 0].astype(np.uint64)
    return packed


def candidate_pairs(hashes: np.ndarray, distance: int = DISTANCE) -> np.ndarray:
    """All pairs of rows whose hashes differ in at most `distance` bits (up to DISTANCE).

    Args:
        hashes: (N,) uint64.
        distance: bits that may differ.

    Returns:
        (M, 2) int64 rows, first < second, sorted, each pair once. Of a crowd of more than CROWD
        rows with one and the same hash, every row is paired with the next and the first only.
    """
    unique, inverse = np.unique(hashes, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    crowds = np.split(order, np.cumsum(np.bincount(inverse))[:-1]) if len(hashes) else []
    found = [_within(crowd) for crowd in crowds if len(crowd) > 1]
    for first, second in _close_values(unique, distance).tolist():
        found.append(_between(crowds[first], crowds[second]))
    if not found:
        return np.empty((0, 2), dtype=np.int64)
    pairs = np.sort(np.concatenate(found).astype(np.int64), axis=1)
    return np.unique(pairs, axis=0)


def near_duplicates(
    pixels: Tensor, hashes: np.ndarray, searched: np.ndarray | None = None
) -> np.ndarray:
    """Pairs of pictures that are copies of each other but for size, encoding and tone.

    Args:
        pixels: (N, C, H, W) uint8; only rows of candidate pairs are read.
        hashes: (N,) uint64 of `perceptual_hashes`.
        searched: (N,) bool, pictures with enough detail to be judged; None = all.

    Returns:
        (M, 2) int64 rows, first < second, sorted. Exact copies are among them.
    """
    rows = np.arange(len(hashes)) if searched is None else np.flatnonzero(searched)
    pairs = rows[candidate_pairs(hashes[rows])]
    same: np.ndarray = pairs[similarity(pixels, pairs) >= SAME]
    return same


def similarity(pixels: Tensor, pairs: np.ndarray) -> np.ndarray:
    """(M,) correlation, -1..1, of the thumbnails of each pair of rows of (N, C, H, W) pixels."""
    rows, positions = np.unique(pairs, return_inverse=True)
    if not len(rows):
        return np.empty(0, dtype=np.float32)
    looks = torch.cat([_look(pixels[torch.from_numpy(part)]) for part in _parts(rows)])
    first, second = torch.from_numpy(positions.reshape(-1, 2)).unbind(1)
    agreed = [
        (looks[first[i : i + 4096]] * looks[second[i : i + 4096]]).sum(1)
        for i in range(0, len(first), 4096)
    ]
    correlation: np.ndarray = torch.cat(agreed).numpy()
    return correlation


def worth_searching(images: dict[str, np.ndarray]) -> np.ndarray:
    """(N,) bool: pictures large and varied enough that likeness means a copy."""
    side: np.ndarray = np.minimum(images["width"], images["height"]) >= MIN_SIDE
    return side & (np.asarray(images["std"]) >= MIN_DETAIL)


def clusters(pairs: np.ndarray | Sequence[tuple[int, int]], count: int) -> np.ndarray:
    """Join rows linked by pairs: (count,) int64, for each row the lowest row of its cluster."""
    parent = list(range(count))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for first, second in np.asarray(pairs, dtype=np.int64).reshape(-1, 2).tolist():
        low, high = sorted((root(first), root(second)))
        parent[high] = low
    return np.array([root(row) for row in range(count)], dtype=np.int64)


def _shrink(pictures: Tensor, side: int) -> Tensor:
    """(N, C, H, W) -> (N, C, side, side) by averaging areas, or repeating pixels."""
    return functional.adaptive_avg_pool2d(pictures, (side, side))


def _cosines() -> Tensor:
    """The first twelve rows of the cosine transform of length SIDE: (12, 32)."""
    position = (torch.arange(SIDE) + 0.5) * math.pi / SIDE
    return torch.cos(torch.arange(12)[:, None] * position)


def _low_frequencies(count: int) -> tuple[list[int], list[int]]:
    """The BITS pairs of frequencies with the smallest sum, the constant left out."""
    every = sorted(itertools.product(range(count), repeat=2), key=lambda uv: (sum(uv), max(uv), uv))
    chosen = every[1 : BITS + 1]
    return [u for u, _ in chosen], [v for _, v in chosen]


def _look(pictures: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, 256) grey thumbnails with mean 0 and length 1."""
    grey = _shrink(pictures.float(), LOOK).mean(1).flatten(1)
    centred = grey - grey.mean(1, keepdim=True)
    return functional.normalize(centred, dim=1)


def _parts(rows: np.ndarray, size: int = 256) -> list[np.ndarray]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def _within(crowd: np.ndarray) -> np.ndarray:
    if len(crowd) <= CROWD:
        return np.array(list(itertools.combinations(crowd, 2)))
    first = np.full(len(crowd) - 1, crowd[0])
    chain = np.stack([crowd[:-1], crowd[1:]], axis=1)
    return np.concatenate([chain, np.stack([first, crowd[1:]], axis=1)])


def _between(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    few = (first[:4], second[:4])  # the rest of each crowd is linked within it
    return np.array(list(itertools.product(*few)))


def _close_values(values: np.ndarray, distance: int) -> np.ndarray:
    """Pairs of positions in sorted distinct uint64 `values` at most `distance` bits apart.

    Where so few bits differ, at least two of the BLOCKS blocks are equal; so values are sorted by
    every choice of two blocks, and only those that share both are compared.
    """
    edges = np.linspace(0, BITS, BLOCKS + 1).round().astype(int)
    masks = [
        np.uint64(((1 << int(high)) - 1) ^ ((1 << int(low)) - 1))
        for low, high in itertools.pairwise(edges)
    ]
    found = [np.empty((0, 2), dtype=np.int64)]
    for one, other in itertools.combinations(masks, 2):
        found.extend(_equal_keys(values, values & (one | other), distance))
    return np.unique(np.concatenate(found), axis=0)


def _equal_keys(values: np.ndarray, keys: np.ndarray, distance: int) -> list[np.ndarray]:
    """Compare each value with all later ones of the same key, one step further each time."""
    order = np.argsort(keys, kind="stable")
    ranked, sorted_keys = values[order], keys[order]
    starts = np.flatnonzero(np.r_[True, sorted_keys[1:] != sorted_keys[:-1]])
    ends = np.repeat(np.r_[starts[1:], len(keys)], np.diff(np.r_[starts, len(keys)]))
    alive = np.flatnonzero(np.arange(len(keys)) + 1 < ends)
    found, step = [], 1
    while len(alive) and step <= NEIGHBOURS:
        close = _differing_bits(ranked[alive] ^ ranked[alive + step]) <= distance
        hits = alive[close]
        found.append(np.sort(np.stack([order[hits], order[hits + step]], axis=1), axis=1))
        step += 1
        alive = alive[alive + step < ends[alive]]
    return found


def _differing_bits(values: np.ndarray) -> np.ndarray:
    counts: np.ndarray = _BIT_COUNT[values.view(np.uint16).reshape(-1, 4)].sum(1, dtype=np.uint8)
    return counts
