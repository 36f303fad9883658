"""Every network by name: one literal table, and `create`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple, cast

from torch import nn

from saccade.errors import SaccadeError, unknown_name
from saccade.layers import strip_head
from saccade.models import (
    airbench,
    alexnet,
    cifar_resnet,
    convnet,
    darknet,
    densenet,
    efficientnet,
    fast_rcnn,
    faster_rcnn,
    fcn,
    googlenet,
    inception_v3,
    inception_v4,
    lenet,
    mobilenet_v1,
    mobilenet_v2,
    nin,
    rcnn,
    resnet,
    segnet,
    squeezenet,
    timm_adapter,
    unet,
    vgg,
    weights,
    yolo,
    zfnet,
)
from saccade.ops.init import initialise
from saccade.protocols import Backbone, Detector


class Entry(NamedTuple):
    """Who builds the network, and the input (C, H, W) and classes of its paper."""

    build: Callable[..., Any]
    input: tuple[int, int, int]
    num_classes: int


MODELS: dict[str, Entry] = {
    "lenet5": Entry(lenet.build, (1, 32, 32), 10),
    "lenet5_modern": Entry(lenet.build, (1, 28, 28), 10),
    "convnet": Entry(convnet.build, (3, 32, 32), 10),
    "airbench": Entry(airbench.build, (3, 32, 32), 10),
    "airbench_small": Entry(airbench.build, (3, 32, 32), 10),
    "resnet18": Entry(resnet.build, (3, 224, 224), 1000),
    "resnet34": Entry(resnet.build, (3, 224, 224), 1000),
    "resnet50": Entry(resnet.build, (3, 224, 224), 1000),
    "resnet101": Entry(resnet.build, (3, 224, 224), 1000),
    "resnet152": Entry(resnet.build, (3, 224, 224), 1000),
    "plain18": Entry(resnet.build, (3, 224, 224), 1000),
    "plain34": Entry(resnet.build, (3, 224, 224), 1000),
    "resnet20": Entry(cifar_resnet.build, (3, 32, 32), 10),
    "resnet32": Entry(cifar_resnet.build, (3, 32, 32), 10),
    "resnet44": Entry(cifar_resnet.build, (3, 32, 32), 10),
    "resnet56": Entry(cifar_resnet.build, (3, 32, 32), 10),
    "resnet110": Entry(cifar_resnet.build, (3, 32, 32), 10),
    "resnet1202": Entry(cifar_resnet.build, (3, 32, 32), 10),
    "plain20": Entry(cifar_resnet.build, (3, 32, 32), 10),
    "plain32": Entry(cifar_resnet.build, (3, 32, 32), 10),
    "plain44": Entry(cifar_resnet.build, (3, 32, 32), 10),
    "plain56": Entry(cifar_resnet.build, (3, 32, 32), 10),
    "plain110": Entry(cifar_resnet.build, (3, 32, 32), 10),
    "alexnet": Entry(alexnet.build, (3, 224, 224), 1000),
    "alexnet_grouped": Entry(alexnet.build, (3, 224, 224), 1000),
    "zfnet": Entry(zfnet.build, (3, 224, 224), 1000),
    "nin": Entry(nin.build, (3, 32, 32), 10),
    "vgg11": Entry(vgg.build, (3, 224, 224), 1000),
    "vgg13": Entry(vgg.build, (3, 224, 224), 1000),
    "vgg16": Entry(vgg.build, (3, 224, 224), 1000),
    "vgg19": Entry(vgg.build, (3, 224, 224), 1000),
    "vgg11_bn": Entry(vgg.build, (3, 224, 224), 1000),
    "vgg13_bn": Entry(vgg.build, (3, 224, 224), 1000),
    "vgg16_bn": Entry(vgg.build, (3, 224, 224), 1000),
    "vgg19_bn": Entry(vgg.build, (3, 224, 224), 1000),
    "squeezenet1_0": Entry(squeezenet.build, (3, 224, 224), 1000),
    "squeezenet1_1": Entry(squeezenet.build, (3, 224, 224), 1000),
    "googlenet": Entry(googlenet.build, (3, 224, 224), 1000),
    "inception_v3": Entry(inception_v3.build, (3, 299, 299), 1000),
    "inception_v4": Entry(inception_v4.build, (3, 299, 299), 1000),
    "densenet121": Entry(densenet.build, (3, 224, 224), 1000),
    "densenet161": Entry(densenet.build, (3, 224, 224), 1000),
    "densenet169": Entry(densenet.build, (3, 224, 224), 1000),
    "densenet201": Entry(densenet.build, (3, 224, 224), 1000),
    "densenet264": Entry(densenet.build, (3, 224, 224), 1000),
    "darknet19": Entry(darknet.build, (3, 224, 224), 1000),
    "darknet53": Entry(darknet.build, (3, 256, 256), 1000),
    "mobilenet_v1": Entry(mobilenet_v1.build, (3, 224, 224), 1000),
    "mobilenet_v1_075": Entry(mobilenet_v1.build, (3, 224, 224), 1000),
    "mobilenet_v1_050": Entry(mobilenet_v1.build, (3, 224, 224), 1000),
    "mobilenet_v1_025": Entry(mobilenet_v1.build, (3, 224, 224), 1000),
    "mobilenet_v2": Entry(mobilenet_v2.build, (3, 224, 224), 1000),
    "mobilenet_v2_035": Entry(mobilenet_v2.build, (3, 224, 224), 1000),
    "mobilenet_v2_050": Entry(mobilenet_v2.build, (3, 224, 224), 1000),
    "mobilenet_v2_075": Entry(mobilenet_v2.build, (3, 224, 224), 1000),
    "mobilenet_v2_130": Entry(mobilenet_v2.build, (3, 224, 224), 1000),
    "mobilenet_v2_140": Entry(mobilenet_v2.build, (3, 224, 224), 1000),
    "efficientnet_b0": Entry(efficientnet.build, (3, 224, 224), 1000),
    "efficientnet_b1": Entry(efficientnet.build, (3, 240, 240), 1000),
    "efficientnet_b2": Entry(efficientnet.build, (3, 260, 260), 1000),
    "efficientnet_b3": Entry(efficientnet.build, (3, 300, 300), 1000),
    "efficientnet_b4": Entry(efficientnet.build, (3, 380, 380), 1000),
    "efficientnet_b5": Entry(efficientnet.build, (3, 456, 456), 1000),
    "efficientnet_b6": Entry(efficientnet.build, (3, 528, 528), 1000),
    "efficientnet_b7": Entry(efficientnet.build, (3, 600, 600), 1000),
}

PIXEL_MODELS: dict[str, Entry] = {
    "unet": Entry(unet.build_over, (3, 224, 224), 2),
    "unet_small": Entry(unet.build, (1, 256, 256), 2),
    "unet_padded": Entry(unet.build, (1, 512, 512), 2),
    "unet_valid": Entry(unet.build, (1, 572, 572), 2),
    "segnet": Entry(segnet.build, (3, 360, 480), 11),
    "segnet_small": Entry(segnet.build, (3, 360, 480), 11),
    "fcn32s": Entry(fcn.build, (3, 500, 500), 21),
    "fcn16s": Entry(fcn.build, (3, 500, 500), 21),
    "fcn8s": Entry(fcn.build, (3, 500, 500), 21),
}
"""Networks that answer for every pixel (`protocols.PixelNetwork`); unet takes a backbone."""

BACKBONE = "resnet18"
"""Of networks that take one, where none is named."""


class Finder(NamedTuple):
    """Who builds a detector on a backbone, and the backbone it has where none is named."""

    build: Callable[..., Detector]
    backbone: str


DETECTORS: dict[str, Finder] = {
    "yolo": Finder(yolo.build, "mobilenet_v2_050"),
    "yolov2": Finder(yolo.build, "darknet19"),
    "yolov3": Finder(yolo.build, "darknet53"),
    "rcnn": Finder(rcnn.build, "resnet18"),
    "fast_rcnn": Finder(fast_rcnn.build, "resnet18"),
    "faster_rcnn": Finder(faster_rcnn.build, "resnet50"),
    "faster_rcnn_classic": Finder(faster_rcnn.build, "vgg16"),
}
"""Networks that find objects (`protocols.Detector`)."""

INPUT: dict[str, tuple[int, int, int]] = {
    name: entry.input for name, entry in {**MODELS, **PIXEL_MODELS}.items()
}
"""(C, H, W) of the paper."""


def names() -> list[str]:
    """Every name of the catalogue, in its order."""
    return list(MODELS)


def _entry(name: str) -> Entry:
    """The table's entry, or that of a network of timm. Raises SaccadeError for an unknown name."""
    if name in DETECTORS:
        return _entry(DETECTORS[name].backbone)
    if name.startswith(timm_adapter.PREFIX):
        return Entry(timm_adapter.build, (3, timm_adapter.SIDE, timm_adapter.SIDE), 1000)
    known = {**MODELS, **PIXEL_MODELS}
    if name not in known:
        raise unknown_name("model", name, known)
    return known[name]


def options(name: str) -> dict[str, Any]:
    """The options a network has of `create` but init, each with the paper's own choice."""
    parameters = list(inspect.signature(_entry(name).build).parameters.values())
    own = {each.name: each.default for each in parameters[1:]}
    if name in DETECTORS:
        return {**own, **_of_detector(name), "backbone": DETECTORS[name].backbone}
    return {"backbone": BACKBONE, **own} if parameters[0].name == "backbone" else own


def _of_detector(name: str) -> dict[str, Any]:
    parameters = list(inspect.signature(DETECTORS[name].build).parameters.values())[1:]
    return {each.name: each.default for each in parameters}


def network(name: str, **arguments: Any) -> Any:
    """`create`, or the detector of that name with `backbone` and what else it takes.

    A detector's other arguments are those of its backbone. Raises SaccadeError as `create` does.
    """
    own = _of_detector(name).keys() - {"backbone"} if name in DETECTORS else set[str]()
    unknown = arguments.keys() - {*own, *inspect.signature(create).parameters}
    if unknown:
        key = min(unknown)
        having = [other for other in DETECTORS if key in _of_detector(other)]
        raise SaccadeError(
            f"{name} has no option {key!r}; detectors that have it: {', '.join(having)}",
            name="unknown-option",
        )
    if name not in DETECTORS:
        return create(name, **arguments)
    chosen = arguments.get("backbone") or DETECTORS[name].backbone
    given = {key: value for key, value in arguments.items() if key not in {*own, "backbone"}}
    backbone = create(chosen, **given)
    strip_head(backbone, given.get("in_channels") or _entry(chosen).input[0])
    return DETECTORS[name].build(
        name, backbone=backbone, **{key: arguments[key] for key in own if key in arguments}
    )


def normalisation(name: str) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Mean and std per channel (0..1 scale) that published weights of a network expect.

    None where none are published.
    """
    if name.startswith(timm_adapter.PREFIX):
        return timm_adapter.normalisation(name)
    return weights.normalisation(name) if weights.has_published(name) else None


def create(
    name: str,
    *,
    num_classes: int | None = None,
    in_channels: int | None = None,
    norm: str | None = None,
    act: str | None = None,
    init: str | None = None,
    dropout: float | None = None,
    stem: str | None = None,
    auxiliary: bool | None = None,
    stochastic_depth: float | None = None,
    hidden: int | None = None,
    backbone: str | None = None,
    upsampling: str | None = None,
    width: int | None = None,
) -> Backbone:
    """Build a network of the catalogue with fresh weights; None is the paper's own choice.

    norm       batch, group, layer, instance, local, none
    act        relu, gelu, silu, tanh ... (`saccade.layers.ACTS`)
    init       zeros, normal, lecun, he, xavier, orthogonal, dirac
    dropout    probability before the final layer, or where the paper has it
    stem       "standard" as published, "small" keeps the resolution of small pictures
    auxiliary  the extra heads of GoogLeNet and Inception v3
    stochastic_depth  probability to drop the last residual branch of EfficientNet
    hidden     units of the dense layers of AlexNet, ZFNet, VGG and FCN (4096)
    backbone   name of the network that unet stands on; norm, act and the like are its own too
    upsampling nearest, bilinear, transposed, unpool (`saccade.upsampling`)
    width      channels of the first convolution of unet_small, unet_padded and unet_valid

    `timm/NAME` is a network of timm, where that extra is installed. A name of PIXEL_MODELS gives a
    `PixelNetwork`.

    Raises SaccadeError for an unknown name, and for an option that the network does not have.
    """
    entry = _entry(name)
    given = {
        "num_classes": entry.num_classes if num_classes is None else num_classes,
        "in_channels": entry.input[0] if in_channels is None else in_channels,
        "norm": norm,
        "act": act,
        "dropout": dropout,
        "stem": stem,
        "auxiliary": auxiliary,
        "stochastic_depth": stochastic_depth,
        "hidden": hidden,
        "backbone": backbone,
        "upsampling": upsampling,
        "width": width,
    }
    given = {key: value for key, value in given.items() if value is not None}
    parts = _split(name, given)
    for key in parts.own:
        if key not in options(name):
            having = [other for other in INPUT if key in options(other)]
            raise SaccadeError(
                f"{name} has no option {key!r}; networks that have it: {', '.join(having)}",
                name="unknown-option",
            )
    if parts.backbone is None:
        model = entry.build(name, **parts.own)
    else:
        model = entry.build(create(**parts.backbone), **parts.own)
    if init is not None:
        assert isinstance(model, nn.Module)
        initialise(model, init)
    return cast(Backbone, model)


class Parts(NamedTuple):
    """Options of a network, and those of the backbone below it, None where it takes none."""

    own: dict[str, Any]
    backbone: dict[str, Any] | None


def _split(name: str, given: dict[str, Any]) -> Parts:
    """Options that the backbone has go to it, all that the decoder has to the decoder."""
    if "backbone" not in options(name):
        return Parts(given, None)
    below = given.pop("backbone", BACKBONE)
    if below in PIXEL_MODELS:
        raise SaccadeError(
            f"{below} answers for every pixel itself; a backbone of {name} is one of "
            f"{', '.join(MODELS)}",
            name="unknown-option",
        )
    theirs = options(below)
    shared = {key: value for key, value in given.items() if key in theirs and key != "num_classes"}
    own = options(name)
    mine = {key: value for key, value in given.items() if key in own or key not in theirs}
    # nothing of the backbone's own head is used: it is kept as small as it can be
    headless = {"num_classes": 1, **({"hidden": 1} if "hidden" in theirs else {})}
    return Parts(mine, {"name": below, **shared, **headless})
