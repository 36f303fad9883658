"""Examples of upsampling: what they show holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

Example = Callable[[str], ModuleType]


def test_checkerboard_shown_and_avoided(example: Example, tmp_path: Path) -> None:
    module = example("upsampling/checkerboard.py")
    uneven = [module.unevenness(form) for form in module.FORMS]
    assert uneven[0] > uneven[1] > 0.2
    assert max(uneven[2:]) < 1e-4
    module.draw(tmp_path / "made.png")
    assert (tmp_path / "made.png").stat().st_size > 5_000


def test_one_picture_runs(example: Example) -> None:
    module = example("upsampling/one_picture.py")
    assert 0 <= module.by_heart("unet_small", 2, side=64, width=2) <= 1
