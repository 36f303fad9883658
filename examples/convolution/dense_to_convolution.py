"""A dense layer turned into a convolution: a digit classifier reads a whole page in one pass.

Trained on single digits of 32 x 32 pixels, then given a page of any size; every value of its answer
equals that of the network on the crop it belongs to.

python examples/convolution/dense_to_convolution.py [FOLDER]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import torch
from matplotlib import pyplot as plt
from torch import Tensor
from torch.nn import functional as F

import saccade
from saccade.ops.cost import describe, total
from saccade.ops.fully_convolutional import fully_convolutional

SIDE = 32
PLACES = [(8, 8), (16, 60), (8, 120), (12, 176), (56, 24), (60, 88), (52, 148), (56, 188)]


def page(run: saccade.Trained) -> Tensor:
    """Digits of the test part, here and there on a dark page (1, 1, 96, 224) of values 0..1."""
    data = saccade.open("sample:digits")
    split = run.folder.read_table(run.folder.images)["split"].to_pylist()
    test = [row for row, part in enumerate(split) if part == "test"]
    paper = torch.zeros(1, 1, 96, 224)
    for (top, left), row in zip(PLACES, test, strict=False):
        digit = torch.from_numpy(data.source.load(data.examples[row].key).copy()).float() / 255
        large = F.interpolate(digit[None, None], size=(SIDE, SIDE), mode="bilinear")
        paper[:, :, top : top + SIDE, left : left + SIDE] = large
    return paper


def main(folder: Path, epochs: int = 10) -> dict[str, float]:
    run = saccade.train(
        "sample:digits",
        model="convnet",
        imgsz=SIDE,
        epochs=epochs,
        batch=32,
        device="cpu",
        project=folder / "runs",
        settings={"train.precision": "fp32"},
    )
    model, preprocessing = run.predictor.model, run.predictor.card.preprocessing
    paper = page(run)
    inputs = (paper - preprocessing.mean[0]) / preprocessing.std[0]
    network = fully_convolutional(model, (1, SIDE, SIDE))

    step = network.stride
    crops = inputs.unfold(2, SIDE, step).unfold(3, SIDE, step)  # (1, 1, H', W', 32, 32)
    rows, columns = crops.shape[2:4]
    with torch.no_grad():
        logits = network(inputs)[0]  # (10, H', W')
        one_by_one = model(crops.reshape(-1, 1, SIDE, SIDE)).T.view(10, rows, columns)
    once = total(describe(network, tuple(inputs.shape[1:]))).multiply_adds
    alone = total(describe(model, (1, SIDE, SIDE))).multiply_adds * rows * columns
    draw(paper, logits, folder / "dense_to_convolution.png")
    return {
        "accuracy on single digits (dev)": run.val("dev").measures["accuracy"].value,
        "windows": rows * columns,
        "largest difference to the crops, logits": (logits - one_by_one).abs().max().item(),
        "largest logit": logits.abs().max().item(),
        "multiply-adds, crop by crop": alone,
        "multiply-adds, in one pass": once,
    }


def draw(paper: Tensor, logits: Tensor, path: Path) -> None:
    """The page with the answers where a digit was put, and the map of each digit's probability."""
    figure = plt.figure(figsize=(13, 7.4), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(1.25, 1))
    axis = above.subplots()
    axis.imshow(paper[0, 0].numpy(), cmap="gray")
    probability, digit = logits.softmax(0).max(0)
    for top, left in PLACES:
        i, j = top // 4, left // 4
        axis.add_patch(plt.Rectangle((left, top), SIDE, SIDE, fill=False, color="tab:orange"))
        told = f"{digit[i, j]}  {probability[i, j]:.2f}"
        axis.text(left + 1, top - 1.5, told, color="tab:orange", fontsize=11)
    axis.set_title("a page of 96 x 224 pixels; the network was made for 32 x 32", pad=12)
    axis.set_axis_off()
    below.suptitle(
        f"one pass: a map of {logits.shape[1]} x {logits.shape[2]} for each digit; there"
        " is no class for nothing, so it answers between digits as well"
    )
    for number, axis in enumerate(below.subplots(2, 5).flat):
        axis.imshow(logits.softmax(0)[number].numpy(), cmap="magma", vmin=0, vmax=1)
        axis.set_title(str(number), fontsize=10)
        axis.set_axis_off()
    figure.savefig(path, dpi=100, bbox_inches="tight")
    plt.close(figure)


if __name__ == "__main__":
    place = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="saccade-"))
    place.mkdir(parents=True, exist_ok=True)
    for key, value in main(place).items():
        print(f"{key}: {value:.6g}")
    print(place / "dense_to_convolution.png")
