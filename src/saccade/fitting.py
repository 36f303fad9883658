"""Tensors from elsewhere fitted to a network: whose they are, which fit, nothing in silence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn

from saccade.errors import SaccadeError
from saccade.models import catalog, weights

ENOUGH = 0.5
"""Share of the body's numbers that a file must hold to be weights of the network."""

SURE = 0.95
"""Share of tensors that must agree for a network to be told from its tensors."""


def infer(tensors: Mapping[str, Tensor], hint: str = "") -> str:
    """The network of the catalogue that these tensors belong to.

    hint: a file name; networks it names are tried first. Raises SaccadeError where none agrees.
    """
    plain = hint.lower().replace("-", "_")
    likely = sorted((name for name in catalog.names() if name in plain), key=len, reverse=True)
    best, best_share = "", 0.0
    for name in (*likely, *_of_family(tensors)):
        share = _agreement(name, tensors)
        if share > best_share:
            best, best_share = name, share
        if best_share >= SURE and name in likely:
            break
    if best_share < SURE:
        nearest = f" Nearest: {best} ({best_share:.0%} of its tensors)." if best else ""
        raise SaccadeError(
            f"the network cannot be told from the weights.{nearest} Name it with --model.",
            name="unknown-network",
        )
    return best


def _of_family(tensors: Mapping[str, Tensor]) -> Iterator[str]:
    """Networks of those files of the catalogue whose first network has names in common."""
    first: dict[Callable[..., Any], bool] = {}
    for name, entry in catalog.MODELS.items():
        if entry.build not in first:
            body, _ = _shapes(name)
            first[entry.build] = bool(body.keys() & _renamed(tensors, body).keys())
        if first[entry.build]:
            yield name


@cache
def _shapes(name: str) -> tuple[dict[str, torch.Size], frozenset[str]]:
    """Shapes of the body's tensors, and the names of those that a new head replaces."""
    with torch.device("meta"):
        network = catalog.create(name)
    assert isinstance(network, nn.Module)
    before = network.state_dict()
    network.new_head(2)
    after = network.state_dict()
    head = frozenset(key for key, value in before.items() if after[key].shape != value.shape)
    body = {key: value.shape for key, value in before.items() if _counts(key) and key not in head}
    return body, head


def _agreement(name: str, tensors: Mapping[str, Tensor]) -> float:
    """The smaller share, of the body's tensors and of the file's, that agree in name and shape."""
    body, head = _shapes(name)
    there = {key: value for key, value in _renamed(tensors, body).items() if _counts(key)}
    same = sum(key in there and _alike(there[key].shape, shape) for key, shape in body.items())
    return min(same / len(body), same / max(1, len(there.keys() - head)))


def _counts(key: str) -> bool:
    return not key.endswith("num_batches_tracked")  # absent from older files, and never used


def _alike(found: torch.Size, wanted: torch.Size) -> bool:
    """Equal, or a convolution with other input channels."""
    return found == wanted or (
        len(found) == len(wanted) > 2 and (found[0], *found[2:]) == (wanted[0], *wanted[2:])
    )


def _renamed(tensors: Mapping[str, Tensor], wanted: Iterable[str]) -> dict[str, Tensor]:
    """The tensors with today's names and without (or with) the prefix that fits best."""
    today = {weights.today(name): value for name, value in tensors.items()}
    names = set(wanted)

    def fitting(strip: str, add: str) -> dict[str, Tensor]:
        return {
            add + name.removeprefix(strip) if name.startswith(strip) else name: value
            for name, value in today.items()
        }

    parts = [name.split(".") for name in today]
    strips = {
        ".".join(each[:count]) + "." for each in parts for count in (1, 2) if len(each) > count
    }
    adds = {name.partition(".")[0] + "." for name in names}
    tries = [("", ""), *((each, "") for each in sorted(strips)), *(("", a) for a in sorted(adds))]
    return max(
        (fitting(strip, add) for strip, add in tries),
        key=lambda found: len(found.keys() & names),
    )


def fill(
    model: nn.Module, tensors: Mapping[str, Tensor], *, skipped: set[str], network: str, path: str
) -> list[str]:
    """Copy tensors into `model`; lines that say what fitted and what did not.

    skipped  names of a new head's parameters, which keep their fresh values
    network  name, and path: of the file, for messages

    Raises SaccadeError where the tensors are of something else.
    """
    expected = model.state_dict()
    found = _renamed(tensors, expected.keys() - skipped)
    taken: dict[str, Tensor] = {}
    told: list[str] = []
    wrong: list[str] = []
    for name, value in expected.items():
        given = found.get(name)
        if given is None or name in skipped:
            continue
        if given.is_floating_point() != value.is_floating_point():
            wrong.append(f"{name} (whole numbers)")
        elif given.shape == value.shape:
            taken[name] = given
        elif _alike(given.shape, value.shape) and not taken:
            taken[name] = adapt_channels(given, value.shape[1])
            told.append(
                f"weights: {name} had {given.shape[1]} input channels and now has "
                f"{value.shape[1]}; its responses to grey pictures are kept"
            )
        else:
            wrong.append(f"{name} {_shape(given)} for {_shape(value)}")
    body = [name for name in expected if name not in skipped and _counts(name)]
    missing = [name for name in body if name not in found]
    have = sum(expected[name].numel() for name in body if name in taken)
    if have < ENOUGH * sum(expected[name].numel() for name in body):
        raise _others(path, network, missing, wrong, sorted(found.keys() - expected.keys()))
    model.load_state_dict(taken, strict=False)
    count = sum(name in taken for name in body)
    replaced = [name for name in found if name in skipped]
    unknown = [name for name in found if name not in expected]
    return [
        f"weights: {count} of {len(body)} tensors of the body taken",
        *told,
        *_listed("a new head, their own is not used", replaced),
        *_listed("missing in the file, these begin at random", missing),
        *_listed("of another shape, these begin at random", wrong),
        *_listed("in the file but not in the network, not used", unknown),
    ]


def adapt_channels(weight: Tensor, channels: int) -> Tensor:
    """A first convolution (O, I, *window) for another number of channels (O, channels, *window).

    Each new channel gets the sum over the old ones divided by their new number, so that a picture
    whose channels are equal gives the same responses as before.
    """
    total = weight.sum(1, keepdim=True)
    return (total / channels).repeat(1, channels, *(1 for _ in weight.shape[2:]))


def _listed(what: str, names: Sequence[str]) -> list[str]:
    """One line that names every tensor, those of one layer together."""
    if not names:
        return []
    layers = [
        f"{layer} ({', '.join(name.rpartition('.')[2] for name in group)})"
        for layer, group in groupby(names, key=lambda name: name.rpartition(".")[0])
    ]
    return [f"weights: {what}: {'; '.join(layers)}"]


def _shape(value: Tensor) -> str:
    return " x ".join(map(str, value.shape)) or "one number"


def _others(
    path: str, network: str, missing: list[str], wrong: list[str], unknown: list[str]
) -> SaccadeError:
    parts = (("missing", missing), ("of another shape", wrong), ("not of it", unknown))
    told = "; ".join(f"{what}: {', '.join(names[:4])}" for what, names in parts if names)
    return SaccadeError(
        f"{path}: these are not weights of {network} ({told}). Name the network they belong to "
        "with --model, or leave it out to have it told from them.",
        name="wrong-weights",
        files=[path],
    )
