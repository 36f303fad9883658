"""Dealing units of examples out to parts: classes in proportion, units whole, shares met."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from saccade.data.strata import BIN
from saccade.types import Split

SPREAD = 3  # examples from which on a class belongs into every part
ROUNDS = 4  # passes over the classes that miss a part; one is nearly always enough


@dataclass(frozen=True, kw_only=True)
class Deal:
    """part: (N,) str; missing: examples of classes that a part lacks; num_units: dealt."""

    part: np.ndarray
    missing: dict[str, int]
    num_units: int


def deal(
    keys: Sequence[str],
    unit: np.ndarray,
    tags: Sequence[tuple[str, ...]],
    shares: Mapping[Split, float],
    seed: int,
) -> Deal:
    """Deal examples out to the parts of `shares`.

    Args:
        keys: N names; with the seed they decide, whatever the order of the examples.
        unit: (N,) examples with the same number stay together.
        tags: classes of each example.
        shares: part -> share, train first, sum 1.
        seed: of the random order.

    Classes of at least three examples come to lie in every part where their units allow it; the
    examples of rarer classes stay in train.
    """
    table = _Table(keys, unit, tags, shares, seed)
    table.keep_rare()
    table.place_large()
    table.fill_up()
    table.repair()
    table.occupy()
    names = np.array(list(shares), dtype="<U5")
    part = names[table.place[table.of]] if len(keys) else names[:0]
    return Deal(part=part, missing=table.missing(), num_units=len(table.size))


class _Table:
    """The units on the table, and how much of each class lies in each part.

    of      (N,) unit of each example;  size: (U,) examples of each unit;  rank: (U,) random order
    held    per unit its classes -> examples;  place: (U,) part of each unit, -1 = not yet dealt
    total   (K,) examples of each class, the last one counting all;  lying: (K, P) those dealt
    spread  (K, P) units of each class in each part
    """

    def __init__(
        self,
        keys: Sequence[str],
        unit: np.ndarray,
        tags: Sequence[tuple[str, ...]],
        shares: Mapping[Split, float],
        seed: int,
    ) -> None:
        _, self.of = np.unique(unit, return_inverse=True)
        count = int(self.of.max()) + 1 if len(keys) else 0
        self.share = np.array(list(shares.values()))
        self.size = np.bincount(self.of, minlength=count)
        self.rank = _ranks(keys, self.of, count, seed)
        self.names = sorted({name for own in tags for name in own})
        number = {name: k for k, name in enumerate(self.names)}
        self.held: list[dict[int, int]] = [{} for _ in range(count)]
        for row, own in zip(self.of.tolist(), tags, strict=True):
            for name in own:
                k = number[name]
                self.held[row][k] = self.held[row].get(k, 0) + 1
        every = len(self.names)
        self.members: dict[int, list[int]] = defaultdict(list)
        self.total = np.zeros(every + 1, dtype=np.int64)
        for u, held in enumerate(self.held):
            for k, n in held.items():
                self.total[k] += n
                self.members[k].append(u)
            held[every] = int(self.size[u])
        self.total[every] = len(keys)
        self.place = np.full(count, -1)
        self.lying = np.zeros((every + 1, len(shares)), dtype=np.int64)
        self.spread = np.zeros_like(self.lying)
        wanted = self.total[:, None] * self.share
        self.wanted = np.maximum(wanted, 1e-9)

    def put(self, u: int, p: int) -> None:
        """Deal unit u to part p, or move it there."""
        old = int(self.place[u])
        for k, n in self.held[u].items():
            if old >= 0:
                self.lying[k, old] -= n
                self.spread[k, old] -= 1
            self.lying[k, p] += n
            self.spread[k, p] += 1
        self.place[u] = p

    def cost(self, u: int) -> np.ndarray:
        """(P,) growth of the chi-square distance to the wanted counts if u were added to each."""
        classes = np.fromiter(self.held[u], dtype=np.int64)
        n = np.fromiter(self.held[u].values(), dtype=np.int64)[:, None]
        now, wanted = self.lying[classes], self.wanted[classes]
        growth: np.ndarray = ((2 * n * (now - wanted) + n * n) / wanted).sum(0)
        return growth

    def keep_rare(self) -> None:
        """All of a class with fewer than three examples stays in train."""
        for k in range(len(self.names)):
            if self.total[k] < SPREAD:
                for u in self.members[k]:
                    if self.place[u] < 0:
                        self.put(u, 0)

    def place_large(self) -> None:
        """Units of several examples or classes, largest first, then rarest class first."""
        open_units = [
            u
            for u in np.flatnonzero(self.place < 0).tolist()
            if self.size[u] > 1 or len(self.held[u]) > 2
        ]
        rarest = {u: min(int(self.total[k]) for k in self.held[u]) for u in open_units}
        for u in sorted(open_units, key=lambda u: (-self.size[u], rarest[u], self.rank[u])):
            self.put(u, int(np.argmin(self.cost(u))))

    def fill_up(self) -> None:
        """Single examples of one class: each class in its exact shares, less what lies already.

        What rounding leaves over is carried to the next class, so that the whole is exact too.
        """
        waiting: dict[int, list[int]] = defaultdict(list)
        for u in np.flatnonzero(self.place < 0).tolist():
            waiting[next(iter(self.held[u]))].append(u)
        carry = np.zeros(len(self.share))
        for k in sorted(waiting, key=lambda k: (self.total[k], k)):
            line = sorted(waiting[k], key=lambda u: self.rank[u])
            needed = self.total[k] * self.share - self.lying[k]
            quota = _quota(needed + carry, len(line))
            if self.total[k] >= SPREAD:
                quota = _at_least_one(quota, self.lying[k])
            carry = np.clip(carry + needed - quota, -1, 1)
            for p, group in enumerate(np.split(np.array(line), np.cumsum(quota)[:-1])):
                for u in group.tolist():
                    self.put(u, p)

    def repair(self) -> None:
        """Bring classes into parts that lack them, without taking a class away from another."""
        for _ in range(ROUNDS):
            moved = False
            for k in range(len(self.names)):
                for p in range(len(self.share)):
                    if not self.spread[k, p] and (p == 0 or self.total[k] >= SPREAD):
                        moved |= self.bring(k, p)
            if not moved:
                return

    def bring(self, k: int, p: int) -> bool:
        """Move the unit of class k to part p that disturbs the shares least; False if none may.

        Rare classes give way, as long as one unit of each stays in train; failing that, a unit of
        the class that stands in the way takes the place of the one that moves.
        """
        for rare in (False, True):
            able = [u for u in self.members[k] if self.may_leave(u, p, rare=rare)]
            if able:
                self.put(min(able, key=lambda u: (self.cost(u)[p], self.rank[u])), p)
                return True
        line = sorted(self.members[k], key=lambda u: self.rank[u])
        return any(self.exchange(u, p) for u in line)

    def exchange(self, u: int, p: int) -> bool:
        """Move unit u to part p after a unit from elsewhere took its place; False if none can."""
        old = int(self.place[u])
        for k in self.blocked(u, p):
            for v in sorted(self.members[k], key=lambda v: self.rank[v]):
                place = int(self.place[v])
                if place == old or not self.may_leave(v, old, rare=True):
                    continue
                self.put(v, old)
                if self.may_leave(u, p, rare=True):
                    self.put(u, p)
                    return True
                self.put(v, place)
        return False

    def may_leave(self, u: int, p: int, *, rare: bool = False) -> bool:
        """Whether each class of unit u still lies where it must if u goes to part p."""
        if self.spread[-1, self.place[u]] == 1 or self.blocked(u, p):
            return False
        return rare or p == 0 or all(self.total[k] >= SPREAD for k in self.held[u])

    def blocked(self, u: int, p: int) -> list[int]:
        """Classes that would be missed where unit u lies if it went to part p."""
        old = int(self.place[u])
        return [
            k
            for k in self.held[u]
            if k < len(self.names) and self.spread[k, old] == 1 and (old <= p or self.spread[k, p])
        ]

    def occupy(self) -> None:
        """Fill an empty part, the dev part first: by one small unit, or, where all classes are

        rare, by units that leave another one of their class in train.
        """
        line = sorted(range(len(self.size)), key=lambda u: (self.size[u], self.rank[u]))
        for p in range(1, len(self.share)):
            if self.spread[-1, p]:
                continue
            able = [u for u in line if self.may_leave(u, p)]
            for u in able[:1] or line:
                short = self.lying[-1, p] < self.wanted[-1, p]
                if short and self.may_leave(u, p, rare=True):
                    self.put(u, p)

    def missing(self) -> dict[str, int]:
        used = self.spread[-1] > 0
        lacking = (self.spread[:-1, used] == 0).any(1)
        return {
            name: int(n)
            for name, n, lacks in zip(self.names, self.total[:-1], lacking, strict=True)
            if lacks and not name.startswith(BIN)
        }


def _ranks(keys: Sequence[str], of: np.ndarray, count: int, seed: int) -> np.ndarray:
    """(U,) uint64: each unit's place in a random order that depends on its keys and the seed."""
    salt = str(seed).encode()
    ranks = np.full(count, np.iinfo(np.uint64).max, dtype=np.uint64)
    digests = (
        blake2b(key.encode(errors="surrogateescape"), key=salt, digest_size=8).digest()
        for key in keys
    )
    drawn = np.frombuffer(b"".join(digests), dtype="<u8")
    np.minimum.at(ranks, of, drawn)
    return ranks


def _quota(needed: np.ndarray, count: int) -> np.ndarray:
    """Whole numbers that sum to `count`, as near to `needed` as can be and never negative."""
    positive = np.maximum(needed, 0)
    if not positive.any():
        positive[0] = 1
    scaled = positive * (count / positive.sum())
    quota: np.ndarray = np.floor(scaled + 1e-9).astype(np.int64)
    for p in np.argsort(quota - scaled, kind="stable")[: count - int(quota.sum())]:
        quota[p] += 1
    return quota


def _at_least_one(quota: np.ndarray, lying: np.ndarray) -> np.ndarray:
    """Give one to each part that would have none, train first, from the part that has most."""
    quota = quota.copy()
    for p in range(len(quota)):
        if quota[p] + lying[p] == 0:
            spare = np.where(quota + lying > 1, quota, 0)
            if spare.max() > 0:
                quota[int(spare.argmax())] -= 1
                quota[p] += 1
    return quota
