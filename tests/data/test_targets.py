"""Annotations as tensors, and where they lie after their picture was moved."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from saccade.data.augment import Augment
from saccade.data.batches import Batches, encode_targets
from saccade.data.dataset import Dataset
from saccade.data.resize import lay_out
from saccade.errors import SaccadeError
from saccade.types import Example, Field, Geometry, Preprocessing

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.25)


def make(count: int, pixels: Tensor, targets: dict[str, Any], augment: Augment) -> Batches:
    """Grey pictures that are their own canvas and input, values 0..1."""
    height, width = pixels.shape[2:]
    geometry = Geometry(
        matrix=torch.eye(3).double().repeat(count, 1, 1),
        size=torch.tensor([[height, width]]).repeat(count, 1),
    )
    return Batches(
        pixels, geometry, targets, np.arange(count), height=height, width=width,
        mean=(0.0,), std=(1.0,), augment=augment, batch=count,
    )  # fmt: skip


class Nothing:
    def load(self, key: str) -> bytes:
        raise AssertionError(key)


def dataset(field: Field, targets: list[Any]) -> Dataset:
    examples = tuple(
        Example(key=f"{row}", target={field.name: target}) for row, target in enumerate(targets)
    )
    return Dataset(name="d", root="d", examples=examples, fields=(field,), source=Nothing())


def encoded(kind: Any, classes: tuple[str, ...], targets: list[Any]) -> dict[str, Any]:
    return encode_targets(dataset(Field(name="t", kind=kind, classes=classes), targets))


def test_encode_every_kind() -> None:
    nan = float("nan")
    assert encoded("label", ("a", "b"), ["b", None])["t"].tolist() == [1, -1]
    assert encoded("identity", ("a", "b"), ["b", "stranger"])["t"].tolist() == [1, -1]
    labels = encoded("labels", ("a", "b"), [["b"], [], None])["t"]
    assert torch.equal(labels[:2], torch.tensor([[0.0, 1], [0, 0]])) and labels[2].isnan().all()
    values = encoded("values", ("x", "y"), [[1, None], [2.5, 3]])["t"]
    assert torch.allclose(values, torch.tensor([[1, nan], [2.5, 3]]), equal_nan=True)
    box = encoded("box", ("a",), [{"box": [1, 2, 3, 4], "label": "a"}, {"box": None}, None])
    assert box["t.label"].tolist() == [0, -1, -1]
    assert box["t"][0].tolist() == [1, 2, 3, 4] and box["t"][1].tolist() == [0] * 4
    boxes = encoded("boxes", ("a", "b"), [[{"box": [1, 2, 3, 4], "label": "b"}], []])
    assert boxes["t"][0].shape == (1, 4) and boxes["t"][1].shape == (0, 4)
    assert boxes["t.label"][0].tolist() == [1]
    points = encoded("points", ("l", "r"), [[[1, 2], None], None])
    assert points["t"].shape == (2, 2, 2)
    assert points["t.visible"].tolist() == [[True, False], [False, False]]
    rows = encode_targets(dataset(Field(name="t", kind="label", classes=("a",)), ["a", None]), [1])
    assert rows["t"].tolist() == [-1]


@pytest.mark.parametrize(
    ("kind", "target", "name"),
    [
        ("label", "c", "unknown-class"),
        ("labels", ["a", "c"], "unknown-class"),
        ("values", [1.0], "bad-target"),
        ("values", ["x", "y"], "bad-target"),
        ("points", [[1, 2]], "bad-target"),
        ("boxes", [{"box": [1, 2, 3], "label": "a"}], "bad-target"),
    ],
)
def test_wrong_targets_name_their_example(kind: Any, target: Any, name: str) -> None:
    with pytest.raises(SaccadeError) as caught:
        encoded(kind, ("a", "b"), [None, target])
    assert caught.value.name == name and caught.value.files == ("1",)


def painted(place: tuple[int, int, int, int], size: tuple[int, int] = (48, 64)) -> Tensor:
    x1, y1, x2, y2 = place
    pixels = torch.zeros(1, 1, *size, dtype=torch.uint8)
    pixels[:, :, y1:y2, x1:x2] = 255
    return pixels


FOLLOWING = {
    "windows": Augment(flip=0.5, shift=0.2, padding="mean"),
    "resampled": Augment(shift=0.2, scale=(0.6, 1.4), rotate=30, warp=0.2, padding="mean"),
}


@pytest.mark.parametrize("name", FOLLOWING)
def test_boxes_points_and_masks_follow_their_picture(name: str) -> None:
    count, place = 60, (20, 12, 44, 36)
    pixels = painted(place).repeat(count, 1, 1, 1)
    corner = torch.tensor([[20.0, 12.0]]).repeat(count, 1, 1)
    targets = {
        "box": torch.tensor([place]).float().repeat(count, 1),
        "box.label": torch.zeros(count, dtype=torch.int64),
        "all": [torch.tensor([place, (0, 0, 4, 4)]).float()] * count,
        "all.label": [torch.tensor([0, 1])] * count,
        "dot": corner,
        "dot.visible": torch.ones(count, 1, dtype=torch.bool),
        "mask": (pixels[:, 0] > 0).to(torch.int16),
    }
    batches = make(count, pixels, targets, FOLLOWING[name])
    mirrored = 0
    for batch in batches.epoch(0):
        for row in range(len(batch)):
            lit = batch.inputs[row, 0] > 0.5
            mask = batch.targets["mask"][row]
            assert ((mask == 1) != lit).float().mean() < 0.02
            if batch.targets["box.label"][row] < 0:
                continue
            ys, xs = torch.nonzero(lit, as_tuple=True)
            tight = torch.stack([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]).float()
            # a pointed corner is too dim to be seen to its end
            assert (tight - batch.targets["box"][row]).abs().max() <= 2
            assert torch.equal(batch.targets["all"][row][0], batch.targets["box"][row])
            assert batch.geometry is not None
            x, y = batch.targets["dot"][row, 0].tolist()
            inside = 0 <= x <= 64 and 0 <= y <= 48
            assert bool(batch.targets["dot.visible"][row, 0]) == inside
            mirrored += abs(x - float(tight[2])) < abs(x - float(tight[0]))
    assert 10 < mirrored < 50


def test_an_object_that_leaves_is_dropped() -> None:
    pixels = painted((0, 0, 8, 8)).repeat(200, 1, 1, 1)
    targets = {
        "box": torch.tensor([[0.0, 0, 8, 8]]).repeat(200, 1),
        "box.label": torch.zeros(200, dtype=torch.int64),
        "all": [torch.tensor([[0.0, 0, 8, 8]])] * 200,
        "all.label": [torch.tensor([0])] * 200,
    }
    augment = Augment(mirror=0, shift=0.2, padding="mean")
    batch = next(make(200, pixels, targets, augment).epoch(0))
    left = batch.inputs.sum((1, 2, 3)) / 64
    kept = batch.targets["box.label"] >= 0
    assert torch.equal(kept, left >= 0.25) and 20 < kept.sum() < 180
    assert (batch.targets["box"][~kept] == 0).all()
    assert [len(boxes) for boxes in batch.targets["all"]] == kept.int().tolist()
    assert targets["all"][0].tolist() == [[0, 0, 8, 8]]  # the originals are untouched


def test_masks_on_a_padded_canvas() -> None:
    mask = np.zeros((10, 40), dtype=np.uint8)
    mask[:, 20:] = 2
    preprocessing = Preprocessing(height=20, width=20, channels=3, fit="pad", mean=MEAN, std=STD)
    store, laid = lay_out([np.zeros((10, 40, 3), np.uint8)], [(10, 40)], preprocessing)
    source = dataset(Field(name="t", kind="mask", classes=("a", "b", "c")), [mask])
    targets = encode_targets(source, geometry=laid, canvas=(20, 20))
    batches = Batches(store.permute(0, 3, 1, 2), laid, targets, [0], height=20, width=20,
                      mean=MEAN, std=STD)  # fmt: skip
    found = next(batches.epoch(0)).targets["t"][0]
    assert found.dtype == torch.int64
    top = (20 - 5) // 2
    assert (found[:top] == -1).all() and (found[top + 5 :] == -1).all()
    assert (found[top : top + 5, :10] == 0).all() and (found[top : top + 5, 10:] == 2).all()


def test_resampling_agrees_with_pillow() -> None:
    photo = Image.effect_noise((64, 64), 60).resize((48, 48), Image.Resampling.BICUBIC)
    pixels = torch.from_numpy(np.array(photo))[None, None]
    batches = make(1, pixels, {}, Augment(rotate=25, scale=(0.7, 0.9)))
    batch = next(batches.epoch(0))
    assert batch.geometry is not None
    back = torch.linalg.inv(batch.geometry.matrix[0])
    turned = photo.transform(
        (48, 48), Image.Transform.AFFINE, back[:2].flatten().tolist(), Image.Resampling.BILINEAR
    )
    inner = np.s_[12:36, 12:36]  # Pillow does not reflect at the edge
    ours = batch.inputs[0, 0].numpy() * 255
    assert np.abs(ours - np.asarray(turned, dtype=np.float32))[inner].mean() < 0.6
