"""Landmarks: the error by hand, names under a mirror, which points count."""

from __future__ import annotations

import math

import pytest
import torch

from saccade.data.follow import follow
from saccade.errors import SaccadeError
from saccade.models import catalog
from saccade.tasks import pairing, table, voting
from saccade.tasks.landmarks import LandmarksTask
from saccade.types import Batch, Field, Geometry, Landmarks

SIDE = 64
NAMES = ("left_eye", "right_eye", "nose")
FACE = pairing.FACE


def task_of(*names: str, **options: str) -> LandmarksTask:
    fields = (Field(name="points", kind="points", classes=names or NAMES),)
    return LandmarksTask(fields=fields, **options)


def batch_of(points: torch.Tensor, visible: torch.Tensor, **more: Geometry) -> Batch:
    return Batch(
        inputs=torch.randn(len(points), 3, SIDE, SIDE),
        targets={"points": points, "points.visible": visible},
        indices=torch.arange(len(points)),
        **more,
    )


def test_error_is_the_mean_distance_by_the_eyes():
    points = torch.tensor([[[10.0, 10], [30, 10], [20, 30]]] * 3)
    visible = torch.tensor([[True, True, True], [True, False, True], [False, False, False]])
    found = points + torch.tensor([[3.0, 4.0], [0, 0], [0, 10.0]])
    results = [Landmarks(names=NAMES, points=own, scores=torch.ones(3)) for own in found]
    errors = task_of().normalised_errors(results, batch_of(points, visible))
    diagonal = math.hypot(10, 20)  # an eye is missing: of the box of what is visible
    assert errors[:2].tolist() == pytest.approx([(5 + 0 + 10) / 3 / 20, (5 + 10) / 2 / diagonal])
    assert errors[2].isnan()
    by_box = task_of(normalise_by="box").normalised_errors(results, batch_of(points, visible))
    assert by_box[0].item() == pytest.approx(5 / math.hypot(20, 20))


def test_mirrored_pictures_exchange_names():
    points = torch.tensor([[[10.0, 10], [40, 12], [20, 30]]] * 2)
    visible = torch.tensor([[True, False, True]] * 2)
    matrices = torch.eye(3, dtype=torch.float64).repeat(2, 1, 1)
    matrices[1, 0, 0], matrices[1, 0, 2] = -1, SIDE
    targets = follow(
        {"points": points, "points.visible": visible}, torch.arange(2), matrices, (SIDE, SIDE)
    )
    geometry = Geometry(matrix=matrices, size=torch.tensor([[SIDE, SIDE]] * 2))
    batch = batch_of(targets["points"], targets["points.visible"], geometry=geometry)
    named = task_of().renamed(batch).targets
    assert named["points"][0].tolist() == points[0].tolist()
    # what lies left in the mirror is called left: the right eye's place, seen from the other side
    assert named["points"][1].tolist() == [[24, 12], [54, 10], [44, 30]]
    assert named["points.visible"].tolist() == [[True, False, True], [False, True, True]]
    kept = task_of(pairs="none").renamed(batch).targets
    assert kept["points"][1].tolist() == [[54, 10], [24, 12], [44, 30]]


def test_pairs_of_faces_are_those_that_a_mirror_makes():
    """On a symmetric face, mirrored x of a point is x of its partner: a drawing of the scheme."""
    order = pairing.swapped(FACE, None)
    assert sorted(order) == list(range(68))
    assert all(order[order[place]] == place for place in range(68))
    alone = [place for place in range(68) if order[place] == place]
    assert alone == [8, 27, 28, 29, 30, 33, 51, 57, 62, 66]
    assert order[0] == 16 and order[36] == 45 and order[48] == 54


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("left_eye", "right_eye", "nose"), (1, 0, 2)),
        (("eye_l", "nose", "eye_r"), (2, 1, 0)),
        (("Left Eye", "Right Eye"), (1, 0)),
        (("tail", "leg"), (0, 1)),
        # both sides in one name change at once
        (
            (
                "left_eye_left_corner",
                "left_eye_right_corner",
                "right_eye_left_corner",
                "right_eye_right_corner",
            ),
            (3, 2, 1, 0),
        ),
        (("left_ear", "tail"), (0, 1)),
    ],
)
def test_pairs_told_from_names(names, expected):
    assert pairing.swapped(names, None) == expected


def test_declared_pairs_and_yardsticks():
    assert pairing.swapped(("a", "b", "c"), "a:c") == (2, 1, 0)
    assert pairing.yardstick(("a", "b", "c"), "c,a") == (2, 0)
    assert pairing.yardstick(FACE, None) == (36, 45)
    outer = ("left_eye_inner", "right_eye_inner", "left_eye_outer", "right_eye_outer")
    assert pairing.yardstick(outer, None) == (2, 3)
    for wrong in ("a", "a:b:c", "a:x", "a:b,b:c"):
        with pytest.raises(SaccadeError):
            task_of("a", "b", "c", pairs=wrong)
    for wrong in ("a", "a,a", "a,x"):
        with pytest.raises(SaccadeError):
            task_of("a", "b", "c", normalise_by=wrong)


def test_invisible_points_do_not_count():
    task = task_of()
    outputs = torch.rand(2, 3, 3, requires_grad=True)
    visible = torch.tensor([[True, False, True], [False, False, False]])
    parts = task.parts(outputs, batch_of(torch.rand(2, 3, 2) * SIDE, visible))
    assert parts["points"][1] == 0 and parts["visible"][1] == 0
    sum(part.sum() for part in parts.values()).backward()
    assert outputs.grad is not None and not outputs.grad[0, 1, :2].any()
    assert outputs.grad[0, 1, 2] != 0 and not outputs.grad[1].any()


def test_metric_and_table():
    made = table.create("landmarks", task_of().fields, pairs="none")
    assert made.arguments() == {"pairs": "none", "normalise_by": None, "sampling": "once"}
    assert table.mirrors(made) and not table.mirrors(task_of("a", "b"))
    model = made.build(catalog.create("squeezenet1_1"))
    points = torch.tensor([[[10.0, 10], [30, 10], [20, 30]]] * 2)
    batch = batch_of(points, torch.tensor([[True] * 3, [False] * 3]))
    scored = made.evaluate(model.eval(), batch)
    assert scored.errors.isnan().tolist() == [False, True]
    metric = made.metric()
    metric.update(scored, batch)
    found = metric.compute()
    assert found["nme"].value == pytest.approx(scored.errors[0].item()) and found["nme"].n == 1
    assert found["failure_rate"].value == 1.0
    assert metric.details()["divided_by"] == ["left_eye", "right_eye"]


def test_votes_are_drawn_to_the_four_nearest_positions():
    """Of a point between positions: shares as bilinear interpolation has them, loss lowest."""
    places = torch.tensor([[[0.5, 0.25], [-1.0, 2.0]]])  # of a 2 x 4 map; the second lies outside
    shares = torch.full((1, 2, 2, 4), 1e-6)
    shares[0, 0, 0, 1:3] = 0.5
    shares[0, 1, 1, 0] = 1.0
    best = voting.missed_votes(shares.log(), places)
    assert best[0].tolist() == pytest.approx([math.log(2), 0.0], abs=1e-4)
    even = voting.missed_votes(torch.full((1, 2, 2, 4), 1 / 8).log(), places)
    assert even[0].tolist() == pytest.approx([math.log(8)] * 2)
