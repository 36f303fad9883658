"""A saddle point and a plateau: how long each rule stays where the gradient is nearly nothing.

Every rule has the same rate; what differs is what it makes of small gradients.

python examples/training/saddle.py [FOLDER]
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

from saccade.training.rules.table import OPTIMISERS

RULES = {"descent": 0.0, "heavy_ball": 0.9, "rmsprop": 0.0, "adam": 0.9}
"""Rule -> momentum; heavy_ball is torch's momentum, whose steps add up."""
RATE, MOST = 0.02, 2000


def saddle(point: Tensor) -> Tensor:
    """Down from every side along x, away from 0 along y, with valleys at y = +-2."""
    x, y = point[..., 0], point[..., 1]
    return x**2 - y**2 / 2 + y**4 / 16


def plateau(point: Tensor) -> Tensor:
    """Nearly flat from x = 3 on; the valley is at 0."""
    x, y = point[..., 0], point[..., 1]
    return 1 - torch.exp(-(x**2) / 2) + y**2 / 20


PLACES = {
    # start, and what counts as having left
    "saddle": (saddle, (1.5, 0.001), lambda at: abs(at[1]) > 1.0),
    "plateau": (plateau, (3.6, 1.0), lambda at: at[0] < 1.0),
}


def walk(place: str, rule: str) -> tuple[int, np.ndarray]:
    """Updates until the place is left (MOST: never), and the path."""
    surface, start, left = PLACES[place]
    point = torch.nn.Parameter(torch.tensor(start, dtype=torch.float64))
    optimizer = OPTIMISERS[rule]([{"params": [point]}], RATE, RULES[rule], 0.99)
    path, steps = [start], MOST
    for step in range(1, MOST + 1):
        optimizer.zero_grad()
        surface(point).backward()
        optimizer.step()
        path.append(tuple(point.detach().tolist()))
        if steps == MOST and left(path[-1]):
            steps = step
        if step > steps + 60:
            break
    return steps, np.array(path)


def main(folder: Path) -> dict[str, float]:
    numbers = {}
    figure, axes = plt.subplots(1, 2, figsize=(12, 4.6), layout="constrained")
    for axis, (place, (surface, start, _)) in zip(axes, PLACES.items(), strict=True):
        x, y = np.meshgrid(np.linspace(-2, 4, 120), np.linspace(-2.6, 2.6, 120))
        values = surface(torch.tensor(np.stack([x, y], axis=-1)))
        axis.contourf(x, y, np.clip(values.numpy(), None, 4), levels=24, cmap="Greys_r")
        for rule in RULES:
            steps, path = walk(place, rule)
            numbers[f"{place}: {rule} updates"] = steps
            told = f"{steps}" if steps < MOST else f"not in {MOST}"
            axis.plot(*path.T, linewidth=1.8, label=f"{rule}: {told}")
        axis.plot(*start, "ko")
        axis.set(title=f"updates to leave the {place}", xlim=(-2, 4), ylim=(-2.6, 2.6))
        axis.legend(loc="lower right")
    figure.savefig(folder / "saddle.png", dpi=100)
    plt.close(figure)
    return numbers


if __name__ == "__main__":
    place = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="saccade-"))
    place.mkdir(parents=True, exist_ok=True)
    for key, value in main(place).items():
        print(f"{key}: {value:.4g}")
    print(place / "saddle.png")
