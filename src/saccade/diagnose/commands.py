"""What to type: commands that turn one knob of a run and leave the rest of its recipe as it was."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from saccade.types import Evidence

DATA = "DATA"
"""Stands for data of which it is not known where they lie."""


def data_of(evidence: Evidence) -> str:
    """The run's data as the user named them, ready for a shell; DATA where they are gone."""
    return DATA if gone(evidence) else shlex.quote(_origin(evidence))


def gone(evidence: Evidence) -> bool:
    """Whether the data do not lie where they were trained on any more."""
    origin = Path(_origin(evidence))
    return origin.is_absolute() and not origin.exists()


def _origin(evidence: Evidence) -> str:
    return str(evidence.recipe.get("run", {}).get("data", DATA))


def retrain(evidence: Evidence, *changes: str, data: str | None = None) -> str:
    """Train again with the run's own recipe and `changes`, such as "--lr0 0.01"."""
    recipe = shlex.quote((Path(evidence.run) / "args.yaml").as_posix())
    return " ".join(
        ["saccade train", data or data_of(evidence), "--recipe", recipe, *changes]
    ).strip()


def setting(path: str, value: Any) -> str:
    """--set for a key of the recipe; None takes the choice back to saccade."""
    return f"--set {shlex.quote(f'{path}={_text(value)}')}"


def _text(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def of_recipe(evidence: Evidence, path: str, otherwise: Any = None) -> Any:
    """A value of the complete recipe by its full path, "optimizer.lr0"."""
    section, _, key = path.rpartition(".")
    part = evidence.recipe.get(section, {}) if section else evidence.recipe
    value = part.get(key) if isinstance(part, dict) else None
    return otherwise if value is None else value


# what switches augmentation back to the choice that fits the data
DEFAULT_AUGMENT = tuple(
    f"augment.{name}"
    for name in ("mirror", "flip", "shift", "scale", "ratio", "rotate", "shear", "warp")
)


def longer(evidence: Evidence, times: float = 3.0) -> str:
    epochs = int(of_recipe(evidence, "train.epochs", 10))
    return retrain(evidence, f"--epochs {max(epochs + 1, round(epochs * times))}")


def larger_dev(evidence: Evidence) -> str:
    """More examples in dev; from a table where the user's files name it.

    Without a table it has to be enlarged by hand (`by_hand`), and the same recipe run again.
    """
    if named_dev(evidence):
        return without(evidence, "redrawn") if tabular(evidence) else retrain(evidence)
    parts = evidence.data.get("parts", {})
    total = max(1, sum(parts.values()))
    share = min(0.4, max(0.2, 2 * parts.get("dev", 0) / total))
    return retrain(evidence, setting("data.dev", round(share, 2)))


def augmented(evidence: Evidence) -> bool:
    """Whether training pictures are changed at random at all."""
    values = evidence.recipe.get("augment", {})
    still: dict[str, Any] = {"scale": [1.0, 1.0], "ratio": [1.0, 1.0]}
    chosen = {key: value for key, value in values.items() if key not in ("padding", "alternate")}
    return any(
        list(value) != still[key] if key in still else value > 0
        for key, value in chosen.items()
        if value is not None
    )


def regularised(evidence: Evidence) -> list[str]:
    """The regularisation to turn up next: what is off first, then more of what is on."""
    changes: list[str] = []
    if float(of_recipe(evidence, "data.fraction", 1.0)) < 1:
        return ["--fraction 1"]
    if not augmented(evidence):
        changes += [setting(path, None) for path in DEFAULT_AUGMENT]
    decay = float(of_recipe(evidence, "optimizer.weight_decay", 0.0))
    if decay < 1e-4:
        usual = 0.05 if of_recipe(evidence, "optimizer.name") == "adamw" else 5e-4
        changes.append(f"--weight-decay {usual}")
    if changes:
        return changes
    erase = float(of_recipe(evidence, "augment.erase", 0.0))
    shift = float(of_recipe(evidence, "augment.shift", 0.0))
    if erase == 0:
        return [setting("augment.erase", 0.25), setting("augment.shift", max(0.1, shift))]
    return [f"--weight-decay {3 * decay:.3g}"]


def test(evidence: Evidence) -> str:
    """Measure once on what nothing was chosen on; where there is no such part, use the network."""
    run = shlex.quote(Path(evidence.run).as_posix())
    if evidence.data.get("parts", {}).get("test") and "test" not in evidence.errors:
        return f"saccade val {run} --split test"
    return f"saccade report {run}"


def resume(evidence: Evidence) -> str:
    """Go on with a run that was stopped: this one, whatever its neighbours are called."""
    run = Path(evidence.run).absolute()
    words = [
        f"--task {evidence.task}",
        f"--project {shlex.quote(_project(evidence, run).as_posix())}",
        f"--name {shlex.quote(run.name)} --exist-ok --resume",
    ]
    return " ".join(["saccade train", data_of(evidence), *words])


def _project(evidence: Evidence, run: Path) -> Path:
    """PROJECT of PROJECT/TASK/NAME; the folder of a run that lies elsewhere."""
    return run.parent.parent if run.parent.name == evidence.task else run.parent


def put_back(evidence: Evidence) -> str:
    """What to do before a run that was moved can be resumed; nothing where it lies as it was."""
    run = Path(evidence.run).absolute()
    if run.parent.name == evidence.task:
        return ""
    return f"move the run to {run.parent / evidence.task / run.name}, then "


def fresh_dev(evidence: Evidence) -> str:
    """A larger dev part, drawn anew."""
    if named_dev(evidence):
        return larger_dev(evidence)
    seed = int(of_recipe(evidence, "data.seed", 0)) + 1
    return f"{larger_dev(evidence)} --set data.seed={seed}"


def by_hand(evidence: Evidence) -> str:
    """What to do before a larger dev can be judged on; nothing where the command does it."""
    if named_dev(evidence) and not tabular(evidence):
        return "add pictures to the dev part of the data, then "
    return ""


def named_dev(evidence: Evidence) -> bool:
    """Whether dev is the part that the user's files name, so that no setting changes it."""
    kept = str(evidence.data.get("method", "")).partition(";")[0]
    return "as the files name" in kept and "dev" in kept


TABULAR = {"label", "labels", "values"}
"""Kinds of annotation that a table with a line for each picture can hold."""


def without(evidence: Evidence, what: str, *, trained_on: float = 1.0) -> str:
    """Train on a table that `saccade diagnose` writes into the run: the data less what is at fault.

    trained_on: share of the training pictures that stays; as many updates are made as before.
    Samples and archives have no files, boxes, points and masks no single line; then the nearest
    setting.
    """
    if tabular(evidence):
        place = Path(evidence.run) / "advice" / f"{what}.csv"
        epochs = int(of_recipe(evidence, "train.epochs", 10))
        as_many = round(epochs / max(trained_on, 0.1))
        longer = [f"--epochs {as_many}"] if as_many != epochs else []
        return retrain(evidence, *longer, data=shlex.quote(place.as_posix()))
    if what == "suspects":
        return retrain(evidence, setting("loss.label_smoothing", 0.2), "--weight-decay 0.002")
    if what == "mismatch":
        return retrain(
            evidence, setting("augment.brightness", 0.3), setting("augment.contrast", 0.3)
        )
    return f"saccade check {data_of(evidence)}"


def tabular(evidence: Evidence) -> bool:
    """Whether a table can name the examples: pictures that are files, annotated in a line each."""
    kinds = {field["kind"] for field in evidence.data.get("fields", ())}
    first = next((entry["key"] for entry in evidence.data.get("examples", ())), "")
    root = Path(root_of(evidence))
    # rows of a file and members of an archive are no files; a folder that is gone may come back
    gone = not root.exists()
    inside = "#" in first if gone else not (root / first).is_file()
    return kinds <= TABULAR and not inside and not data_of(evidence).startswith("sample:")


def root_of(evidence: Evidence) -> str:
    """The folder that keys of examples are below."""
    return str(evidence.data.get("root", ""))
