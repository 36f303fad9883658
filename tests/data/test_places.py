"""Meaning of a box's four numbers, and EXIF turns, against Pillow's own."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageOps

from saccade.data.places import READINGS, Reading, corners, guess, turn, turn_boxes


@pytest.fixture
def sound() -> tuple[np.ndarray, np.ndarray]:
    """200 boxes inside pictures of 200 x 100 to 640 x 480 pixels."""
    rng = np.random.default_rng(0)
    sizes = rng.integers([200, 100], [640, 480], (200, 2)).astype(float)
    low = rng.uniform(0, 0.7, (200, 2)) * sizes
    high = low + np.maximum(2, rng.uniform(0.05, 0.3, (200, 2)) * sizes)
    return np.concatenate([low, np.minimum(high, sizes)], axis=1), sizes


def written(boxes: np.ndarray, sizes: np.ndarray, reading: Reading) -> np.ndarray:
    low, high = boxes[:, :2], boxes[:, 2:]
    pair = {
        "xyxy": (low, high),
        "xywh": (low, high - low),
        "cxcywh": ((low + high) / 2, high - low),
    }[reading.form]
    scale = sizes if reading.relative else 1.0
    return np.concatenate([pair[0] / scale, pair[1] / scale], axis=1)


@pytest.mark.parametrize("reading", READINGS, ids=str)
def test_corners_undo_every_way_of_writing(sound, reading):
    boxes, sizes = sound
    np.testing.assert_allclose(corners(written(boxes, sizes, reading), sizes, reading), boxes)


@pytest.mark.parametrize("stated", READINGS, ids=str)
def test_what_is_stated_is_believed_where_it_is_sound(sound, stated):
    boxes, sizes = sound
    assert guess(written(boxes, sizes, stated), sizes, stated) == stated


@pytest.mark.parametrize("true", [Reading("xyxy"), Reading("xywh"), Reading("xyxy", relative=True)])
def test_mix_ups_are_guessed(sound, true):
    boxes, sizes = sound
    numbers = written(boxes, sizes, true)
    for stated in (Reading("xyxy"), Reading("xywh"), Reading("cxcywh", relative=True)):
        assert guess(numbers, sizes, stated) == true


def test_faults_of_a_few_boxes_change_no_reading(sound):
    boxes, sizes = sound
    boxes[:20, 2] = np.nan
    boxes[20:40, 0] += 1000
    assert guess(boxes, sizes, Reading("xyxy")) == Reading("xyxy")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turns_are_those_of_pillow(orientation):
    stored = np.zeros((30, 50), np.uint8)
    stored[4:11, 20:45] = 255
    picture = Image.fromarray(stored)
    picture.getexif()[0x0112] = orientation
    shown = np.asarray(ImageOps.exif_transpose(picture))
    ys, xs = np.nonzero(shown)
    expected = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
    box = np.array([[20.0, 4.0, 45.0, 11.0]])
    np.testing.assert_array_equal(turn_boxes(box, orientation, (50, 30)), [expected])
    corner = turn(box[:, :2], orientation, (50, 30))[0]
    assert corner[0] in expected[::2] and corner[1] in expected[1::2]


def test_a_turn_keeps_a_wrong_order_wrong():
    backwards = np.array([[45.0, 4.0, 20.0, 11.0]])
    turned = turn_boxes(backwards, 6, (50, 30))
    assert turned[0, 1] > turned[0, 3] and turned[0, 0] < turned[0, 2]
