"""Faults of the recipe's numbers: learning rate, batch, scale of the input, frozen layers."""

from __future__ import annotations

import math

import numpy as np

from saccade.diagnose import commands, signals
from saccade.diagnose.findings.health import GROWN
from saccade.types import Evidence, Finding

BIG_STEPS = 0.03
"""Relative change of weights per update; about 1e-3 is usual, beyond this nothing settles."""

SMALL_STEPS = 2e-4

FAR = 8.0
"""Times the usual rate, which good recipes exceed fivefold at most."""


def learning_rate_too_high(evidence: Evidence) -> Finding | None:
    """Updates so large that the loss jumps instead of falling."""
    ratio = signals.update_ratio(evidence, typical=True)
    relative = signals.relative_rate(evidence)
    broke = signals.broke_down(evidence) and not signals.growth(evidence) > GROWN
    rest = signals.unlearned(evidence)
    jump = signals.largest_drop(evidence)
    shaken = signals.first_loss(evidence) > 1.1 or rest > 0.08 or jump > 0.08
    large = ratio > BIG_STEPS or relative > FAR
    beyond_doubt = relative > FAR and ratio > BIG_STEPS / 3
    if not (broke or beyond_doubt or (shaken and large and relative > 2)):
        return None
    rate = float(commands.of_recipe(evidence, "optimizer.lr0", math.nan))
    dev = signals.error(evidence, "dev") / evidence.scale
    gain = 1.0 if broke or not math.isfinite(rest) else max(0.9 * rest, 0.7 * dev)
    return Finding(
        name="learning-rate-too-high",
        severity="error" if broke or rest > 0.5 else "warning",
        message=f"the learning rate {rate:g} is too high"
        + (": the loss is no longer a number." if broke else "; the loss jumps."),
        evidence={
            "lr0": rate,
            "over_usual": relative,
            "update_ratio": ratio,
            "first_loss_over_chance": signals.first_loss(evidence),
            "largest_drop_of_the_score": jump,
        },
        knob="learning rate",
        goal="fit training",
        command=commands.retrain(evidence, _usual(evidence)),
        expected_gain=min(1.0, gain),
    )


def learning_rate_too_low(evidence: Evidence) -> Finding | None:
    """Updates so small that training ends before it has got anywhere."""
    ratio = signals.update_ratio(evidence)
    relative = signals.relative_rate(evidence)
    rest = signals.unlearned(evidence)
    bias = signals.gap(evidence, "avoidable-bias")
    if not (rest > 0.05 and bias.low > 0.01 * evidence.scale and relative < 0.2):
        return None
    if ratio > 5 * SMALL_STEPS and relative > 0.05:
        return None
    rate = float(commands.of_recipe(evidence, "optimizer.lr0", math.nan))
    return Finding(
        name="learning-rate-too-low",
        severity="warning",
        message=f"the learning rate {rate:g} is too low: {signals.updates_done(evidence)} updates "
        f"have learned {signals.percent(1 - rest)} of what there is.",
        evidence={
            "lr0": rate,
            "over_usual": relative,
            "update_ratio": ratio,
            "avoidable_bias": signals.shown(bias),
        },
        knob="learning rate",
        goal="fit training",
        command=commands.retrain(evidence, _usual(evidence)),
        expected_gain=0.9 * bias.value / evidence.scale,
    )


def _usual(evidence: Evidence) -> str:
    """The rate to try: half of what good recipes reach; saccade's choice where unsure of that.

    Short trainings with batch norm want the upper end; others and pretrained weights may not
    bear it.
    """
    normed = any(name.endswith("running_mean") for name in evidence.tensors)
    own = commands.of_recipe(evidence, "model.weights", "none") == "none"
    sgd = commands.of_recipe(evidence, "optimizer.name") == "sgd"
    relative = signals.relative_rate(evidence)
    if not (sgd and normed and own and relative > 0):
        return commands.setting("optimizer.lr0", None)
    usual = float(commands.of_recipe(evidence, "optimizer.lr0")) / relative
    return f"--lr0 {FAR / 2 * usual:.3g}"


def unnormalised_input(evidence: Evidence) -> Finding | None:
    """Numbers that enter the network are far from mean 0 and spread 1."""
    data = evidence.recipe.get("data", {})
    mean, std = data.get("mean"), data.get("std")
    if not mean or not std or not len(evidence.images.get("mean", ())):
        return None
    training = evidence.images["split"] == "train"
    level = float(evidence.images["mean"][training].mean()) / 255
    spread = (
        float(
            np.sqrt(
                np.square(evidence.images["std"][training]).mean()
                + evidence.images["mean"][training].var()
            )
        )
        / 255
    )
    # one level stands for all channels: pictures' facts are of their grey values
    shift = (level - float(np.mean(mean))) / float(np.mean(std))
    scale = spread / float(np.mean(std))
    if abs(shift) < 2.5 and 1 / 8 < scale < 4:
        return None
    rest = signals.unlearned(evidence)
    return Finding(
        name="unnormalised-input",
        severity="error" if scale > 20 or abs(shift) > 20 or scale < 1 / 50 else "warning",
        message=f"the network's input has mean {shift:.2g} and spread {scale:.2g} where 0 and 1 "
        "are expected.",
        evidence={"input_mean": shift, "input_std": scale, "train_error_of_chance": rest},
        knob="normalisation of the input",
        goal="fit training",
        command=commands.retrain(
            evidence, commands.setting("data.mean", None), commands.setting("data.std", None)
        ),
        expected_gain=max(0.05, 0.9 * rest) if math.isfinite(rest) else 1.0,
    )


def batch_too_small(evidence: Evidence) -> Finding | None:
    """Batch norm over a handful of examples: its statistics are noise."""
    batch = int(commands.of_recipe(evidence, "train.batch", 32))
    pieces = int(commands.of_recipe(evidence, "train.accumulate", 1))
    batch = math.ceil(batch / pieces)
    normed = any(name.endswith("running_mean") for name in evidence.tensors)
    dev = evidence.errors.get("dev")
    # of crops with masks every place counts: two of them are thousands of numbers for each channel
    least = 1 if commands.of_recipe(evidence, "data.crop") else 6
    if batch > least or not normed or dev is None or dev.high < 0.01 * evidence.scale:
        return None
    return Finding(
        name="batch-too-small",
        severity="warning",
        message=f"batch norm sees {batch} examples at a time; its statistics are mostly noise.",
        evidence={"batch": batch, "dev_error": signals.shown(dev)},
        knob="batch size",
        goal="fit training",
        # pieces may be all that fits into memory: then a norm that needs no batch
        command=commands.retrain(evidence, commands.setting("model.norm", "group"))
        if pieces > 1
        else commands.retrain(evidence, "--batch 32", commands.setting("optimizer.lr0", None)),
        expected_gain=0.9 * dev.value / evidence.scale,
    )


def frozen_too_much(evidence: Evidence) -> Finding | None:
    """Layers are kept as they were, and what is left cannot fit the training part."""
    freeze = str(commands.of_recipe(evidence, "model.freeze", "none"))
    bias = signals.gap(evidence, "avoidable-bias")
    rest = signals.unlearned(evidence)
    if freeze in ("none", "0", "") or not (rest > 0.1 and bias.low > 0.02 * evidence.scale):
        return None
    if signals.epochs_done(evidence) <= 2:
        return None  # whatever learns has had no time
    if bias.value < signals.gap(evidence, "variance").value:
        return None
    return Finding(
        name="frozen-too-much",
        severity="warning",
        message=f"with freeze={freeze} too little is left to learn: training error "
        f"{signals.error_text(evidence, signals.error(evidence, 'train'))}.",
        evidence={"avoidable_bias": signals.shown(bias), "train_error_of_chance": rest},
        knob="frozen layers",
        goal="fit training",
        command=commands.retrain(evidence, commands.setting("model.freeze", "none")),
        expected_gain=0.8 * bias.value / evidence.scale,
    )


LITTLE = 300
"""Training examples below which all of a pretrained network is too much to move."""


FORGETS = 1.02
"""Dev loss at the end over that after the first epoch in which the pretrained layers moved."""


def frozen_too_little(evidence: Evidence) -> Finding | None:
    """Pretrained weights are all moved by few examples, and dev gets worse from then on."""
    weights = str(commands.of_recipe(evidence, "model.weights", "none"))
    freeze = str(commands.of_recipe(evidence, "model.freeze", "none"))
    used = signals.train_size(evidence)
    if weights == "none" or freeze not in ("none", "0", "") or used >= LITTLE:
        return None
    moving = int(commands.of_recipe(evidence, "model.head_epochs", 0) or 0)
    losses = signals.curve(evidence, "val/loss")[moving:]
    learned = signals.curve(evidence, "train/loss")[moving:]
    scores = signals.scores(evidence)[moving:]
    dev = signals.error(evidence, "dev")
    if len(losses) < 4 or not losses[-2:].mean() > FORGETS * losses[0] > 0:
        return None
    if not learned[-1] < learned[0] or scores[-2:].mean() > scores[0]:
        return None
    return Finding(
        name="frozen-too-little",
        severity="warning",
        message=f"{used} examples move all of a pretrained network, and it forgets what it knew: "
        f"dev loss {losses[0]:.3g} after the first epoch of that, {losses[-1]:.3g} in the end.",
        evidence={
            "examples": used,
            "dev_loss_before": float(losses[0]),
            "dev_loss_in_the_end": float(losses[-1]),
        },
        knob="frozen layers",
        goal="fit dev",
        command=commands.retrain(evidence, commands.setting("model.freeze", "all")),
        expected_gain=0.3 * dev / evidence.scale,
    )
