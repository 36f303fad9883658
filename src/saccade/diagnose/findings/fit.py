"""Faults that errors and curves show: too little learned, too much, too soon, from too little."""

from __future__ import annotations

from saccade.diagnose import commands, signals
from saccade.types import Evidence, Finding

HIGH = 0.6
"""Training error, as a share of chance, beyond that of working recipes on hard pictures: what they
leave unlearned after a few epochs the verdict tells; it is no fault."""

HELD = 0.3
"""The same where regularisation holds the fit back."""

NOTICEABLE = 0.1

TURNED = 1.02
"""Last dev losses over the best one from which on more of the same training does harm."""


def underfitting(evidence: Evidence) -> Finding | None:
    """The training part itself is not fitted: too short, too small or held back too much."""
    bias = signals.gap(evidence, "avoidable-bias")
    rest = signals.unlearned(evidence)
    updates = signals.updates_done(evidence)
    short = signals.short(evidence) and _rise(evidence) < TURNED
    # after a pass or two whatever is left is worth a longer training
    hardly_begun = short and signals.epochs_done(evidence) <= 2
    noticeable, floor = (0.02, 0.01) if hardly_begun else (NOTICEABLE, 0.02)
    if not (rest > noticeable and bias.low > floor * evidence.scale):
        return None
    if bias.value < signals.gap(evidence, "variance").value:
        return None
    knob, command = _more(evidence, short=short)
    high = HELD if knob == "regularisation" else HIGH
    return Finding(
        name="underfitting",
        severity="warning" if rest > high or short else "info",
        message=f"even the training part is not fitted: error {_told(evidence, 'train')} "
        f"after {updates} updates.",
        evidence={
            "avoidable_bias": signals.shown(bias),
            "train_error_of_chance": rest,
            "updates": updates,
        },
        knob=knob,
        goal="fit training",
        command=command,
        expected_gain=0.6 * bias.value / evidence.scale,
    )


def _more(evidence: Evidence, *, short: bool) -> tuple[str, str]:
    """What holds the fit back most: length, else regularisation, else size."""
    if short:
        epochs = max(10, 3 * signals.epochs_done(evidence))
        return "length", commands.retrain(evidence, f"--epochs {epochs}")
    held = []
    if float(commands.of_recipe(evidence, "model.dropout", 0.0)) > 0.3:
        held.append("--dropout 0.1")
    if float(commands.of_recipe(evidence, "optimizer.weight_decay", 0.0)) > 0.01 and (
        commands.of_recipe(evidence, "optimizer.name") == "sgd"
    ):
        held.append("--weight-decay 0.0005")
    if float(commands.of_recipe(evidence, "augment.erase", 0.0)) > 0.5:
        held.append(commands.setting("augment.erase", 0.0))
    if held:
        return "regularisation", commands.retrain(evidence, *held)
    return "length", commands.longer(evidence)


def overfitting(evidence: Evidence) -> Finding | None:
    """A gap that regularisation would narrow: it is off, or dev loss has been rising for long."""
    variance = signals.gap(evidence, "variance")
    dev = signals.error(evidence, "dev")
    rise = _rise(evidence)
    decay = float(commands.of_recipe(evidence, "optimizer.weight_decay", 0.0))
    off = not commands.augmented(evidence)
    unbound = off and decay < 1e-5
    floor = (0.001 if unbound else 0.01) * evidence.scale
    if not (variance.low > floor and variance.value > 0.4 * dev and (unbound or rise > 1.15)):
        return None
    return Finding(
        name="overfitting",
        severity="warning",
        message=f"the network knows its training part by heart: error {_told(evidence, 'train')} "
        f"there, {_told(evidence, 'dev')} on dev.",
        evidence={
            "variance": signals.shown(variance),
            "dev_loss_over_its_best": rise,
            "weight_decay": decay,
            "augmentation": int(not off),
        },
        knob="regularisation",
        goal="fit dev",
        command=commands.retrain(evidence, *commands.regularised(evidence)),
        expected_gain=0.5 * variance.value / evidence.scale,
    )


def _rise(evidence: Evidence) -> float:
    """The last dev losses over the best one; 1 where the best is among the last."""
    losses = signals.curve(evidence, "val/loss")
    if len(losses) < 5 or losses.min() <= 0:
        return 1.0
    return float(losses[-max(2, len(losses) // 6) :].mean() / losses.min())


FEW = 30
"""Training examples per class below which more of them is the first thing to want."""

SOME = 100
WIDE = 0.15
"""Below so many the same where the gap to dev is at least that wide."""

PASSES = 5
"""Epochs after which the number of updates is no longer a choice but that of the examples."""


def too_few_examples(evidence: Evidence) -> Finding | None:
    """Little data for the number of classes, and an error that only more of it mends."""
    counts = signals.class_counts(evidence)
    variance = signals.gap(evidence, "variance")
    used = signals.train_size(evidence)
    each = used / max(1, len(counts)) if counts else used
    wide = variance.low > WIDE * evidence.scale
    enough = (SOME if wide else FEW) * (1 if counts else 10)
    dev = evidence.errors.get("dev")
    # few examples are few updates too, and then even they are not learned
    passed = signals.short(evidence) and signals.epochs_done(evidence) >= PASSES
    missed = passed and dev is not None and dev.low > 0.05 * evidence.scale
    # how few there are also makes the interval of the training error wide: dev's alone counts
    gap = 0.0 if dev is None else dev.low - signals.error(evidence, "train")
    beyond = max(variance.low, gap if each < FEW else 0.0) > 0.01 * evidence.scale
    if each >= enough or not (beyond or missed):
        return None
    return Finding(
        name="too-few-examples",
        severity="warning",
        message=f"{used} training examples"
        + (f", {each:.0f} for each of {len(counts)} classes" if counts else "")
        + ": most of what dev shows was never seen.",
        evidence={"examples": used, "per_class": each, "variance": signals.shown(variance)},
        knob="amount of data",
        goal="fit dev",
        command=_more_data(evidence),
        expected_gain=0.7 * max(variance.value, 0.5 * dev.value if dev else 0.0) / evidence.scale,
    )


def _more_data(evidence: Evidence) -> str:
    """All there is, else what augmentation makes of it for longer."""
    if float(commands.of_recipe(evidence, "data.fraction", 1.0)) < 1:
        return commands.retrain(evidence, "--fraction 1")
    epochs = 3 * int(commands.of_recipe(evidence, "train.epochs", 10))
    return commands.retrain(evidence, f"--epochs {epochs}", *commands.regularised(evidence))


def stopped_too_soon(evidence: Evidence) -> Finding | None:
    """Early stopping fired on the noise of dev while there was something to learn."""
    planned = int(commands.of_recipe(evidence, "train.epochs", 0))
    done = signals.epochs_done(evidence)
    patience = int(commands.of_recipe(evidence, "train.patience", 0))
    fired = any("Stopped early" in line or "patience" in line for line in evidence.log)
    if not (fired or 0 < patience < done < planned) or done >= 0.8 * planned:
        return None
    if patience > max(4, 0.1 * planned):
        return None
    rates = signals.curve(evidence, "lr/pg0")
    left = float(rates[-1] / max(rates.max(), 1e-12)) if len(rates) else 1.0
    losses = signals.curve(evidence, "train/loss")
    falling = float(1 - losses[-1] / losses[max(0, len(losses) - 4)]) if len(losses) > 1 else 1.0
    dev = evidence.errors.get("dev")
    if dev is None or (left < 0.2 and falling < 0.01) or dev.high < 0.01 * evidence.scale:
        return None
    return Finding(
        name="stopped-too-soon",
        severity="warning",
        message=f"training stopped after {done} of {planned} epochs, at a patience of {patience}, "
        "while the loss was still falling.",
        evidence={
            "epochs": done,
            "planned": planned,
            "patience": patience,
            "rate_left": left,
            "dev_error": signals.shown(dev),
        },
        knob="patience",
        goal="fit training",
        command=commands.retrain(evidence, f"--patience {max(10, planned // 3)}"),
        expected_gain=0.7 * dev.value / evidence.scale,
    )


def dev_overfitted(evidence: Evidence) -> Finding | None:
    """Dev has been chosen on until it no longer tells: test is worse beyond noise."""
    found = signals.gap(evidence, "dev-overfitting")
    if "test" not in evidence.errors or found.low <= 0.005 * evidence.scale:
        return None
    return Finding(
        name="dev-overfitted",
        severity="warning",
        message=f"test error is {signals.error_text(evidence, found.value)} above dev error: "
        "dev no longer stands for new pictures.",
        evidence={
            "test_minus_dev": signals.shown(found),
            "dev_examples": evidence.errors["dev"].n,
            "test_examples": evidence.errors["test"].n,
        },
        knob="size of dev",
        goal="fit test",
        command=commands.fresh_dev(evidence),
        expected_gain=found.value / evidence.scale,
    )


def _told(evidence: Evidence, part: str) -> str:
    return signals.error_text(evidence, signals.error(evidence, part))
