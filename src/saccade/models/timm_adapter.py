"""Any convolutional network of timm (https://github.com/huggingface/pytorch-image-models).

`timm/NAME` builds timm's network with random weights and keeps the promise of `Backbone`: its
stages are timm's own "intermediates", its head is timm's. timm is an extra and imported only here.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from saccade.errors import SaccadeError, unknown_name
from saccade.layers import check_size
from saccade.protocols import Backbone

PREFIX = "timm/"

SIDE = 224
"""Of the picture on which the stages' channels and strides are read off, on the meta device."""


class TimmBackbone(nn.Module):
    """timm's network, seen as maps and a head; its parameter names stand behind "model."."""

    minimum_size = 32

    def __init__(self, model: nn.Module, *, in_channels: int) -> None:
        super().__init__()
        self.model: Any = model
        self.channels, self.strides = self._measure(in_channels)

    def _measure(self, in_channels: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        maps = self.maps(torch.zeros(1, in_channels, SIDE, SIDE, device="meta"))
        for each in maps:
            if each.ndim != 4 or each.shape[2] != each.shape[3]:
                raise SaccadeError(
                    f"{type(self.model).__name__} of timm does not give maps (examples, channels, "
                    "height, width) at every stage; choose a convolutional network.",
                    name="no-maps",
                )
        return (
            tuple(each.shape[1] for each in maps),
            tuple(round(SIDE / each.shape[2]) for each in maps),
        )

    def maps(self, inputs: Tensor) -> list[Tensor]:
        check_size(inputs, self, self.minimum_size)
        last, stages = self.model.forward_intermediates(inputs)
        # what the head sees may have passed one more layer than timm's last stage
        return [*(each for each in stages[:-1]), last]

    def embed(self, last: Tensor) -> Tensor:
        return torch.flatten(self.model.forward_head(last, pre_logits=True), 1)

    def classify(self, last: Tensor) -> Tensor:
        return self.model.forward_head(last)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.classify(self.maps(inputs)[-1])

    def auxiliary(self, maps: list[Tensor]) -> list[Tensor]:
        return []

    def new_head(self, num_classes: int) -> None:
        self.model.reset_classifier(num_classes)


def build(
    name: str, *, num_classes: int = 1000, in_channels: int = 3, dropout: float = 0.0
) -> Backbone:
    """`timm/NAME` with fresh weights. Raises SaccadeError without timm, or for an unknown name."""
    timm, short = _timm(), _known(name)
    values = {"num_classes": num_classes, "in_chans": in_channels, "drop_rate": dropout}
    with torch.device("meta"):
        model = timm.create_model(short, pretrained=False, **values)
    if not hasattr(model, "forward_intermediates") or not hasattr(model, "forward_head"):
        raise SaccadeError(
            f"{name}: timm gives no maps of this network; choose another.", name="no-maps"
        )
    measured = TimmBackbone(model, in_channels=in_channels)
    if torch.empty(0).device.type != "meta":
        measured.model = timm.create_model(short, pretrained=False, **values)
    return measured


def normalisation(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and std per channel (0..1 scale) that timm's published weights expect."""
    settings = _timm().get_pretrained_cfg(_known(name))
    return tuple(settings.mean), tuple(settings.std)


def _known(name: str) -> str:
    """Timm's own name. Raises SaccadeError listing near names."""
    short = name.removeprefix(PREFIX)
    names = _timm().list_models()
    if short.partition(".")[0] not in names:
        raise unknown_name("model", short, names)
    return short


def _timm() -> Any:
    try:
        import timm
    except ImportError as error:
        raise SaccadeError(
            "networks named timm/... need an extra: pip install 'saccade[timm]'",
            name="extra-missing",
        ) from error
    return timm
