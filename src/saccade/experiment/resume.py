"""The recipe of a run that goes on."""

from __future__ import annotations

from typing import Any

from saccade.errors import SaccadeError
from saccade.recipe import KEYS, Recipe, from_dict, make_recipe
from saccade.training.run import RunFolder

MAY_CHANGE = (
    "train.epochs",
    "train.patience",
    "data.workers",
    "train.device",
    "optimizer.lr0",
    "optimizer.schedule",
    "optimizer.last_rate",
    "optimizer.weight_decay",
)
"""Settings that a resumed run may be given anew; anything else belongs in a run of its own."""


def resumed_recipe(run: RunFolder, given: dict[str, Any], asked: Recipe | None = None) -> Recipe:
    """The recipe of a run that goes on, with what may change; anything else is an error.

    asked: what a recipe file says, with `given` in it
    """
    values = run.read_args()
    values.pop("run", None)
    before = from_dict(values)
    wanted = _said(asked) | {KEYS.get(key, key): value for key, value in given.items()}
    allowed = {key: value for key, value in wanted.items() if key in MAY_CHANGE}
    if allowed.get("optimizer.lr0") == "auto":
        del allowed["optimizer.lr0"]  # it was found at the start; a trained network would mislead
    changed = [
        key
        for key in wanted
        if key not in MAY_CHANGE and make_recipe({key: wanted[key]}, before) != before
    ]
    if changed:
        raise SaccadeError(
            f"--resume: {run.root} was begun with another {', '.join(changed)}. Leave it out to "
            f"go on, or start a run of another --name. (May change: {', '.join(MAY_CHANGE)}.)",
            name="resume-differs",
        )
    return make_recipe(allowed, before)


def _said(asked: Recipe | None) -> dict[str, Any]:
    """Settings of a recipe that are not what every recipe begins with."""
    values, usual = (asked or Recipe()).as_dict(), Recipe().as_dict()
    return {
        f"{section}.{key}": value
        for section, part in values.items()
        if isinstance(part, dict)
        for key, value in part.items()
        if value != usual[section][key]
    }
