"""L1 makes weights exactly zero, L2 makes them small: pixels that say nothing are dropped.

A linear classifier of digits whose pictures have a rim of noise; strengths are chosen so that both
are equally right on dev.

python examples/training/sparsity.py [FOLDER]
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

from saccade.training.shrink import shrink_weights

WAYS = {"none": (0.0, 0.0), "L2": (0.01, 0.0), "L1": (0.0, 0.003)}
"""Name -> strength of L2, of L1."""


def pictures() -> tuple[Tensor, Tensor, Tensor]:
    """(N, 144): 8 x 8 digits in the middle of 12 x 12 pixels of noise; labels; which are noise."""
    data = load_digits()
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(len(data.data), 12, 12, generator=generator) * 0.5
    inputs[:, 2:10, 2:10] = torch.tensor(data.images, dtype=torch.float32) / 8 - 0.6
    noise = torch.ones(12, 12, dtype=torch.bool)
    noise[2:10, 2:10] = False
    return inputs.flatten(1), torch.tensor(data.target), noise.flatten()


def main(folder: Path) -> dict[str, float]:
    inputs, labels, noise = pictures()
    numbers = {}
    figure, axes = plt.subplots(1, 4, figsize=(14, 3.6), layout="constrained")
    for axis, (name, (l2, l1)) in zip(axes[1:], WAYS.items(), strict=True):
        torch.manual_seed(0)
        model = nn.Linear(144, 10)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=l2)
        for _ in range(150):
            loss = F.cross_entropy(model(inputs[:900]), labels[:900])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            # what SGD with momentum 0.9 adds up to, in one step
            shrink_weights(optimizer, 10 * l1)
        weight = model.weight.detach()
        right = model(inputs[900:]).argmax(1) == labels[900:]
        numbers[f"{name} accuracy"] = right.float().mean().item()
        numbers[f"{name} exact zeros"] = (weight == 0).float().mean().item()
        numbers[f"{name} exact zeros on noise"] = (weight[:, noise] == 0).float().mean().item()
        numbers[f"{name} mean square of weights"] = weight.square().mean().item()
        axes[0].plot(weight.abs().flatten().sort().values.clamp(min=1e-6).numpy(), label=name)
        axis.imshow(weight.abs().mean(0).view(12, 12).numpy(), cmap="magma")
        zeros, accuracy = (100 * numbers[f"{name} {what}"] for what in ("exact zeros", "accuracy"))
        axis.set_title(f"{name}: {zeros:.0f} % of weights are 0\n{accuracy:.1f} % right")
        axis.set_axis_off()
    axes[0].set(title="weights by size", yscale="log")
    axes[0].legend()
    figure.savefig(folder / "sparsity.png", dpi=100)
    plt.close(figure)
    return numbers


if __name__ == "__main__":
    place = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="saccade-"))
    place.mkdir(parents=True, exist_ok=True)
    for key, value in main(place).items():
        print(f"{key}: {value:.4g}")
    print(place / "sparsity.png")
