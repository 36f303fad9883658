"""Results drawn on pictures: pixels are where they should be, and the writing is there."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageColor

from saccade.report.drawing import COLORS, annotate, caption, in_words
from saccade.types import (
    Classification,
    Detections,
    Heads,
    Landmarks,
    Localization,
    MultiLabel,
    Result,
    Segmentation,
    Values,
)

GREY = Image.new("RGB", (400, 300), (90, 90, 90))
CLASSES = ("cat", "dog")
LABEL = Classification(classes=CLASSES, probabilities=torch.tensor([0.25, 0.75]))


def plate(image: Image.Image, drawn: Image.Image) -> int:
    """Height of the caption above the picture."""
    return drawn.height - round(image.height * drawn.width / image.width)


def test_caption_stands_above_untouched_pixels() -> None:
    drawn = annotate(GREY, LABEL)
    top = plate(GREY, drawn)
    assert drawn.width == 400
    assert 10 < top < 60
    assert np.array(drawn)[top:].tolist() == np.array(GREY).tolist()
    # white letters on the dark plate
    assert np.array(drawn)[:top].max() > 200


def test_tiny_pictures_are_enlarged_with_their_pixels() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    drawn = annotate(Image.fromarray(pixels), LABEL)
    assert drawn.width == 320
    kept = np.array(drawn)[drawn.height - 320 :][20::40, 20::40]
    assert kept.tolist() == pixels.tolist()


def test_box_is_drawn_at_its_place() -> None:
    found = Detections(
        classes=CLASSES,
        boxes=torch.tensor([[100.0, 120.0, 300.0, 250.0]]),
        scores=torch.tensor([0.9]),
        labels=torch.tensor([1]),
    )
    drawn = np.array(annotate(GREY, found))
    top = drawn.shape[0] - 300
    color = ImageColor.getrgb(COLORS[1])
    assert tuple(drawn[top + 200, 100]) == color
    assert tuple(drawn[top + 200, 300]) == color
    assert tuple(drawn[top + 200, 200]) == (90, 90, 90)


def test_mask_tints_its_class_alone() -> None:
    mask = torch.zeros(300, 400, dtype=torch.uint8)
    mask[:, 200:] = 1
    drawn = np.array(annotate(GREY, Segmentation(classes=("ground", "road"), mask=mask)))
    assert tuple(drawn[-10, 50]) == (90, 90, 90)
    assert tuple(drawn[-10, 350]) != (90, 90, 90)


@pytest.mark.parametrize(
    ("result", "lines"),
    [
        (LABEL, [("dog", "75.0%")]),
        (
            MultiLabel(
                classes=CLASSES,
                probabilities=torch.tensor([0.5, 0.1]),
                thresholds=torch.tensor([0.4, 0.4]),
            ),
            [("cat", "50.0%")],
        ),
        (Values(names=("age",), values=torch.tensor([41.5])), [("age", "41.5")]),
        (Heads(heads={"kind": LABEL}), [("kind: dog", "75.0%")]),
        (
            Localization(
                classes=CLASSES,
                score=0.1,
                box=torch.tensor([0.0, 0.0, 9.0, 9.0]),
                probabilities=torch.tensor([1.0, 0.0]),
            ),
            [("(nothing)", "10.0%")],
        ),
    ],
)
def test_in_words(result: Result, lines: list[tuple[str, str]]) -> None:
    assert in_words(result) == lines
    assert annotate(GREY, result).height > 300


def test_landmarks_are_drawn_at_their_place() -> None:
    marks = Landmarks(
        names=("eye",), points=torch.tensor([[200.0, 150.0]]), scores=torch.tensor([1.0])
    )
    drawn = np.array(annotate(GREY, marks))
    assert tuple(drawn[drawn.shape[0] - 300 + 150, 200]) == ImageColor.getrgb(COLORS[0])


def test_long_names_leave_room_for_the_number() -> None:
    short = np.array(caption(GREY, [("a", "99.9%")]))
    long = np.array(caption(GREY, [("a very long name " * 20, "99.9%")]))
    # the right end of the plate, where the number stands, is the same
    assert short[:, 350:].tolist() == long[:, 350:].tolist()


def test_surrogates_and_foreign_scripts_can_be_drawn() -> None:
    empty = np.array(caption(GREY, [("", "1%")]))
    for name in ("日本 кошка", "caf\udce9"):
        drawn = np.array(caption(GREY, [(name, "1%")]))
        assert drawn.shape == empty.shape and (drawn != empty).any()
