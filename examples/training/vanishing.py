"""Twelve layers: sigmoids starve the first ones of gradient, He weights and ReLU do not.

python examples/training/vanishing.py [FOLDER]
"""

from __future__ import annotations

import sys
import tempfile
from itertools import pairwise
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import torch
from matplotlib import pyplot as plt
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

from saccade.layers import make_act
from saccade.ops.init import initialise
from saccade.training.health import variances

STACKS = {"sigmoid, 0.01 N(0, 1)": ("sigmoid", "normal"), "sigmoid, Xavier": ("sigmoid", "xavier")}
STACKS |= {"tanh, Xavier": ("tanh", "xavier"), "ReLU, He": ("relu", "he")}
DEPTH = 12
TITLES = ("variance of outputs", "variance of gradients", "loss")


def network(act: str, init: str) -> nn.Sequential:
    torch.manual_seed(0)
    widths = [64] * DEPTH
    layers = [nn.Sequential(nn.Linear(a, b), make_act(act)) for a, b in pairwise(widths)]
    model = nn.Sequential(nn.Flatten(), *layers, nn.Linear(64, 10))
    initialise(model, init)
    return model


def main(folder: Path) -> dict[str, float]:
    data = load_digits()
    inputs = torch.tensor(data.data, dtype=torch.float32)
    inputs = ((inputs - inputs.mean()) / inputs.std()).view(-1, 1, 8, 8)
    labels = torch.tensor(data.target)
    numbers = {}
    figure, axes = plt.subplots(1, 3, figsize=(14, 4), layout="constrained")
    for name, (act, init) in STACKS.items():
        found = variances(network(act, init), inputs[:256])
        axes[0].semilogy([max(each.forward, 1e-40) for each in found], "o-", label=name)
        axes[1].semilogy([max(each.backward, 1e-40) for each in found], "o-", label=name)
        numbers[f"{name}: gradient variance, first layer by last hidden"] = (
            found[0].backward / found[-2].backward
        )
        model, losses = network(act, init), []
        optimizer = torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9)
        for step in range(150):
            rows = torch.arange(128) + 128 * (step % 12)
            loss = F.cross_entropy(model(inputs[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        axes[2].plot(losses, label=name)
        numbers[f"{name}: loss after {len(losses)} updates"] = sum(losses[-12:]) / 12
    for axis, title in zip(axes, TITLES, strict=True):
        axis.set_title(title)
        axis.set_xlabel("update" if title == "loss" else "layer")
    axes[0].legend()
    figure.savefig(folder / "vanishing.png", dpi=100)
    plt.close(figure)
    return numbers


if __name__ == "__main__":
    place = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="saccade-"))
    place.mkdir(parents=True, exist_ok=True)
    for key, value in main(place).items():
        print(f"{key}: {value:.4g}")
    print(place / "vanishing.png")
