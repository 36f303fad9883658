from __future__ import annotations

import numpy as np
import pytest

from saccade.ops.outlines import fill


def filled(ring: list[list[float]], height: int = 12, width: int = 14) -> np.ndarray:
    mask = np.zeros((height, width), dtype=np.int16)
    fill(mask, np.array(ring, dtype=float), 3)
    return mask


def test_a_square_holds_its_own_area() -> None:
    expected = np.zeros((12, 14))
    expected[2:6, 2:11] = 3
    assert np.array_equal(filled([[2, 2], [11, 2], [11, 6], [2, 6]]), expected)
    assert np.array_equal(filled([[2, 6], [11, 6], [11, 2], [2, 2]]), expected)


def test_outlines_side_by_side_share_no_pixel_and_leave_none_out() -> None:
    left = filled([[1, 1], [6.5, 1], [4.5, 9], [1, 9]]) > 0
    right = filled([[6.5, 1], [12, 1], [12, 9], [4.5, 9]]) > 0
    assert not (left & right).any() and (left | right).sum() == 11 * 8


def test_beyond_the_picture_is_cut_off() -> None:
    assert (filled([[-5, -5], [40, -5], [40, 40], [-5, 40]]) == 3).all()
    assert not filled([[20, 1], [30, 1], [30, 5]]).any()
    assert not filled([[1, 1], [5, 1]]).any()


@pytest.mark.parametrize("seed", range(4))
def test_centres_inside_are_those_of_plain_geometry(seed: int) -> None:
    """Against the winding of each pixel's centre, summed angle by angle."""
    random = np.random.default_rng(seed)
    turns = np.sort(random.uniform(0, 2 * np.pi, 9))
    reach = random.uniform(1, 7, 9)
    ring = np.stack([7 + reach * np.cos(turns), 6 + reach * np.sin(turns)], 1)
    found = filled(ring.tolist()) > 0
    for row in range(12):
        for column in range(14):
            spokes = ring - (column + 0.5, row + 0.5)
            angles = np.arctan2(spokes[:, 1], spokes[:, 0])
            steps = (np.roll(angles, -1) - angles + np.pi) % (2 * np.pi) - np.pi
            assert found[row, column] == (abs(steps.sum()) > np.pi)
