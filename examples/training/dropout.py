"""Dropout narrows the gap between training and dev where examples are few.

A wide network on 200 digits with some wrong labels, with and without dropout, mean of two seeds.

python examples/training/dropout.py [FOLDER]
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

WAYS = {"without": 0.0, "with": 0.5}
EXAMPLES, UPDATES, SEEDS = 200, 240, 2


def train(
    share: float, inputs: Tensor, labels: Tensor, seed: int
) -> tuple[list[float], list[float]]:
    """Loss on the training examples and on dev, every twentieth update."""
    torch.manual_seed(seed)
    drop = nn.Dropout(share)
    model = nn.Sequential(
        nn.Linear(64, 256),
        nn.ReLU(),
        drop,
        nn.Linear(256, 256),
        nn.ReLU(),
        drop,
        nn.Linear(256, 10),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    curves: tuple[list[float], list[float]] = ([], [])
    for step in range(UPDATES):
        loss = F.cross_entropy(model.train()(inputs[:EXAMPLES]), labels[:EXAMPLES])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 20 == 19:
            with torch.no_grad():
                outputs = model.eval()(inputs)
            curves[0].append(F.cross_entropy(outputs[:EXAMPLES], labels[:EXAMPLES]).item())
            curves[1].append(F.cross_entropy(outputs[EXAMPLES:], labels[EXAMPLES:]).item())
    return curves


def main(folder: Path) -> dict[str, float]:
    data = load_digits()
    inputs = torch.tensor(data.data, dtype=torch.float32) / 8 - 1
    labels = torch.tensor(data.target)
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(len(inputs), generator=generator)
    inputs, labels = inputs[order][:1000], labels[order][:1000]
    # a tenth of the training labels is wrong: something to learn by heart
    labels[: EXAMPLES // 10] = (labels[: EXAMPLES // 10] + 1) % 10
    numbers = {}
    figure, axis = plt.subplots(figsize=(7.5, 4.2), layout="constrained")
    for (name, share), color in zip(WAYS.items(), ("tab:orange", "tab:blue"), strict=True):
        found = torch.tensor([train(share, inputs, labels, seed) for seed in range(SEEDS)]).mean(0)
        steps = torch.arange(20, UPDATES + 1, 20)
        axis.plot(steps, found[0], "--", color=color, label=f"{name} dropout, train")
        axis.plot(steps, found[1], color=color, label=f"{name} dropout, dev")
        numbers[f"{name} dropout: train loss"] = float(found[0, -1])
        numbers[f"{name} dropout: dev loss"] = float(found[1, -1])
        numbers[f"{name} dropout: gap"] = float(found[1, -1] - found[0, -1])
    axis.set(title=f"{EXAMPLES} digits, mean of {SEEDS} seeds", xlabel="update", ylabel="loss")
    axis.legend()
    figure.savefig(folder / "dropout.png", dpi=100)
    plt.close(figure)
    return numbers


if __name__ == "__main__":
    place = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="saccade-"))
    place.mkdir(parents=True, exist_ok=True)
    for key, value in main(place).items():
        print(f"{key}: {value:.4g}")
    print(place / "dropout.png")
