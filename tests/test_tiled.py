"""Detection in tiles: every thing once, at its place, however the borders cut it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor, nn

from saccade.errors import SaccadeError
from saccade.ops.tiles import merge
from saccade.predict import Predictor
from saccade.tasks import table
from saccade.tiled import Tiles
from saccade.training.device import choose
from saccade.types import Field, ModelCard, Preprocessing

FIELDS = (Field(name="objects", kind="boxes", classes=("small", "large")),)


@dataclass
class Box:
    boxes: Tensor
    scores: Tensor
    labels: Tensor


class Blobs(nn.Module):
    """Finds what is bright, if it spans three pixels of the input or more."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[tuple[int, ...]] = []

    def detect(self, images: Tensor, *, confidence: float, iou: float, limit: int) -> list[Box]:
        self.sizes += [tuple(each.shape) for each in images]
        answers = []
        for image in images:
            numbers, _ = ndimage.label(image[0].numpy() > 0.5)
            found = [
                [columns.start, rows.start, columns.stop, rows.stop]
                for rows, columns in ndimage.find_objects(numbers)
                if min(rows.stop - rows.start, columns.stop - columns.start) >= 3
            ]
            boxes = torch.tensor(found, dtype=torch.float32).view(-1, 4)
            scores = torch.full((len(found),), 0.6)
            answers.append(Box(boxes, scores, torch.zeros(len(found), dtype=torch.int64)))
        return answers


def predictor(**data: int) -> Predictor:
    task = table.create("detection", FIELDS)
    card = ModelCard(
        task="detection",
        fields=FIELDS,
        model="yolo",
        arguments={},
        preprocessing=Preprocessing(
            height=64, width=64, channels=1, fit="pad", mean=(0.0,), std=(1.0,)
        ),
        data=data,
    )
    return Predictor(model=Blobs(), task=task, card=card, hardware=choose("cpu", "fp32"))


def drawn(boxes: list[list[int]], height: int = 300, width: int = 420) -> np.ndarray:
    pixels = np.zeros((height, width, 1), dtype=np.uint8)
    for x1, y1, x2, y2 in boxes:
        pixels[y1:y2, x1:x2] = 255
    return pixels


def test_small_things_are_found_once_and_in_their_place():
    random = np.random.default_rng(0)
    wanted = [
        [x, y, x + w, y + h]
        for y in range(5, 270, 30)
        for x in range(5, 390, 30)
        for w, h in [random.integers(6, 16, 2).tolist()]
    ]
    whole = predictor()([drawn(wanted)])[0].result
    tiles = Tiles(predictor())
    assert tiles.side == 64
    found = tiles.find(drawn(wanted))
    assert len(whole.boxes) < len(wanted)  # too small when the picture is
    assert sorted(found.boxes.round().int().tolist()) == sorted(wanted)
    assert "tiles of 64 x 64" in tiles.sentence()


def test_a_thing_larger_than_a_tile_is_found_whole():
    wanted = [[40, 40, 260, 260], [300, 100, 312, 112]]
    found = Tiles(predictor()).find(drawn(wanted))
    # the large one is seen in the small picture alone, whose pixels are as coarse as this
    assert torch.allclose(found.boxes, torch.tensor(wanted).float(), atol=7)


def test_tiles_are_as_large_as_training_pictures_unless_told():
    usual = predictor(side=128)
    assert Tiles(usual).side == 128
    assert Tiles(usual, 200).side == 200
    model = usual.model
    Tiles(usual).find(drawn([[10, 10, 30, 30]], 100, 120))
    assert model.sizes == [(1, 64, 64)]  # fits into one tile: seen once


def test_pieces_go_where_the_whole_is():
    boxes = torch.tensor(
        [[0, 0, 20, 20], [0, 0, 9, 20], [9, 0, 20, 20], [30, 0, 40, 9], [0, 0, 8, 20.0]]
    )
    scores = torch.tensor([0.5, 0.9, 0.4, 0.8, 0.7])
    labels = torch.tensor([0, 0, 0, 0, 1])
    cut = torch.tensor([False, True, True, True, True])
    kept = merge(boxes, scores, labels, cut, threshold=0.6, limit=10)
    assert kept.tolist() == [3, 4, 0]


def test_what_has_no_boxes_has_no_tiles():
    labels = (Field(name="label", kind="label", classes=("a", "b")),)
    other = predictor()
    classifier = Predictor(
        model=other.model,
        task=table.create("classification", labels),
        card=other.card,
        hardware=other.hardware,
    )
    with pytest.raises(SaccadeError, match="runs of detection"):
        Tiles(classifier)
    with pytest.raises(SaccadeError, match="does not answer with"):
        classifier.selecting(conf=0.5)
    with pytest.raises(SaccadeError, match="16 pixels or more"):
        Tiles(other, 3)


def test_confidence_chosen_when_used():
    assert len(predictor().selecting(conf=0.5)([drawn([[9, 9, 99, 99]])])[0].result.boxes) == 1
    assert len(predictor().selecting(conf=0.7)([drawn([[9, 9, 99, 99]])])[0].result.boxes) == 0
    with pytest.raises(SaccadeError, match=r"expected 0\.\.1"):
        predictor().selecting(conf=1.5)
    with pytest.raises(SaccadeError, match=r"expected 0\.\.1"):
        predictor().selecting(iou=0.0)
