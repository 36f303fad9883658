"""Every setting of the recipe with its meaning, as text: --help must not import the recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from saccade.recipe import Recipe

SETTINGS = {
    "task": "classification, multilabel, regression, multitask; inferred from the data",
    "data.imgsz": "side, or [height, width], of the input in pixels",
    "data.crop": "height, width that training sees at once of pictures with masks",
    "data.views": "how often an epoch sees each of them, cropped anew",
    "data.sight": "share of crops that look at a pixel of a class, each class alike (0.5)",
    "data.names": "of the classes of masks, in the order of their numbers",
    "data.channels": "1 (grey) or 3 (RGB)",
    "data.fit": "crop, pad or stretch pictures to the input",
    "data.margin": "how much larger than the input pictures are kept for random crops, 1 or more",
    "data.mean": "per channel on the 0..1 scale; measured on the training part",
    "data.std": "likewise",
    "data.dev": "share of all examples kept for choosing; by amount, 0.01 to 0.2",
    "data.test": "share of all examples kept for the final test; likewise",
    "data.train_dev": "share of training kept aside as train-dev; by itself where dev comes from "
    "other sources, 0 never",
    "data.seed": "of the split; that of the training when left out",
    "data.fraction": "share of the training part that is used (1.0)",
    "data.labels": "file of corrected labels, as `saccade labels` writes it",
    "data.human_error": "error of people on the same pictures, for the diagnosis (0.02 = 2 %)",
    "data.sampling": "once, balanced (classes drawn equally often), replacement",
    "data.class_weights": "none, or balanced: rare classes weigh more in the loss",
    "data.allow_dropped": "share of unreadable pictures that is still accepted (0.01)",
    "data.background": "RGB that transparent pixels are laid on ([255, 255, 255])",
    "data.max_pixels": "largest picture that is decoded (50000000)",
    "data.workers": "threads that decode pictures",
    "augment.mirror": "probability of mirroring left to right",
    "augment.flip": "probability of flipping upside down",
    "augment.shift": "largest shift, share of the side",
    "augment.scale": "[smallest, largest] zoom",
    "augment.ratio": "[smallest, largest] width over height",
    "augment.rotate": "largest rotation, degrees",
    "augment.shear": "largest shear, degrees",
    "augment.warp": "strength of local warping",
    "augment.elastic": "strength of smooth random deformation, for pictures with masks",
    "augment.brightness": "strength",
    "augment.contrast": "strength",
    "augment.saturation": "strength",
    "augment.color": "largest shift of each channel",
    "augment.lighting": "std of shifts along the principal axes of colour",
    "augment.erase": "side of a square that is erased, as a share of the input's",
    "augment.alternate": "true: mirror every other epoch instead of at random",
    "augment.padding": "reflect, edge or mean: what fills the rim of moved pictures",
    "augment.mixup": "two pictures laid over each other: strength of the Beta distribution",
    "augment.cutmix": "a rectangle of another picture pasted in: likewise",
    "model.name": "one of `saccade models`, timm/NAME, or yolo, yolov2, yolov3",
    "model.backbone": "what a detector or unet stands on: one of `saccade models`",
    "model.anchors": "shapes a detector begins from: how many a scale, 0 = none, or the shapes, "
    "[[width, height], ...] in pixels of the input",
    "model.scales": "maps a detector answers on, the coarsest ones",
    "model.rule": "who learns from an object: centre = one cell, several",
    "model.weights": "start from imagenet, a weights file or a run; none = at random",
    "model.freeze": "none, all (but the head), number of first stages, or layer names",
    "model.head_epochs": "first epochs in which the new head alone learns",
    "model.unfreeze_every": "epochs after which one more stage learns, 0 = all at once (0)",
    "model.stage_decay": "factor of the rate from each stage to the one before it",
    "model.pretrain": "autoencoder: first learn from the pictures without labels (none)",
    "model.pretrain_epochs": "passes of that",
    "model.norm": "batch, group, layer, instance, none",
    "model.upsampling": "of unet: nearest, bilinear, transposed or unpool",
    "model.width": "channels of the first convolution of unet_small and its like",
    "model.act": "relu, gelu, silu, tanh ...",
    "model.init": "he, xavier, lecun, normal, orthogonal, zeros",
    "model.dropout": "probability, 0 to 1",
    "model.dropout_behind": "{layer: probability, ...}: dropout behind named layers",
    "model.stochastic_depth": "probability that the last residual branch is skipped",
    "model.stem": "small keeps the resolution of small pictures, large as published",
    "optimizer.name": "sgd (Nesterov), heavy_ball, descent (plain), momentum (average with bias "
    "correction), rmsprop, adam, adamw, adagrad, delta_bar_delta, muon",
    "optimizer.lr0": "first (highest) learning rate; auto finds one by a short sweep",
    "optimizer.bias_rate": "rate of biases and norms relative to that of the weights (1.0)",
    "optimizer.momentum": "of SGD and RMSprop; beta1 of Adam",
    "optimizer.beta2": "of Adam; alpha of RMSprop (0.99)",
    "optimizer.weight_decay": "on weights only, never on norms and biases",
    "optimizer.schedule": "constant, linear, cosine, step, exponential, 1/t, onecycle, plateau",
    "optimizer.last_rate": "where the schedule ends, relative to lr0",
    "optimizer.warmup": "share of all updates in which the rate rises to lr0",
    "optimizer.plateau_patience": "epochs without a better dev score before the rate falls (5)",
    "optimizer.plateau_factor": "what it falls by (0.1)",
    "optimizer.clip": "largest gradient norm, 0 = no limit (0)",
    "optimizer.l1": "pull towards zero that makes small weights exactly 0 (0)",
    "optimizer.ema": "decay of the weights' average that is judged and kept, 0 = none (0)",
    "loss.label_smoothing": "share of the target spread over all classes",
    "loss.name": "cross-entropy or focal; of numbers: mse, mae or huber",
    "loss.gaps": "of masks: weight of narrow gaps between things (10 in the U-Net paper)",
    "loss.gap_width": "of those gaps, in pixels (5 there)",
    "loss.box_weight": "of the box beside the other parts of localization's loss",
    "loss.pairs": "points that a mirrored picture swaps, left_eye:right_eye,...; none",
    "loss.normalise_by": "two points whose distance errors are divided by, a,b; or box",
    "loss.binary": "two classes: softmax (two units) or sigmoid (one unit)",
    "train.epochs": "passes over the training part",
    "train.effort": "passes relative to those that saccade would choose (1.0)",
    "train.batch": "examples per update; 1 = one at a time, all of them or more = whole",
    "train.accumulate": "pieces of a batch that pass one after the other; by memory",
    "train.health": "measure gradients and activations layer by layer (true)",
    "train.patience": "epochs without a better dev score before stopping, 0 = never",
    "train.views": "views whose answers the finished network averages: plain, mirror, shift, "
    "mirror+shift (plain)",
    "train.seed": "of everything random (0)",
    "train.device": "cpu, cuda, cuda:N, mps",
    "train.precision": "bf16, fp32",
    "train.channels_last": "memory order N, H, W, C",
    "train.threads": "CPU threads of the training",
}


def settings_help() -> str:
    """What --set can set, for the end of --help."""
    width = max(map(len, SETTINGS)) + 2
    lines = [f"  {name.ljust(width)}{meaning}" for name, meaning in SETTINGS.items()]
    note = "Settings for --set and recipe files. Those left out are chosen from the data and the"
    return "\b\n" + "\n".join(
        [note, "machine and written, complete, into the run's args.yaml:", *lines]
    )


def recipe_of(
    file: str | None, settings: tuple[str, ...], keys: Mapping[str, Any]
) -> tuple[Recipe | None, dict[str, Any]]:
    """The recipe named, and what changes it: keys that were given, then --set in order."""
    from saccade.recipe import parse_setting, read_recipe

    changes = {name: value for name, value in keys.items() if value is not None}
    changes.update(parse_setting(text) for text in settings)
    return (None if file is None else read_recipe(file)), changes
