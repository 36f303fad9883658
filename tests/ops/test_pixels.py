"""Losses and counts of masks against slow obvious formulas and torchmetrics' definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from saccade.ops import cells, mask_scores, pixels
from saccade.ops.tiles import in_tiles


def random_masks(count: int = 3, classes: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    masks = torch.randint(-1, classes, (count, 12, 15), generator=generator)
    return torch.randn(count, classes, 12, 15, generator=generator), masks


def test_cross_entropy_pixel_by_pixel() -> None:
    logits, masks = random_masks()
    class_weights = torch.tensor([1.0, 2.0, 0.5, 3.0])
    weights = torch.rand(3, 12, 15)
    found = pixels.cross_entropy(
        logits, masks, class_weights=class_weights, weights=weights, gamma=1.5
    )
    for row in range(3):
        above = below = 0.0
        for y in range(12):
            for x in range(15):
                label = int(masks[row, y, x])
                if label >= 0:
                    p = float(logits[row, :, y, x].softmax(0)[label])
                    share = float(class_weights[label] * weights[row, y, x])
                    above += share * (1 - p) ** 1.5 * -np.log(p)
                    below += share
        assert float(found[row]) == pytest.approx(above / below, rel=1e-4)
    assert pixels.cross_entropy(logits, torch.full_like(masks, -1)).tolist() == [0, 0, 0]


def test_dice_of_sure_answers() -> None:
    _, masks = random_masks()
    sure = torch.nn.functional.one_hot(masks.clamp(min=0), 4).permute(0, 3, 1, 2) * 60.0
    assert pixels.dice(sure, masks).abs().max() < 1e-5
    half = torch.zeros(1, 2, 1, 4)
    truth = torch.tensor([[[0, 0, 1, 1]]])
    # each class: p = 1/2 everywhere, so 2 * 1 / (2 + 2) and one pixel added to both
    assert float(pixels.dice(half, truth)) == pytest.approx(1 - (2 + 1) / (4 + 1))


def test_counts_and_scores() -> None:
    logits, masks = random_masks()
    guess = logits.argmax(1)
    found = pixels.counts(guess, masks, 4)
    known = masks >= 0
    for index in range(4):
        right = ((guess == index) & (masks == index)).sum()
        union = (((guess == index) | (masks == index)) & known).sum()
        sums = found.sum(0).flatten().double().numpy()
        assert mask_scores.iou(sums)[index] == pytest.approx(float(right / union))
    total = mask_scores.pixel_accuracy(found.sum(0).flatten().double().numpy())
    assert total == pytest.approx(float((guess == masks)[known].double().mean()))
    nowhere = mask_scores.iou(np.zeros(12))
    assert np.isnan(nowhere).all()


def test_boundary_counts_against_distances() -> None:
    generator = torch.Generator().manual_seed(1)
    coarse = torch.randint(0, 3, (2, 1, 5, 6), generator=generator).float()
    masks = torch.nn.functional.interpolate(coarse, scale_factor=6)[:, 0].long()
    guess = masks.roll(1, dims=2)
    guess[:, :, 0] = masks[:, :, 0]
    found = pixels.boundary_counts(guess, masks, 3, tolerance=2)
    for row in range(2):
        for index in range(3):
            lines = []
            for mask in (guess[row] == index, masks[row] == index):
                padded = np.pad(mask.numpy(), 1, mode="edge")
                inner = ndimage.binary_erosion(padded, border_value=1)[1:-1, 1:-1]
                lines.append(mask.numpy() & ~inner)
            far = [
                ndimage.distance_transform_cdt(~line, metric="chessboard")
                if line.any() else np.full(line.shape, 99) for line in lines
            ]  # fmt: skip
            expected = [
                lines[0].sum(), (lines[0] & (far[1] <= 2)).sum(),
                lines[1].sum(), (lines[1] & (far[0] <= 2)).sum(),
            ]  # fmt: skip
            assert found[row, :, index].tolist() == [int(value) for value in expected]


def test_there_and_back_between_picture_and_input() -> None:
    mask = torch.arange(20 * 30).view(20, 30) % 7
    shifted = torch.tensor([[1.0, 0, 3], [0, 1, 5], [0, 0, 1]]).double()
    seen = pixels.on_grid(mask, shifted, (32, 40))
    assert torch.equal(seen[5:25, 3:33], mask) and (seen[:5] == -1).all()
    logits = torch.nn.functional.one_hot(seen.clamp(min=0), 7).permute(2, 0, 1).float()
    assert torch.equal(pixels.on_picture(logits, shifted, (20, 30)).long(), mask)
    # twice as large a picture than the input: each pixel of the input is seen as four
    half = torch.tensor([[0.5, 0, 0], [0, 0.5, 0], [0, 0, 1]]).double()
    halves = torch.zeros(2, 4, 4)
    halves[1, :, 2:] = 1
    halves[0, :, :2] = 1
    large = pixels.on_picture(halves, half, (8, 8))
    assert large.shape == (8, 8)
    assert (large[:, :4] == 0).all() and (large[:, 4:] == 1).all()


def test_tiles_give_the_whole_pictures_answer() -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(2, 4, 5, padding=2), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(4, 3, 3, padding=1), torch.nn.Upsample(scale_factor=2),
    )  # fmt: skip
    inputs = torch.randn(1, 2, 150, 94)
    with torch.no_grad():
        whole = network(inputs)
        largest = 0

        def watched(part: torch.Tensor) -> torch.Tensor:
            nonlocal largest
            largest = max(largest, part.shape[2], part.shape[3])
            return network(part)

        tiled = in_tiles(watched, inputs, tile=64, overlap=32, multiple=2)
    assert largest <= 64
    assert torch.allclose(tiled, whole, atol=1e-5)


def test_components_and_gaps_between_them() -> None:
    mask = np.zeros((20, 30), dtype=bool)
    mask[5:15, 3:12] = True
    mask[5:15, 14:25] = True
    numbers, count = cells.components(mask)
    assert count == 2 and len(np.unique(numbers)) == 3
    weights = cells.gap_weights(mask, strength=10, sigma=3)
    apart = [ndimage.distance_transform_edt(numbers != number) for number in (1, 2)]
    expected = 1 + 10 * np.exp(-((apart[0] + apart[1]) ** 2) / (2 * 9)) * ~mask
    assert np.allclose(weights, expected, atol=0.02)
    assert weights[10, 12] > 3 and weights[mask].max() == 1
