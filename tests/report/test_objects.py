"""What the page tells of detections: a line a class, a dot where it is cut."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from saccade.report import objects
from saccade.tasks import table
from saccade.types import Batch, Detections, Field, Geometry, Scored


def details(classes: tuple[str, ...]) -> dict:
    """Of one picture: the one object of each class is found, and there is one false alarm each."""
    count = len(classes)
    places = torch.arange(count).float()[:, None] * 40
    there = torch.cat([places, places, places + 20, places + 20], 1)
    task = table.create("detection", [Field(name="it", kind="boxes", classes=classes)])
    found = Detections(
        classes=classes,
        boxes=torch.cat([there, there + 1000]),
        scores=torch.cat([torch.full((count,), 0.9), torch.full((count,), 0.4)]),
        labels=torch.arange(count).repeat(2),
    )
    batch = Batch(
        inputs=torch.zeros(1, 3, 8, 8),
        targets={"it": [there], "it.label": [torch.arange(count)]},
        indices=torch.arange(1),
        geometry=Geometry(matrix=torch.eye(3).double()[None], size=torch.tensor([[4000, 4000]])),
    )
    metric = task.metric()
    metric.update(Scored(results=[found], losses=torch.zeros(1), errors=torch.zeros(1)), batch)
    return metric.details()


def records(found: dict) -> SimpleNamespace:
    return SimpleNamespace(details={"dev": found})


def test_a_line_for_each_class_and_a_dot_where_it_is_cut() -> None:
    section = objects.section(records(details(("cat", "dog <b>"))))
    assert section is not None
    assert section["precision"].count("<polyline") == section["f1"].count("<polyline") == 2
    assert section["f1"].count("<circle") == 2
    assert "<b>" not in section["f1"]  # names are data, not markup
    assert section["legend"] == [("c0", "cat 1.00"), ("c1", "dog <b> 1.00")]
    assert section["hits"] == 2
    assert {row["name"]: row["count"] for row in section["mistakes"]}["background"] == 2
    assert [row["objects"] for row in section["sizes"]] == [2, 0, 0]


def test_of_many_classes_the_weakest() -> None:
    found = details(tuple(f"c{number}" for number in range(20)))
    for name in ("c3", "c17"):
        found["per_class"][name]["ap50"] = 0.2
    found["per_class"]["c4"]["ap50"] = None  # does not occur
    section = objects.section(records(found))
    assert section is not None
    assert section["shown"] == 8
    assert {"c3 0.20", "c17 0.20"} <= {name for _, name in section["legend"]}
    assert "c4" not in " ".join(name for _, name in section["legend"])


@pytest.mark.parametrize("found", [{}, {"per_class": {}}, {"mistakes": []}])
def test_other_tasks_have_none(found: dict) -> None:
    assert objects.section(records(found)) is None
