"""What the pictures of examples/convolution claim."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from scipy import ndimage

Example = Callable[[str], ModuleType]


def run(example: Example, name: str, folder: Path, **options: Any) -> dict[str, float]:
    numbers: dict[str, float] = example(f"convolution/{name}.py").main(folder, **options)
    assert (folder / f"{name}.png").stat().st_size > 10_000
    return numbers


def test_edges(example: Example, tmp_path: Path) -> None:
    numbers = run(example, "edges", tmp_path)
    errors = [numbers[f"{name} direction error"] for name in ("Scharr", "Sobel", "Prewitt")]
    assert errors == sorted(errors) and errors[0] < 0.5 < 1.5 < errors[1] and errors[2] > 4
    module = example("convolution/edges.py")
    image = torch.rand(9, 12, dtype=torch.double)
    for name, filtered in (("Sobel", ndimage.sobel), ("Prewitt", ndimage.prewitt)):
        smoothing = module.SMOOTHING[name].double()
        module.CHANGE = module.CHANGE.double()
        right, down = module.gradient(image, smoothing)
        scale = 2 * {"Sobel": 4, "Prewitt": 3}[name]  # SciPy's kernels are whole numbers
        for found, axis in ((right, 1), (down, 0)):
            expected = torch.from_numpy(filtered(image.numpy(), axis=axis))[1:-1, 1:-1]
            torch.testing.assert_close(found * scale, expected)


def test_convolution_or_correlation(example: Example, tmp_path: Path) -> None:
    numbers = run(example, "convolution_or_correlation", tmp_path)
    exact = {
        "convolution minus scipy.signal.convolve2d",
        "correlation minus scipy.signal.correlate2d",
        "the same with a symmetric kernel",
        "a point convolved minus the kernel",
        "order changed, convolution",
    }
    for name, difference in numbers.items():
        assert difference < 1e-12 if name in exact else difference > 0.1, name


def test_translation(example: Example, tmp_path: Path) -> None:
    numbers = run(example, "translation", tmp_path)
    assert numbers["inside"] < 1e-5
    assert numbers["stride 2, shift 2, inside"] < 1e-5
    # what is lost is as large as the values themselves
    assert numbers["in the border of 2 pixels"] > 0.1 * numbers["largest value"]
    assert numbers["stride 2, shift 1, inside"] > 0.1 * numbers["largest value"]
    changes = [value for name, value in numbers.items() if name.startswith("max pooling")]
    assert changes == sorted(changes, reverse=True)
    assert changes[0] > 0.5 and changes[-1] < 0.05


def test_locally_connected(example: Example, tmp_path: Path) -> None:
    numbers = run(example, "locally_connected", tmp_path)
    assert numbers["one kernel everywhere minus convolution"] < 1e-5
    assert numbers["convolution 5 x 5, parameters"] == 26
    assert numbers["locally connected 5 x 5, parameters"] == 26 * 300 * 300
    assert numbers["dense, parameters"] == 8.1e9


def test_dense_to_convolution(example: Example, tmp_path: Path) -> None:
    numbers = run(example, "dense_to_convolution", tmp_path, epochs=2)
    assert numbers["windows"] == 17 * 49
    assert numbers["largest difference to the crops, logits"] == pytest.approx(0, abs=1e-4)
    assert 6 < numbers["multiply-adds, crop by crop"] / numbers["multiply-adds, in one pass"] < 7
