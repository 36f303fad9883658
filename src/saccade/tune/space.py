"""Which settings are searched, over which values, and in which order they are freed."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from saccade.errors import SaccadeError
from saccade.models import catalog
from saccade.recipe import KEYS, Recipe, all_keys, from_dict, parse_setting
from saccade.training.schedule import SCHEDULES

COMPLEMENT = "1-"
"""What the name of an axis begins with that stands for one minus its setting."""


@dataclass(frozen=True)
class Span:
    """Numbers from low to high, both included. whole: integers;  log: on a logarithmic scale.

    setting  full path in the recipe
    complement  the numbers are 1 - the setting: between 0.9 and 0.99 of a decay lies as much as
             between 0.99 and 0.999
    """

    setting: str
    low: float
    high: float
    log: bool = True
    whole: bool = False
    complement: bool = False

    @property
    def name(self) -> str:
        return f"{COMPLEMENT}{self.setting}" if self.complement else self.setting

    def at(self, place: float) -> float:
        """The number at `place` 0..1 of the scale, in five digits."""
        if self.log:
            value = float(np.exp(np.log(self.low) + place * np.log(self.high / self.low)))
        else:
            value = self.low + place * (self.high - self.low)
        value = round(value) if self.whole else float(f"{value:.4e}")
        return min(max(value, self.low), self.high)

    def values(self, drawn: Any) -> dict[str, Any]:
        """The settings that a drawn number stands for."""
        return {self.setting: round(1 - drawn, 10) if self.complement else drawn}

    def drawn(self, recipe: Mapping[str, Any]) -> Any:
        """The number that a recipe (its settings by full path) has."""
        value = recipe[self.setting]
        if value is None:  # the network's own, which is nothing (dropout)
            return self.low
        return round(1 - value, 10) if self.complement else value


@dataclass(frozen=True)
class Choice:
    """One of a few values."""

    setting: str
    options: tuple[Any, ...]

    @property
    def name(self) -> str:
        return self.setting

    def at(self, place: float) -> Any:
        return self.options[min(int(place * len(self.options)), len(self.options) - 1)]

    def values(self, drawn: Any) -> dict[str, Any]:
        return {self.setting: drawn}

    def drawn(self, recipe: Mapping[str, Any]) -> Any:
        return recipe[self.setting]


Axis = Span | Choice

WIDTHS = (
    ("airbench_small", "airbench"),
    ("mobilenet_v1_025", "mobilenet_v1_050", "mobilenet_v1_075", "mobilenet_v1"),
    ("mobilenet_v2_035", "mobilenet_v2_050", "mobilenet_v2_075", "mobilenet_v2"),
)
DEPTHS = (
    ("resnet20", "resnet32", "resnet44", "resnet56"),
    ("plain20", "plain32", "plain44", "plain56"),
    ("resnet18", "resnet34", "resnet50", "resnet101"),
    ("vgg11", "vgg13", "vgg16", "vgg19"),
    ("vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn"),
    ("densenet121", "densenet169", "densenet161"),
    *(tuple(f"efficientnet_b{each}" for each in range(start, start + 3)) for start in (0, 3, 5)),
)
"""Networks that differ in the number of units, or of layers, and in little else."""

ADAPTIVE = ("adam", "adamw", "rmsprop")
"""Optimisers that have a second decay."""


@dataclass(frozen=True)
class Rank:
    """One line of the ranking: what the field calls it, and the axes it frees."""

    title: str
    axes: tuple[Axis, ...]


def ranking(recipe: Recipe) -> list[Rank]:
    """Hyperparameters in the order of their importance, around a completed recipe.

    Rate, momentum, batch, units, layers, decay of the rate, regularisation, activation, and the
    second decay of Adam last. What the recipe's network or optimiser does not have is left out.
    """
    rate, batch = recipe.optimizer.first_rate, recipe.train.batch or 1
    name = recipe.model.name or ""
    known = catalog.options(name) if name in catalog.MODELS else {}
    second = recipe.optimizer.name in ADAPTIVE
    dropout = (Span("model.dropout", 0.0, 0.5, log=False),) if "dropout" in known else ()
    ranks = [
        Rank("learning rate", (Span("optimizer.lr0", rate / 30, rate * 10),)),
        Rank("momentum", (Span("optimizer.momentum", 0.005, 0.5, complement=True),)),
        Rank(
            "batch size",
            (Choice("train.batch", tuple(sorted({max(1, batch * n // 4) for n in (1, 2, 4, 8)}))),),
        ),
        Rank("number of units", _family(name, WIDTHS)),
        Rank("number of layers", _family(name, DEPTHS)),
        Rank("decay of the rate", (Choice("optimizer.schedule", tuple(SCHEDULES)),)),
        Rank("regularisation", (Span("optimizer.weight_decay", 1e-5, 1e-1), *dropout)),
        Rank("activation", (_activation(recipe),) if "act" in known else ()),
        Rank("Adam's beta2", _second(second)),
    ]
    return [rank for rank in ranks if rank.axes]


def _second(adaptive: bool) -> tuple[Axis, ...]:
    return (Span("optimizer.beta2", 0.0005, 0.1, complement=True),) if adaptive else ()


def _activation(recipe: Recipe) -> Choice:
    own = catalog.options(recipe.model.name or "")["act"] if recipe.model.act is None else None
    first = recipe.model.act or own
    return Choice("model.act", tuple(dict.fromkeys([first, "relu", "gelu", "silu", "tanh"])))


def _family(name: str, families: Sequence[tuple[str, ...]]) -> tuple[Axis, ...]:
    return tuple(Choice("model.name", family) for family in families if name in family)


def space(recipe: Recipe, *, free: int, fixed: Sequence[str], vary: Sequence[str]) -> list[Rank]:
    """The ranks that a search frees, first ones first.

    free   how many of the ranking
    fixed  settings that the user gave, which stay
    vary   the user's own axes in place of the ranking; see `parse_axis`
    """
    if vary:
        axes = [parse_axis(each, recipe) for each in vary]
        return [Rank(axis.setting, (axis,)) for axis in axes]
    found = [
        Rank(rank.title, tuple(axis for axis in rank.axes if axis.setting not in fixed))
        for rank in ranking(recipe)
    ]
    return [rank for rank in found if rank.axes][:free]


def parse_axis(text: str, recipe: Recipe) -> Axis:
    """Of KEY, KEY=LOW..HIGH or KEY=A,B,C. Raises SaccadeError.

    A range over more than a factor of ten is searched on a logarithmic scale; momentum and the
    other decays as one minus their value.
    """
    key, equals, values = text.partition("=")
    setting = KEYS.get(key.strip().replace("-", "_"), key.strip())
    if setting not in all_keys():
        raise SaccadeError(
            f"--vary {text}: {setting!r} is not a setting; `saccade train --help` lists them.",
            name="unknown-setting",
        )
    if not equals:
        ranked = [axis for rank in ranking(recipe) for axis in rank.axes if axis.setting == setting]
        if not ranked:
            raise SaccadeError(
                f"--vary {text}: no usual range is known for it; write {setting}=LOW..HIGH or "
                f"{setting}=A,B,C.",
                name="bad-setting",
            )
        return ranked[0]
    low, dots, high = values.partition("..")
    if not dots:
        options = tuple(parse_setting(f"{setting}={each}")[1] for each in values.split(","))
        return Choice(setting, options)
    return _span(text, setting, low, high)


def _span(text: str, setting: str, low: str, high: str) -> Span:
    ends = [parse_setting(f"{setting}={each}")[1] for each in (low, high)]
    try:
        # YAML reads 1e-5 as text
        first, last = (float(each) for each in ends)
    except (TypeError, ValueError) as error:
        raise SaccadeError(
            f"--vary {text}: expected two numbers, as in optimizer.lr0=0.01..1.", name="bad-setting"
        ) from error
    if not first < last:
        raise SaccadeError(f"--vary {text}: {low} is not below {high}.", name="bad-setting")
    if setting in ("optimizer.momentum", "optimizer.beta2", "optimizer.ema") and last < 1:
        return Span(setting, round(1 - last, 10), round(1 - first, 10), complement=True)
    whole = all(isinstance(each, int) for each in ends)
    return Span(setting, first, last, log=first > 0 and last / first >= 10, whole=whole)


def freed(ranks: Sequence[Rank], number: int, trials: int) -> list[Axis]:
    """The axes that trial `number` of `trials` varies.

    Trial 0 varies none: it is what the others must beat. The rest falls into as many even parts as
    there are ranks; the first part frees the first rank, the next one also the second, and so on.
    """
    if number == 0:
        return []
    part = (number - 1) * len(ranks) // max(1, trials - 1)
    return [axis for rank in ranks[: min(part, len(ranks) - 1) + 1] for axis in rank.axes]


def place(seed: int, number: int, name: str) -> float:
    """Where on its scale (0..1) axis `name` stands in trial `number`: random, but repeatable.

    Whoever runs the trial, on whatever machine and after whatever has failed, draws the same.
    """
    key = np.array([seed, (number << 32) + zlib.crc32(name.encode())], dtype=np.uint64)
    return float(np.random.Generator(np.random.Philox(key=key)).random())


FOLLOW = {
    "optimizer.name": ("optimizer",),
    "model.name": ("model", "optimizer"),
    "model.backbone": ("model", "optimizer"),
    "model.weights": ("model", "optimizer", "train.epochs"),
    "train.effort": ("train.epochs",),
}
"""Setting -> sections and settings that were decided for its value."""


def reopened(base: Recipe, given: Recipe, settings: Mapping[str, Any]) -> Recipe:
    """`base` as the user gave it where other `settings` make its decisions void."""
    decided, asked = base.as_dict(), given.as_dict()
    for name in {each for setting in settings for each in FOLLOW.get(setting, ())}:
        section, _, key = name.partition(".")
        if key:
            decided[section][key] = asked[section][key]
        else:
            decided[section] = asked[section]
    return from_dict(decided)
