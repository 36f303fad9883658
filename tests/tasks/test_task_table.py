"""The table: names, options, and the fields a task can learn."""

from __future__ import annotations

import json

import pytest

from saccade.errors import SaccadeError
from saccade.tasks import table
from saccade.types import Field, ModelCard, Preprocessing

LABEL = Field(name="label", kind="label", classes=("a", "b"))
OTHER = Field(name="other", kind="label", classes=("c", "d"))
LABELS = Field(name="labels", kind="labels", classes=("a", "b"))
VALUES = Field(name="values", kind="values", classes=("x",))
MASK = Field(name="mask", kind="mask", classes=("ground", "thing"))
BOXES = Field(name="boxes", kind="boxes", classes=("a",))
BOX = Field(name="box", kind="box", classes=("a",))
POINTS = Field(name="points", kind="points", classes=("left", "right"))


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("classification", (LABEL,)),
        ("multilabel", (LABELS,)),
        ("regression", (VALUES,)),
        ("multitask", (LABEL, LABELS, VALUES)),
        ("localization", (BOX,)),
        ("landmarks", (POINTS,)),
    ],
)
def test_a_task_takes_the_fields_it_can_learn(name, kept) -> None:
    task = table.create(name, [BOXES, LABEL, LABELS, VALUES, BOX, POINTS])
    assert task.fields == kept and task.name == name and task.sampling == "once"


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(SaccadeError, match="the tasks are: classification, multilabel"):
        table.create("clasification", [LABEL])
    with pytest.raises(SaccadeError, match=r"kind values; fields found: label \(label\)"):
        table.create("regression", [LABEL])
    with pytest.raises(SaccadeError, match=r"found 2: label, other.*multitask"):
        table.create("classification", [LABEL, OTHER])
    with pytest.raises(SaccadeError, match="unknown option gama; its options are: label_smooth"):
        table.create("classification", [LABEL], gama=2)


def test_options_are_told() -> None:
    assert table.accepts("classification", "binary") and not table.accepts("regression", "binary")
    assert set(table.options("regression")) == {"mean", "std", "loss_name", "sampling"}


@pytest.mark.parametrize("name", table.TASKS)
def test_a_task_comes_back_from_its_card(name) -> None:
    task = table.create(name, [LABEL, LABELS, VALUES, BOX, POINTS, MASK, BOXES])
    decision = {
        "multilabel": {"thresholds": (0.25, 0.75)},
        "multitask": {"thresholds": {"labels": (0.25, 0.75)}},
    }.get(name, {})
    card = ModelCard(
        task=name,
        fields=task.fields,
        model="lenet5",
        arguments={},
        preprocessing=Preprocessing(
            height=28, width=28, channels=1, fit="crop", mean=(0.5,), std=(0.5,)
        ),
        task_arguments=task.arguments(),
        decision=decision,
    )
    card = ModelCard.from_dict(json.loads(json.dumps(card.as_dict())))
    again = table.from_card(card)
    assert again.name == name and again.fields == task.fields
    if name == "multilabel":
        assert again.thresholds == (0.25, 0.75)
