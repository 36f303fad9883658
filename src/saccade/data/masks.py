"""What the numbers in mask files mean: classes by value, what is ignored, instances."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from saccade.data.dataset import Dataset
from saccade.data.read import indices
from saccade.data.tree import Tree, printable
from saccade.errors import SaccadeError

IGNORED = frozenset({"ignore", "ignored", "void", "unlabeled", "unlabelled", "don't care"})
"""Names that mean: here nobody said what it is."""

SMALL = 64
"""Indices of classes are below this where 255 beside them means ignored."""


@dataclass(frozen=True)
class Coding:
    """From the numbers in mask files to indices of classes.

    classes    names in index order, without what is ignored
    table      number in the file -> index, -1 ignored
    instances  numbers count things: every number above 0 is class 1
    named      the classes have names of their own, and not those of their numbers
    """

    classes: tuple[str, ...]
    table: Mapping[int, int]
    instances: bool = False
    named: bool = True

    def decode(self, numbers: np.ndarray) -> np.ndarray:
        """(H, W) numbers of a file -> (H, W) int16 indices, -1 ignored.

        Raises SaccadeError "unknown-class" with the numbers that mean nothing and their pixels.
        """
        if self.instances:
            return (numbers > 0).astype(np.int16)
        known = np.full(int(numbers.max(initial=0)) + 1, -2, dtype=np.int16)
        for number, index in self.table.items():
            if number < len(known):
                known[number] = index
        mask: np.ndarray = known[numbers]
        if (mask == -2).any():
            raise self._strangers(numbers[mask == -2])
        return mask

    def _strangers(self, numbers: np.ndarray) -> SaccadeError:
        found, counts = np.unique(numbers, return_counts=True)
        told = ", ".join(
            f"{number} ({count:,} pixels)"
            for number, count in list(zip(found.tolist(), counts.tolist(), strict=True))[:8]
        )
        names = {-1: "ignored", **dict(enumerate(self.classes))}
        known = ", ".join(f"{number} {names[index]}" for number, index in self.table.items())
        return SaccadeError(
            f"has {told} that no class has; known are {known[:300]}. Name every index in a "
            "classes.txt beside the folders, one a line, or make it 255, which is ignored",
            name="unknown-class",
        )


@dataclass(frozen=True)
class MaskFiles:
    """A source of pictures whose masks are files beside them.

    numbers  that occur in each mask, as far as the masks were looked through
    """

    tree: Tree
    coding: Coding
    numbers: Mapping[str, frozenset[int]]

    def load(self, key: str) -> bytes:
        return self.tree.load(key)

    def mask(self, key: str, classes: Sequence[str]) -> np.ndarray:
        """(H, W) int16 indices into `classes`, -1 ignored. Raises SaccadeError naming the file."""
        try:
            mask = self.coding.decode(indices(self.tree.load(key))[0])
        except SaccadeError as error:
            if error.files:
                raise
            message = f"{printable(key)}: {error.message}"
            raise SaccadeError(message, name=error.name, files=[key]) from error
        if tuple(classes) == self.coding.classes:
            return mask
        return self._renamed(mask, key, classes)

    def present(self, key: str) -> tuple[str, ...]:
        """Names of the classes that a mask holds; none where it was not looked through."""
        if self.coding.instances:
            found = {int(number > 0) for number in self.numbers.get(key, ())}
        else:
            found = {self.coding.table.get(number, -1) for number in self.numbers.get(key, ())}
        return tuple(self.coding.classes[index] for index in sorted(found - {-1}))

    def instances(self, key: str) -> int | None:
        """How many things a mask counts, None where its numbers are classes."""
        if not self.coding.instances:
            return None
        numbers, _ = indices(self.tree.load(key))
        return int((np.unique(numbers) > 0).sum())

    def _renamed(self, mask: np.ndarray, key: str, classes: Sequence[str]) -> np.ndarray:
        """The same mask in another data set's order of classes: names count, not numbers."""
        places = {name: place for place, name in enumerate(classes)}
        table = np.array([places.get(name, -2) for name in self.coding.classes] + [-1])
        other: np.ndarray = table[mask].astype(np.int16)
        if (other == -2).any():
            strange = sorted({self.coding.classes[index] for index in np.unique(mask[other == -2])})
            raise SaccadeError(
                f"{printable(key)}: class {', '.join(map(repr, strange))}; the classes are "
                f"{', '.join(classes)[:300]}",
                name="unknown-class",
                files=[key],
            )
        return other


UNNAMED = ("background", "foreground")
"""Classes of masks of two numbers that no file names."""


def find_coding(
    numbers: Iterable[int], mode: str, names: Mapping[int, str] | Sequence[str] | None
) -> Coding:
    """What the numbers mean that occur in a data set's masks.

    Args:
        numbers: all that were found.
        mode: of the files, Pillow's name; "P" is a palette, "I;16" has 16 bits.
        names: of the classes in order, or by number; None = unknown.

    16 bits are for more things than classes: they count instances, unless the names say otherwise.
    Two numbers alone are background and foreground. 255 is ignored in a palette, and beside small
    indices; a name such as "void" or "unlabeled" is ignored too.
    """
    found = sorted(set(numbers))
    named = names if isinstance(names, Mapping) else dict(enumerate(names or ()))
    if mode.startswith("I") and found and found[-1] >= len(names or ()) and found[-1] not in named:
        thing = [name for name in named.values() if name.casefold() != "background"]
        name = thing[0] if len(thing) == 1 else "foreground"
        return Coding(("background", name), {}, instances=True, named=bool(thing))
    if not named:
        return _unnamed(found, mode)
    if not isinstance(names, Mapping):
        named = _aligned(list(named.values()), found)
    numbered = {number: name for number, name in named.items() if name.casefold() not in IGNORED}
    classes = tuple(dict.fromkeys(numbered.values()))
    table = {number: classes.index(name) for number, name in numbered.items()}
    ignored = {number: -1 for number in named if number not in numbered}
    return Coding(classes, {**table, **ignored, **({} if 255 in table else {255: -1})})


def _unnamed(found: list[int], mode: str) -> Coding:
    if len(found) <= 2 and mode != "P" and set(found) <= {0, 1, 255}:
        high = 1 if 1 in found else 255
        return Coding(UNNAMED, {0: 0, high: 1}, named=False)
    rest = [number for number in found if number != 255]
    void = mode == "P" or (len(rest) > 1 and max(rest) < SMALL)
    kept = rest if void else found
    table = {number: place for place, number in enumerate(kept)}
    return Coding(tuple(map(str, kept)), {**table, 255: -1} if void else table, named=False)


def _aligned(names: list[str], found: list[int]) -> dict[int, str]:
    """Names in order to the numbers they mean: 0, 1, 2 ..., or 0 and 255; background may lack."""
    rest = [number for number in found if number != 255]
    silent = "background" not in {name.casefold() for name in names}
    if set(found) <= {0, 255} and 255 in found and len(names) <= 2:
        low, high = names if len(names) == 2 else ("background", names[0])
        return {0: low, 255: high}
    if silent and rest and rest[-1] == len(names) and 0 in rest:
        names = ["background", *names]
    return dict(enumerate(names))


def with_names(dataset: Dataset, names: Sequence[str]) -> Dataset:
    """The data set with these names for its masks' classes, in order; a file's names stay.

    Raises SaccadeError "wrong-names" where there are more or fewer classes than names.
    """
    source = dataset.source
    if not isinstance(source, MaskFiles) or source.coding.named:
        return dataset
    found = source.coding.classes
    if len(found) != len(names) or len(set(names)) != len(names):
        raise SaccadeError(
            f"data.names: {len(names)} names ({', '.join(names)}) for {len(found)} classes "
            f"({', '.join(found)}); give each class a name of its own, in this order",
            name="wrong-names",
        )
    fields = tuple(
        replace(field, classes=tuple(names)) if field.kind == "mask" else field
        for field in dataset.fields
    )
    coding = replace(source.coding, classes=tuple(names), named=True)
    return replace(dataset, fields=fields, source=replace(source, coding=coding))


def read_as(dataset: Dataset, classes: Sequence[str]) -> Dataset:
    """Masks of unnamed numbers, read as those a network was trained on, of these classes.

    Other pictures may lack some of the numbers, from which their meaning is guessed otherwise.
    """
    source = dataset.source
    if not isinstance(source, MaskFiles) or source.coding.named or source.coding.instances:
        return dataset
    coding = source.coding
    if all(name.isdecimal() for name in classes):
        table = {int(name): place for place, name in enumerate(classes)}
        coding = replace(coding, classes=tuple(classes), table={255: -1, **table})
    elif tuple(classes) == UNNAMED and len(coding.classes) == 2:
        coding = replace(coding, classes=UNNAMED)
    return replace(dataset, source=replace(source, coding=coding))
