"""Sliding windows: every answer is that of the window cut out; boxes lie where the thing is."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from detecting import BOXES, CLASSES, LABELS, map50_of, picture
from saccade.errors import SaccadeError
from saccade.models import catalog
from saccade.ops.boxes import iou
from saccade.ops.cost import describe, total
from saccade.predict import Predictor
from saccade.tasks import table
from saccade.training.device import choose
from saccade.types import Field, ModelCard, Preprocessing
from saccade.windows import Settings, SlidingWindows


def predictor_of(
    *classes: str,
    task: str = "classification",
    kind: str = "label",
    channels: int = 1,
    model: str = "lenet5",
) -> Predictor:
    """An untrained LeNet-5, which pads nothing."""
    torch.manual_seed(0)
    fields = (Field(name="label", kind=kind, classes=classes),)  # type: ignore[arg-type]
    made = table.create(task, fields)
    card = ModelCard(
        task=task,
        fields=fields,
        model=model,
        arguments={},
        preprocessing=Preprocessing(
            height=32,
            width=32,
            channels=channels,
            fit="crop",
            mean=(0.5,) * channels,
            std=(0.25,) * channels,
        ),
    )
    network = made.build(catalog.create(model, in_channels=channels)).eval()
    return Predictor(model=network, task=made, card=card, hardware=choose("cpu", "fp32"))


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (60, 90, 1), dtype=np.uint8)


def test_every_window_equals_its_crop_at_every_scale(pixels):
    predictor = predictor_of("a", "b", "c")
    windows = SlidingWindows(predictor, Settings(scales=3))
    stride, count = windows.network.stride, 0
    for inputs, _ in windows.pyramid(pixels):
        with torch.no_grad():
            chances = windows.probabilities(inputs)
            for row in range(chances.shape[1]):
                for column in range(chances.shape[2]):
                    top, left = row * stride, column * stride
                    crop = inputs[:, :, top : top + 32, left : left + 32]
                    alone = predictor.model(crop).softmax(1)[0]
                    torch.testing.assert_close(chances[:, row, column], alone, atol=1e-5, rtol=0)
                    count += 1
    assert count > 100


def test_boxes_lie_where_the_windows_were_and_none_overlaps_another(pixels):
    windows = SlidingWindows(predictor_of("a", "b"), Settings(conf=0.0, iou=0.2, scales=4))
    found = windows.find(pixels)
    assert len(found.boxes) > 3
    sides = found.boxes[:, 2:] - found.boxes[:, :2]
    expected = [60 / 2 ** (step / 2) for step in range(4)]
    for width, height in sides.tolist():
        assert min(abs(height - side) for side in expected) < 1.5
        assert abs(width - height) < 2
    assert (found.boxes >= 0).all() and (found.boxes <= torch.tensor([90.0, 60, 90, 60])).all()
    assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)


def test_what_is_spent_and_saved(pixels):
    predictor = predictor_of("a", "b")
    windows = SlidingWindows(predictor, Settings(scales=2))
    windows.find(pixels)
    spent, one = windows.spent, total(describe(predictor.model, (1, 32, 32))).multiply_adds
    shapes = [inputs.shape[1:] for inputs, _ in windows.pyramid(pixels)]
    passes = sum(total(describe(windows.network, tuple(s))).multiply_adds for s in shapes)
    assert spent.apart == spent.windows * one and spent.multiply_adds == passes
    assert passes < spent.apart and "multiply-adds" in spent.sentence()


def test_windows_without_object_give_no_box(pixels):
    sure = Settings(conf=0.0)
    assert SlidingWindows(predictor_of("None", "a"), sure).background == 0
    windows = SlidingWindows(predictor_of("a", "b"), Settings(conf=0.0, background="b"))
    assert set(windows.find(pixels).labels.tolist()) <= {0}
    assert SlidingWindows(predictor_of("a", "b"), sure).background is None


def test_what_cannot_slide_is_said():
    with pytest.raises(SaccadeError, match="need a run of classification"):
        SlidingWindows(predictor_of("a", task="regression", kind="values"))
    with pytest.raises(SaccadeError, match="no class 'c'"):
        SlidingWindows(predictor_of("a", "b"), Settings(background="c"))
    with pytest.raises(SaccadeError, match="--conf"):
        Settings(conf=2)


def windows_of(slide: SlidingWindows, pixels: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Every window cut out of the pyramid (W, C, 32, 32), and its box in the picture (W, 4)."""
    crops, places = [], []
    for inputs, scale in slide.pyramid(pixels):
        cut = inputs.unfold(2, 32, slide.network.stride).unfold(3, 32, slide.network.stride)
        rows, columns = cut.shape[2:4]
        crops.append(cut[0].permute(1, 2, 0, 3, 4).reshape(-1, inputs.shape[1], 32, 32))
        y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        corner = torch.stack([x, y], -1).view(-1, 2) * slide.network.stride
        places.append(torch.cat([corner, corner + 32], 1) / torch.tensor([*scale, *scale]))
    return torch.cat(crops), torch.cat(places)


def test_one_picture_is_learnt_by_heart():
    predictor = predictor_of(*CLASSES, "background", channels=3, model="lenet5_modern")
    pixels = (picture()[0].clamp(0, 2) * 127).permute(1, 2, 0).byte().numpy()
    settings = Settings(conf=0.5, scales=5)
    crops, places = windows_of(SlidingWindows(predictor, settings), pixels)
    overlap, nearest = iou(places, BOXES).max(1)
    labels = torch.where(overlap >= 0.6, LABELS[nearest], 2)  # 2 is the background
    sure = (overlap >= 0.6) | (overlap < 0.55)
    often = torch.where(labels < 2, 10.0, 1.0) * sure  # objects fill few of the windows
    optimizer = torch.optim.Adam(predictor.model.parameters(), lr=2e-3)
    for _ in range(100):
        rows = torch.multinomial(often, 64)
        loss = torch.nn.functional.cross_entropy(predictor.model(crops[rows]), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    # made anew: its convolutions are copies of the dense layers
    found = SlidingWindows(predictor, settings).find(pixels)
    assert map50_of(found) == pytest.approx(1.0)
