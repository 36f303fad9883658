"""A user's own dataset object: len(data), data[i] -> (picture, label), as torch's datasets are."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

from saccade.data.dataset import Dataset, choose_task, class_table
from saccade.errors import SaccadeError
from saccade.types import Example, Field

_KINDS = {"classification": ("label", "label"), "multilabel": ("labels", "labels")}


class Items:
    """Pictures of a dataset object; the key is "item#row". One thread at a time asks the object."""

    def __init__(self, data: Any) -> None:
        self.data = data
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {"data": self.data}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["data"])  # type: ignore[misc]

    def load(self, key: str) -> np.ndarray:
        """The picture, (H, W) or (H, W, C) uint8. Raises SaccadeError "broken-file"."""
        row = key.rpartition("#")[2]
        if not row.isdecimal():
            raise SaccadeError(f"{key}: no such picture", name="broken-file", files=[key])
        with self._lock:
            item = _item(self.data, int(row))
        return _array(item[0], key)


def read(data: Any, task: str | None = None) -> Dataset:
    """One example per item. Labels: int or str (a class), list of names, or numbers.

    Names for ints come from `data.classes` where the object has them. Raises SaccadeError
    "bad-dataset" where an item is not what the promise says.
    """
    size = _length(data)
    labels = [_plain(label, row) for row, label in enumerate(_labels(data, size))]
    names = _class_names(data)
    tasks, values = _meaning(labels, names)
    chosen = choose_task(task, tasks, type(data).__name__)
    name, kind = _KINDS.get(chosen, ("values", "values"))
    examples = tuple(
        Example(key=f"item#{row}", target={} if value is None else {name: value})
        for row, value in enumerate(values)
    )
    if kind == "values":
        classes = tuple(f"value{place}" for place in range(len(values[0])))
    else:
        classes = class_table(examples, name)
    return Dataset(
        name=type(data).__name__,
        root=repr(type(data)),
        examples=examples,
        fields=(Field(name=name, kind=kind, classes=classes),),  # type: ignore[arg-type]
        source=Items(data),
        tasks=tasks,
        reason=f"items of {type(data).__name__} are pictures with "
        + {"label": "one class", "labels": "a list of classes"}.get(kind, "numbers"),
    )


def _bad(reason: str) -> SaccadeError:
    return SaccadeError(f"dataset object: {reason}", name="bad-dataset")


def _length(data: Any) -> int:
    if not hasattr(data, "__getitem__") or not hasattr(data, "__len__"):
        raise _bad(
            f"{type(data).__name__} has no length or no [i]; expected a path, sample:NAME, or an "
            "object with len() and [i] -> (picture, label)"
        )
    size = len(data)
    if not size:
        raise _bad(f"{type(data).__name__} is empty")
    return size


def _item(data: Any, row: int) -> Sequence[Any]:
    try:
        item = data[row]
    except Exception as error:  # the user's own code: name the item that fails
        raise SaccadeError(
            f"item {row}: {type(error).__name__}: {error}",
            name="broken-file",
            files=[f"item#{row}"],
        ) from error
    if not isinstance(item, tuple | list) or len(item) < 2:
        raise _bad(f"item {row} is a {type(item).__name__}; expected (picture, label)")
    return item


def _labels(data: Any, size: int) -> Sequence[Any]:
    """All labels, without decoding a picture where the object keeps a list as torchvision's do."""
    indices = getattr(data, "indices", None)
    inner = getattr(data, "dataset", None)
    if isinstance(data, torch.utils.data.Subset) and inner is not None and indices is not None:
        below = _labels(inner, len(inner))
        return [below[row] for row in indices]
    transformed = getattr(data, "target_transform", None) is not None
    for name in ("targets", "labels"):
        kept = getattr(data, name, None)
        if isinstance(kept, torch.Tensor | np.ndarray):
            kept = kept.tolist()
        if not transformed and isinstance(kept, list | tuple) and len(kept) == size:
            return kept
    return [_item(data, row)[1] for row in range(size)]


def _class_names(data: Any) -> tuple[str, ...] | None:
    while isinstance(data, torch.utils.data.Subset):
        data = data.dataset
    names = getattr(data, "classes", None)
    if isinstance(names, list | tuple) and all(isinstance(name, str) for name in names):
        return tuple(names)
    return None


def _plain(label: Any, row: int) -> Any:
    """int, str, float, list of these, or None."""
    if isinstance(label, torch.Tensor | np.ndarray | np.generic):
        label = label.tolist()
    if isinstance(label, tuple | set | frozenset):
        label = sorted(label) if not isinstance(label, tuple) else list(label)
    parts = label if isinstance(label, list) else [label]
    if not all(part is None or isinstance(part, int | str | float) for part in parts):
        what = "a mapping" if isinstance(label, Mapping) else repr(type(label).__name__)
        raise _bad(f"item {row} has {what} for a label; expected int, str, numbers or names")
    return label


def _meaning(labels: list[Any], names: tuple[str, ...] | None) -> tuple[tuple[str, ...], list[Any]]:
    """Fitting tasks, and each item's target."""
    present = [label for label in labels if label is not None]
    if not present:
        raise _bad("no item has a label")
    if all(isinstance(label, int | str) for label in present):
        return ("classification",), [_name(label, names) for label in labels]
    if all(isinstance(label, float) for label in present):
        return ("regression",), [None if label is None else [label] for label in labels]
    lists = [label for label in present if isinstance(label, list)]
    if len(lists) != len(present):
        raise _bad("labels are of different kinds; expected the same kind for every item")
    if all(isinstance(part, str) for label in lists for part in label):
        return ("multilabel",), labels
    width = {len(label) for label in lists}
    if len(width) != 1 or not all(isinstance(part, int | float) for row in lists for part in row):
        raise _bad(f"labels are lists of lengths {sorted(width)}; expected one length, numbers")
    if all(part in (0, 1) for label in lists for part in label) and width != {1}:
        return ("multilabel", "regression"), [_hot(label, names) for label in labels]
    return ("regression",), [
        None if label is None else [float(part) for part in label] for label in labels
    ]


def _name(label: Any, names: tuple[str, ...] | None) -> str | None:
    if isinstance(label, int) and names is not None:
        if not 0 <= label < len(names):
            raise _bad(f"label {label} has no name among the {len(names)} of `classes`")
        return names[label]
    return None if label is None else str(label)


def _hot(label: list[float] | None, names: tuple[str, ...] | None) -> list[str] | None:
    if label is None:
        return None
    return [_name(place, names) or "" for place, part in enumerate(label) if part]


def _array(picture: Any, key: str) -> np.ndarray:
    """(H, W[, C]) uint8 of a PIL picture, a tensor (C, H, W) or an array (H, W[, C])."""
    if isinstance(picture, Image.Image):
        plain = picture if picture.mode in ("L", "RGB", "RGBA") else picture.convert("RGB")
        return np.array(plain)
    array: np.ndarray
    if isinstance(picture, torch.Tensor):
        array = picture.detach().cpu().numpy()
        array = np.moveaxis(array, 0, -1) if array.ndim == 3 else array
    elif isinstance(picture, np.ndarray):
        array = picture
    else:
        raise _bad(f"{key} is a {type(picture).__name__}; expected a PIL picture, tensor or array")
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * 255
    if array.dtype.kind == "f" and array.size and array.min() >= 0 and array.max() <= 1:
        scaled: np.ndarray = np.rint(array * 255).astype(np.uint8)
        return scaled
    low, high = (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)
    raise SaccadeError(
        f"{key}: {array.dtype} from {low:g} to {high:g}; expected uint8, or floats from 0 to 1 "
        "(leave normalisation to the training)",
        name="broken-file",
        files=[key],
    )
