"""Random changes: reproducible, and exactly where and what their matrices say."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from saccade.data.augment import DEFAULTS, Augment, Padding, default_augment
from saccade.data.color import Colors, draw_colors, num_uniforms, principal, statistics
from saccade.data.render import Draw, Renderer, draw
from saccade.data.uniforms import uniforms
from saccade.errors import SaccadeError

# --- geometry -----------------------------------------------------------------------------------

COLORS = Colors(mean=torch.zeros(1), std=torch.ones(1))


def drawn_for(
    augment: Augment, count: int, canvas: tuple[int, int], size: tuple[int, int], seed: int = 0
) -> Draw:
    keys = torch.arange(count)
    return draw(augment, uniforms(seed, 0, keys, num_uniforms(1)), canvas, size, COLORS)


def rendered(store: Tensor, drawn: Draw, size: tuple[int, int]) -> Tensor:
    renderer = Renderer(
        store=store,
        colors=COLORS,
        inside=None,
        size=size,
        device=torch.device("cpu"),
        memory_format=torch.channels_last,
    )
    return renderer.inputs(torch.arange(len(store)), drawn)


def blob(height: int, width: int, x: float, y: float) -> Tensor:
    """A soft bright spot with its centre of mass at (x, y), on black."""
    rows = torch.arange(height)[:, None] + 0.5
    columns = torch.arange(width) + 0.5
    spot = torch.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 8)
    return (255 * spot).round().to(torch.uint8)[..., None]


def centre_of_mass(picture: Tensor) -> tuple[float, float]:
    height, width = picture.shape
    x = float((picture.sum(0) * (torch.arange(width) + 0.5)).sum() / picture.sum())
    y = float((picture.sum(1) * (torch.arange(height) + 0.5)).sum() / picture.sum())
    return x, y


MOVES = {
    "mirror": Augment(mirror=1.0),
    "flip": Augment(mirror=0.0, flip=1.0),
    "shift": Augment(mirror=0.5, shift=0.2),
    "scale": Augment(mirror=0.0, scale=(0.6, 1.5)),
    "ratio": Augment(mirror=0.5, ratio=(0.7, 1.4)),
    "rotate": Augment(mirror=0.5, rotate=40.0),
    "shear": Augment(mirror=0.5, shear=20.0),
    "warp": Augment(mirror=0.5, warp=0.3),
    "all": Augment(
        mirror=0.5, flip=0.5, shift=0.1, scale=(0.8, 1.2), rotate=30.0, shear=10.0, warp=0.2
    ),
}


@pytest.mark.parametrize("canvas", [(48, 64), (56, 72)])
@pytest.mark.parametrize("name", MOVES)
def test_a_painted_spot_lands_where_the_matrix_says(name: str, canvas: tuple[int, int]) -> None:
    from dataclasses import replace

    size, spot = (48, 64), (canvas[1] * 0.45, canvas[0] * 0.56)
    augment = replace(MOVES[name], padding="mean")
    drawn = drawn_for(augment, 40, canvas, size)
    store = blob(*canvas, *spot).expand(40, *canvas, 1).contiguous()
    seen = rendered(store, drawn, size)
    tested = 0
    for row in range(40):
        placed = drawn.views[row] @ torch.tensor([*spot, 1.0]).double()
        x, y = (placed[:2] / placed[2]).tolist()
        if 10 <= x <= size[1] - 10 and 10 <= y <= size[0] - 10:
            tested += 1
            found = centre_of_mass(seen[row, 0])
            assert math.dist(found, (x, y)) < 0.35, (row, found, (x, y))
    assert tested >= 15


def test_windows_equal_slices() -> None:
    generator = torch.Generator().manual_seed(0)
    store = torch.randint(0, 256, (64, 20, 24, 3), dtype=torch.uint8, generator=generator)
    colors = Colors(mean=torch.zeros(3), std=torch.ones(3))
    augment = Augment(shift=0.2, flip=0.3)
    keys = torch.arange(64)
    drawn = draw(augment, uniforms(0, 0, keys, num_uniforms(3)), (20, 24), (16, 18), colors)
    renderer = Renderer(
        store=store,
        colors=colors,
        inside=None,
        size=(16, 18),
        device=torch.device("cpu"),
        memory_format=torch.channels_last,
    )
    seen = renderer.inputs(keys, drawn)
    windows = drawn.windows
    assert windows is not None
    for row in range(64):
        padded = np.pad(store[row].numpy(), ((8, 8), (8, 8), (0, 0)), mode="symmetric")
        top, left = 8 + int(windows.top[row]), 8 + int(windows.left[row])
        piece = padded[top : top + 16, left : left + 18]
        piece = piece[:, ::-1] if windows.mirrored[row] else piece
        piece = piece[::-1] if windows.flipped[row] else piece
        expected = np.ascontiguousarray(piece).transpose(2, 0, 1).astype(np.float32) / 255
        assert np.allclose(seen[row].numpy(), expected, atol=1e-6)
    assert windows.top.min() == -3 and windows.top.max() == 7  # both ends are reached
    assert windows.left.min() == -4 and windows.left.max() == 10


def test_both_paths_agree_on_whole_pixels() -> None:
    generator = torch.Generator().manual_seed(1)
    store = torch.randint(0, 256, (32, 20, 20, 1), dtype=torch.uint8, generator=generator)
    paddings: tuple[Padding, ...] = ("reflect", "edge", "mean")
    for padding in paddings:
        drawn = drawn_for(Augment(shift=0.25, padding=padding), 32, (20, 20), (16, 16))
        slow = Draw(
            augment=drawn.augment, views=drawn.views, windows=None, colors=None, erased=None
        )
        fast = rendered(store, drawn, (16, 16))
        assert torch.allclose(fast, rendered(store, slow, (16, 16)), atol=1e-4)


def test_scale_is_a_share_of_the_area() -> None:
    drawn = drawn_for(Augment(mirror=0.0, scale=(0.25, 0.25)), 50, (40, 60), (40, 60))
    assert torch.allclose(torch.linalg.det(drawn.views), torch.full((50,), 4.0).double())
    corners = torch.linalg.inv(drawn.views) @ torch.tensor([[0, 60.0], [0, 40], [1, 1]]).double()
    assert corners[:, 0].min() >= -1e-9 and corners[:, 0].max() <= 60 + 1e-9
    assert corners[:, 1].min() >= -1e-9 and corners[:, 1].max() <= 40 + 1e-9


def test_warp_stays_in_front_of_the_camera() -> None:
    views = drawn_for(Augment(warp=0.9), 500, (32, 32), (32, 32)).views
    back = torch.linalg.inv(views)
    back = back / back[:, 2:, 2:]
    corners = torch.tensor([[0, 32.0, 0, 32], [0, 0, 32, 32], [1, 1, 1, 1]]).double()
    assert ((back @ corners)[:, 2] * (back @ torch.tensor([16.0, 16, 1]).double())[:, 2:] > 0).all()


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_share_of_mirrored(share: float) -> None:
    windows = drawn_for(Augment(mirror=share), 4000, (8, 8), (8, 8)).windows
    assert windows is not None
    assert abs(float(windows.mirrored.float().mean()) - share) < 0.03


def test_erase() -> None:
    store = torch.full((200, 16, 16, 1), 255, dtype=torch.uint8)
    seen = rendered(store, drawn_for(Augment(erase=0.5), 200, (16, 16), (16, 16)), (16, 16))
    holes = (seen == 0).sum((1, 2, 3))
    assert holes.max() == 64 and holes.min() >= 16 and ((seen == 0) | (seen == 1)).all()


# --- colour -------------------------------------------------------------------------------------


def test_colors_against_the_plain_formula() -> None:
    colors = Colors(
        mean=torch.tensor([0.5, 0.4, 0.3]),
        std=torch.tensor([0.2, 0.25, 0.3]),
        axes=torch.linalg.qr(torch.arange(9.0).view(3, 3).sin().double()).Q,
        variances=torch.tensor([0.1, 0.01, 0.001]).double(),
    )
    augment = Augment(brightness=0.4, contrast=0.3, saturation=0.5, color=0.1, lighting=0.2)
    chance = uniforms(0, 0, torch.arange(20), num_uniforms(3))
    matrix, offset = draw_colors(augment, chance, colors)
    picture = torch.rand(3, 5, generator=torch.Generator().manual_seed(0)).double()
    mean, std = colors.mean.double()[:, None], colors.std.double()[:, None]
    assert colors.axes is not None and colors.variances is not None
    for row in range(20):
        b, c, s = (2 * chance[row, 12:15].double() - 1).tolist()
        value = (picture - mean) * (1 + 0.3 * c) + mean
        grey = 0.299 * value[0] + 0.587 * value[1] + 0.114 * value[2]
        value = grey + (value - grey) * (1 + 0.5 * s)
        value = value * (1 + 0.4 * b)
        value = value + 0.1 * (2 * chance[row, 15:18].double() - 1)[:, None]
        normal = math.sqrt(2) * torch.erfinv(2 * chance[row, 18:21].double() - 1)
        value = value + (colors.axes @ (0.2 * normal * colors.variances))[:, None]
        ours = matrix[row].double() @ (255 * (picture - mean)) + offset[row].double()[:, None]
        assert torch.allclose(ours, (value - mean) / std, atol=1e-5)


def test_statistics_and_axes() -> None:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 200, (50, 3, 9, 7), dtype=torch.uint8, generator=generator)
    pixels[:, 1] = pixels[:, 0] // 2
    rows = torch.arange(0, 50, 2)
    values = pixels[rows].transpose(0, 1).reshape(3, -1).double() / 255
    mean, std = statistics(pixels, rows)
    assert torch.allclose(mean, values.mean(1)) and torch.allclose(std, values.std(1, correction=0))
    axes, variances = principal(pixels, rows)
    assert torch.allclose(axes @ variances.diag() @ axes.T, torch.cov(values, correction=0))
    assert (variances[:-1] >= variances[1:]).all()


def test_statistics_leave_the_padding_out() -> None:
    pixels = torch.zeros(4, 1, 6, 6, dtype=torch.uint8)
    pixels[:, :, 1:5] = 100
    inside = torch.tensor([[0, 1, 6, 5]]).expand(4, 4)
    mean, std = statistics(pixels, torch.arange(4), inside)
    assert mean.tolist() == [100 / 255] and std.tolist() == [1 / 255]


# --- options ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"mirror": 1.5},
        {"shift": -0.1},
        {"scale": (1.2, 0.8)},
        {"scale": (0.0, 1.0)},
        {"rotate": math.nan},
        {"warp": 1.0},
        {"padding": "black"},
    ],
)
def test_wrong_options_are_named(wrong: dict[str, object]) -> None:
    with pytest.raises(SaccadeError, match=next(iter(wrong))):
        Augment(**wrong)  # type: ignore[arg-type]


def test_defaults_fit_the_task() -> None:
    assert default_augment("classification", 224, 224, 3) == DEFAULTS["photos"]
    assert default_augment("classification", 32, 32, 3).moves_whole_pixels
    assert default_augment("classification", 8, 8, 1).mirror == 0
    assert default_augment("landmarks", 96, 96, 3).mirror == 0
    for task in ("localization", "detection", "landmarks"):
        assert default_augment(task, 224, 224, 3).padding == "mean"
    assert default_augment("regression", 28, 28, 1).brightness == 0
