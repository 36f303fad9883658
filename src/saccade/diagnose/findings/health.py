"""Faults inside the network, seen in health.csv: signals and gradients layer by layer."""

from __future__ import annotations

import math

import numpy as np

from saccade.diagnose import commands, signals
from saccade.types import Evidence, Finding


def symmetric_initialisation(evidence: Evidence) -> Finding | None:
    """Units of a layer began alike and got the same gradients ever since."""
    table = signals.layers(evidence, "twins")
    table = table if table.size else signals.layers(evidence, "twins", start=True)
    if table.size == 0:
        return None
    hidden = table[-1][:-1]  # the head's units are told apart by the classes
    if not len(signals.known(hidden)) or np.nanmax(hidden) < 0.9:
        return None
    begun = signals.layers(evidence, "twins", start=True)[0][:-1]
    if np.nanmax(begun, initial=0.0) < 0.9:
        return None  # units that training made alike, as a rate far too high does
    return Finding(
        name="symmetric-initialisation",
        severity="error",
        message=f"{signals.percent(float(np.nanmax(hidden)))} of the units of "
        f"{signals.worst_layer(evidence, hidden)} are equal: they began alike and stay alike.",
        evidence={
            "equal_units": float(np.nanmax(hidden)),
            "layers_concerned": int((hidden > 0.9).sum()),
            "train_error_of_chance": signals.unlearned(evidence),
        },
        knob="initialisation",
        goal="fit training",
        command=commands.retrain(evidence, commands.setting("model.init", None)),
        expected_gain=_reach(evidence),
    )


FLAT = 1e-5
"""Variance of a layer's outputs over that of the first, below which its signal is lost."""


def badly_scaled_initialisation(evidence: Evidence) -> Finding | None:
    """Signals die out or blow up from layer to layer because of the first weights."""
    table = signals.layers(evidence, "variance", start=True)
    rest = signals.unlearned(evidence)
    if table.size == 0 or not len(signals.known(table[0])):
        return None
    first = signals.known(table[0])
    ratio = float(first.min() / max(first[0], 1e-30))
    loud = float(first.max())
    init = commands.of_recipe(evidence, "model.init")
    scaled = init in ("normal", "zeros") or loud > 1e5
    if not (
        signals.stuck(evidence) and scaled and (ratio < FLAT or first.min() < 1e-6 or loud > 1e5)
    ):
        return None
    return Finding(
        name="badly-scaled-initialisation",
        severity="error",
        message=f"signals change {ratio:.1e}-fold from the first to the weakest layer; the first "
        "weights do not fit the layers' sizes.",
        evidence={
            "weakest_over_first": ratio,
            "largest_variance": loud,
            "train_error_of_chance": rest,
        },
        knob="initialisation",
        goal="fit training",
        command=commands.retrain(evidence, *_scaled(evidence, table.shape[1])),
        expected_gain=0.98 * _reach(evidence),
    )


DEEP = 10
"""Layers from which on first weights alone hardly keep signals alive without norms between them
(Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167)."""


def _scaled(evidence: Evidence, layers: int) -> list[str]:
    """Settings that fit first weights to the layers' sizes and, in a deep network, keep them so."""
    changes = [commands.setting("model.init", "he")]
    if layers >= DEEP and commands.of_recipe(evidence, "model.norm") == "none":
        changes.append(commands.setting("model.norm", "batch"))
    return changes


VANISHED = 1e-3
"""Gradient of the weakest layer over that of the head; ten times as much with sigmoids and tanh,
where it has to come from the activation."""


def vanishing_gradients(evidence: Evidence) -> Finding | None:
    """Early layers get next to no gradient."""
    table = signals.layers(evidence, "gradient_norm")
    rest = signals.unlearned(evidence)
    if table.size == 0 or not signals.stuck(evidence):
        return None
    head = np.where(table[:, -1] > 0, table[:, -1], math.nan)
    relative = table / head[:, None]
    ratios = np.array([signals.known(row).min() for row in relative if len(signals.known(row))])
    bounded = commands.of_recipe(evidence, "model.act") in ("sigmoid", "tanh", "scaled_tanh")
    limit = VANISHED * (10 if bounded else 1)
    if not len(ratios) or np.median(ratios) > limit:
        return None
    weakest = signals.worst_layer(evidence, -table[0])
    return Finding(
        name="vanishing-gradients",
        severity="error",
        message=f"the gradient of {weakest} is {float(np.median(ratios)):.1e} of the head's.",
        evidence={
            "weakest_over_head": float(np.median(ratios)),
            "train_error_of_chance": rest,
        },
        knob="normalisation",
        goal="fit training",
        command=commands.retrain(evidence, commands.setting("model.norm", "batch")),
        expected_gain=0.96 * _reach(evidence),
    )


EXPLODED = 1e2
"""Gradient norm of a layer; below 10 is usual."""

GROWN = 1e4
"""Growth of the variance through the untrained layers, which no learning rate makes up for."""

HARMED = 1.3
"""Mean loss of the first epoch, over that of guessing, that only harmful updates reach."""

UNHEALED = 0.8
"""Mean loss of the last epoch, over that of guessing, of a network that never got over it."""


def exploding_gradients(evidence: Evidence) -> Finding | None:
    """Gradients or signals grow beyond all bounds."""
    table = signals.layers(evidence, "gradient_norm")
    rest = signals.unlearned(evidence)
    largest = float(np.nanmax(table)) if np.isfinite(table).any() else 0.0
    broke = signals.broke_down(evidence)
    first = signals.first_loss(evidence)
    # gradients may explode within the first epoch and leave dead units that show nothing any more
    unhealed = signals.loss_over_chance(evidence, -1) > UNHEALED and not signals.short(evidence)
    early = first > HARMED and rest > 0.5 and unhealed
    if not (broke or early or (largest > EXPLODED and rest > 0.08)):
        return None
    growth = signals.growth(evidence)
    clipped = float(commands.of_recipe(evidence, "optimizer.clip", 0.0)) > 0 or growth > GROWN
    change = commands.setting("model.norm", "batch") if clipped else "--set optimizer.clip=1.0"
    return Finding(
        name="exploding-gradients",
        severity="error" if broke or rest > 0.5 else "warning",
        message="the loss is no longer a number."
        if broke
        else f"updates throw the weights about: gradients of norm {largest:.1e}, first losses "
        f"{first:.2g} times those of guessing.",
        evidence={
            "largest_gradient_norm": largest,
            "growth_through_the_layers": growth,
            "first_loss_over_chance": first,
            "train_error_of_chance": rest,
        },
        knob="normalisation" if clipped else "gradient clipping",
        goal="fit training",
        command=commands.retrain(evidence, change),
        expected_gain=0.97 * _reach(evidence),
    )


def dead_units(evidence: Evidence) -> Finding | None:
    """Rectifiers that give nothing for any picture, and so never learn again."""
    return _lost_units(
        evidence,
        column="dead",
        name="dead-units",
        told="never answer to any picture",
        change=commands.setting("model.act", "leaky_relu"),
    )


def saturated_units(evidence: Evidence) -> Finding | None:
    """Bounded activations at their limits, where gradients are nothing."""
    return _lost_units(
        evidence,
        column="saturated",
        name="saturated-units",
        told="stand at the limit of their activation",
        change=commands.setting("model.act", "relu"),
    )


def _lost_units(
    evidence: Evidence, *, column: str, name: str, told: str, change: str
) -> Finding | None:
    table = signals.layers(evidence, column)
    rest = signals.unlearned(evidence)
    last = table[-1] if len(table) else np.empty(0)
    if not len(signals.known(last)) or not rest > 0.03:
        return None
    worst, mean = float(np.nanmax(last)), float(np.nanmean(last))
    if mean < 0.3 and worst < 0.6:
        return None
    return Finding(
        name=name,
        severity="error" if rest > 0.5 else "warning",
        message=f"{signals.percent(worst)} of the units of {signals.worst_layer(evidence, last)} "
        f"{told} ({signals.percent(mean)} over all layers).",
        evidence={
            "worst_layer": worst,
            "mean": mean,
            "train_error_of_chance": rest,
        },
        knob="activation",
        goal="fit training",
        command=commands.retrain(evidence, change, commands.setting("optimizer.lr0", None)),
        expected_gain=min(1.0, mean + 0.3) * _reach(evidence),
    )


def _reach(evidence: Evidence) -> float:
    """What there is to gain where the training part was not learned."""
    rest = signals.error(evidence, "train") / evidence.scale
    return min(1.0, rest) if math.isfinite(rest) else 1.0
