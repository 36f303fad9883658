"""Weights that begin equal stay equal: a layer of 32 units learns as if it had one.

python examples/training/symmetry.py [FOLDER]
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
from torch import nn
from torch.nn import functional as F

from saccade.ops.init import initialise
from saccade.training.health import twins

STARTS = ("zeros", "constant", "xavier")


def network(start: str) -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 10))
    initialise(model, "xavier" if start == "constant" else start)
    if start == "constant":
        for layer in (model[0], model[2]):
            nn.init.constant_(layer.weight, 0.02)
    return model


def main(folder: Path) -> dict[str, float]:
    data = load_digits()
    inputs = torch.tensor(data.data, dtype=torch.float32) / 16 - 0.3
    labels = torch.tensor(data.target)
    numbers, curves, shown = {}, {}, {}
    for start in STARTS:
        model = network(start)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        losses = []
        for _ in range(100):
            loss = F.cross_entropy(model(inputs[:1200]), labels[:1200])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        right = model(inputs[1200:]).argmax(1) == labels[1200:]
        numbers[f"{start} accuracy"] = right.float().mean().item()
        numbers[f"{start} share of equal units"] = float(twins(model[0].weight.detach()))
        curves[start], shown[start] = losses, model[0].weight.detach()

    figure, axes = plt.subplots(1, 4, figsize=(14, 3.6), layout="constrained")
    for start, losses in curves.items():
        axes[0].plot(losses, label=start)
    axes[0].set(title="loss", xlabel="update")
    axes[0].legend()
    for axis, (start, weight) in zip(axes[1:], shown.items(), strict=True):
        picture = weight.view(4, 8, 8, 8).permute(0, 2, 1, 3).reshape(32, 64)
        limit = float(picture.abs().max()) or 1.0
        axis.imshow(picture.numpy(), cmap="RdBu", vmin=-limit, vmax=limit)
        accuracy = 100 * numbers[f"{start} accuracy"]
        axis.set_title(f"weights from {start}\nall 32 units, {accuracy:.0f} % right")
        axis.set_axis_off()
    figure.savefig(folder / "symmetry.png", dpi=100)
    plt.close(figure)
    return numbers


if __name__ == "__main__":
    place = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="saccade-"))
    place.mkdir(parents=True, exist_ok=True)
    for key, value in main(place).items():
        print(f"{key}: {value:.4g}")
    print(place / "symmetry.png")
