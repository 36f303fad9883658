"""An elongated bowl: plain descent zigzags, momentum and the adaptive rules do not.

Every rule has 60 updates, a rate that falls linearly to 0, and the first rate that serves it best,
found on one grid for all.

python examples/training/bowl.py [FOLDER]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import numpy as np
import torch
from matplotlib import pyplot as plt
from torch import Tensor

from saccade.training.optim import set_rate
from saccade.training.rules.table import OPTIMISERS

RULES = {"descent": 0.0, "momentum": 0.9, "rmsprop": 0.0, "adam": 0.9, "delta_bar_delta": 0.0}
"""Rule -> momentum."""
LONG = 100.0
"""How much steeper the bowl is one way than the other."""
START, UPDATES = (-9.0, 1.0), 60
RATES = [10 ** (power / 4) for power in range(-12, 5)]


def bowl(point: Tensor) -> Tensor:
    return 0.5 * (point[0] ** 2 + LONG * point[1] ** 2)


def walk(rule: str, rate: float) -> tuple[float, np.ndarray]:
    """The share of the height that is left after all updates, and the path."""
    point = torch.nn.Parameter(torch.tensor(START, dtype=torch.float64))
    optimizer = OPTIMISERS[rule]([{"params": [point]}], rate, RULES[rule], 0.9)
    path = [START]
    for step in range(UPDATES):
        set_rate(optimizer, rate * (1 - step / UPDATES))
        optimizer.zero_grad()
        bowl(point).backward()
        optimizer.step()
        path.append(tuple(point.detach().tolist()))
    left = float(bowl(point.detach()) / bowl(torch.tensor(START)))
    return left, np.array(path)


def main(folder: Path) -> dict[str, float]:
    numbers = {}
    figure, axes = plt.subplots(1, len(RULES), figsize=(16, 3), layout="constrained")
    x, y = np.meshgrid(np.linspace(-10, 3, 120), np.linspace(-1.6, 1.6, 120))
    for axis, rule in zip(axes, RULES, strict=True):
        found = {rate: walk(rule, rate) for rate in RATES}
        rate = min(found, key=lambda each: found[each][0])
        left, path = found[rate]
        numbers[f"{rule} height left"] = left
        axis.contour(x, y, 0.5 * (x**2 + LONG * y**2), levels=14, cmap="Greys")
        axis.plot(*path.T, "o-", markersize=2.5, linewidth=1)
        told = f"{rule}, rate {rate:.2g}\n{left:.1e} of the height left"
        axis.set(title=told, xlim=(-10, 3), ylim=(-1.6, 1.6))
    figure.savefig(folder / "bowl.png", dpi=100)
    plt.close(figure)
    return numbers


if __name__ == "__main__":
    place = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="saccade-"))
    place.mkdir(parents=True, exist_ok=True)
    for key, value in main(place).items():
        print(f"{key}: {value:.4g}")
    print(place / "bowl.png")
