"""Inputs of mean 0 and variance 1 let the rate be larger, and training is shorter.

The same network on the same digits, their pixels as they are (0 to 16, and darker ones times 4) and
normalised; each at the best rate of one grid.

python examples/training/normalisation.py [FOLDER]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import torch
from matplotlib import pyplot as plt
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F

RATES = [10 ** (power / 2) for power in range(-8, 2)]
GOAL, MOST = 0.3, 200


def losses(inputs: Tensor, labels: Tensor, rate: float) -> list[float]:
    """Loss by update, until GOAL, MOST or an explosion."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    found: list[float] = []
    while len(found) < MOST and (not found or GOAL < found[-1] < 1e3):
        loss = F.cross_entropy(model(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return found


def main(folder: Path) -> dict[str, float]:
    data = load_digits()
    data.data, data.target = data.data[:400], data.target[:400]
    # every second column 4 times as bright: an elongated cloud of inputs
    raw = torch.tensor(data.data, dtype=torch.float32) * torch.tensor([1.0, 4.0]).repeat(32)
    labels = torch.tensor(data.target)
    normal = (raw - raw.mean(0)) / raw.std(0).clamp(min=1e-3)
    numbers = {}
    figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
    for name, inputs in (("as they are", raw), ("normalised", normal)):
        tried = {rate: losses(inputs, labels, rate) for rate in RATES}
        reached = {rate: found for rate, found in tried.items() if found[-1] <= GOAL}
        rate = min(reached, key=lambda each: len(reached[each]))
        numbers[f"{name}: best rate"] = rate
        numbers[f"{name}: updates to a loss of {GOAL}"] = len(reached[rate])
        axis.semilogy(reached[rate], label=f"{name}, rate {rate:.2g}")
    axis.set(title="the same network on the same digits", xlabel="update", ylabel="loss")
    axis.legend()
    figure.savefig(folder / "normalisation.png", dpi=100)
    plt.close(figure)
    return numbers


if __name__ == "__main__":
    place = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="saccade-"))
    place.mkdir(parents=True, exist_ok=True)
    for key, value in main(place).items():
        print(f"{key}: {value:.4g}")
    print(place / "normalisation.png")
