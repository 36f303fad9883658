"""The first words and files of a run: what will happen, how long it takes, all that is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from saccade.data.pictures import mosaic
from saccade.experiment.assemble import Experiment
from saccade.experiment.prepare import labels_of
from saccade.experiment.scoring import printable
from saccade.files import write_atomic
from saccade.training.estimate import estimate
from saccade.training.run import environment


def announce(experiment: Experiment) -> None:
    """Say what will happen, and how long it will take."""
    recipe, prepared = experiment.recipe, experiment.prepared
    counts = {part: len(prepared.rows(part)) for part in ("train", "dev", "test")}
    told = ", ".join(f"{count} {part}" for part, count in counts.items() if count)
    parameters = sum(parameter.numel() for parameter in experiment.model.parameters())
    steps = len(experiment.train)
    expected = estimate(
        experiment.model,
        experiment.task,
        next(experiment.train.epoch(0)),
        hardware=experiment.hardware,
        steps=steps * experiment.epochs,
        evaluated=(len(experiment.clean.rows) + len(experiment.dev.rows)) * experiment.epochs,
        other_bytes=prepared.ingested.pixels.nbytes,
        state_copies=2 if recipe.optimizer.name == "sgd" else 3,
    )
    height, width = experiment.card.preprocessing.height, experiment.card.preprocessing.width
    hardware = experiment.hardware
    for line in (
        f"{prepared.dataset.name}: {told} ({prepared.method})",
        f"{experiment.task.name}: {prepared.dataset.reason}",
        f"{experiment.card.model}: {parameters:,} parameters, input {height} x {width} x "
        f"{experiment.card.preprocessing.channels}, batch {recipe.train.batch}, {hardware.name} "
        f"with {hardware.threads} threads, {hardware.precision}",
        f"Expected: {expected.sentence(experiment.epochs)}.",
        *experiment.told,
    ):
        experiment.say(line)
    for notice in prepared.notices:
        if notice.severity != "info":
            experiment.warn(f"{notice.severity}: {notice.message}")


def write_start(experiment: Experiment) -> None:
    """Everything that is known before the first step."""
    run, prepared = experiment.run, experiment.prepared
    if not run.writes:
        return
    recipe = experiment.recipe.as_dict()
    card = experiment.card
    origin = {"source": card.source, "licence": card.licence} if card.source else None
    about = {"data": prepared.dataset.origin, "saccade": environment()["saccade"]}
    labels = labels_of(run, experiment.recipe)
    if labels is not None and labels != run.labels:
        # what is said in the user's file from now on does not reach this run
        write_atomic(run.labels, labels.read_bytes())
    run.write_args({**recipe, "run": about | ({"weights": origin} if origin else {})})
    run.write_environment()
    images = prepared.ingested.images
    run.write_table(
        run.images,
        {
            "key": [printable(example.key) for example in prepared.dataset.examples],
            "split": list(prepared.part),
            **images,
        },
    )
    first = next(experiment.train.epoch(0))
    titles = [title(prepared.dataset.examples[row].target) for row in first.indices.tolist()]
    picture = mosaic(first, experiment.card.preprocessing, titles)
    picture.save(run.root / "train_batch0.jpg", quality=90)
    # the manifest marks the run as begun, so it comes last
    run.write_json(run.data, prepared.manifest)


def write_changes(experiment: Experiment, epoch: int) -> None:
    """Take what a resumed run changes into its args.yaml, and say so."""
    before = experiment.run.read_args()
    recipe = experiment.recipe.as_dict()
    told = [
        f"{section}.{key} {before[section].get(key)} -> {value}"
        for section, part in recipe.items()
        if isinstance(part, dict)
        for key, value in part.items()
        if before[section].get(key) != value
    ]
    if told:
        experiment.run.write_args({**before, **recipe})
        experiment.say(f"Changed from epoch {epoch} on: {', '.join(told)}.")


def title(target: Mapping[str, Any]) -> str:
    """An annotation in a few characters: class names, numbers; boxes and points are drawn."""
    words = [
        value if isinstance(value, str) else ", ".join(map(str, value))
        for value in target.values()
        if isinstance(value, str)
        or (isinstance(value, list) and not any(isinstance(item, dict | list) for item in value))
    ]
    return " ".join(words)
