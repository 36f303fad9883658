"""A user's own network in the place of ours."""

from __future__ import annotations

from typing import Any, cast

from torch import Tensor, nn

from saccade.errors import SaccadeError
from saccade.protocols import Backbone, PixelNetwork


class OwnModule(nn.Module):
    """Any module that maps (N, C, *space) to (N, K) raw outputs, seen as a `Backbone`.

    module  the network; it gives logits, or standardised values for regression: no softmax or
            sigmoid at its end
    head    name of its final linear layer ("fc", "classifier.6"), or None

    Without `head` the module is one closed piece: its outputs are its only map and its embedding,
    it must have as many outputs as the task needs (checked with the first batch), and a task leaves
    its weights as they are. With `head` that layer is taken out of the module (`module` is changed:
    an identity stands there), its inputs are the embedding, and a task puts a new layer of the
    right size in its place, as with our own networks. Tasks that need maps with space (boxes,
    masks) cannot stand on it.
    """

    strides: tuple[int, ...] = (1,)
    minimum_size: int = 1

    def __init__(self, module: nn.Module, *, head: str | None = None) -> None:
        super().__init__()
        self.module = module
        self.head: nn.Module = nn.Identity()
        self.num_outputs: int | None = None
        self.channels: tuple[int, ...] = (0,)
        if head is not None:
            layer = _take_out(module, head)
            self.head, self.num_outputs = layer, layer.out_features
            self.channels = (layer.in_features,)

    def maps(self, inputs: Tensor) -> list[Tensor]:
        """(N, C, *space) -> [(N, D)]: what comes before the head, without space."""
        outputs = self.module(inputs)
        if not isinstance(outputs, Tensor):
            raise SaccadeError(
                f"your network {type(self.module).__name__} returns {type(outputs).__name__}, "
                "expected one tensor (examples, outputs); wrap it in a module that returns that",
                name="wrong-outputs",
            )
        return [outputs[:, None] if outputs.ndim == 1 else outputs.flatten(1)]

    def embed(self, last: Tensor) -> Tensor:
        """(N, D) -> (N, D), what the head sees; without `head`, the outputs themselves."""
        return last

    def classify(self, last: Tensor) -> Tensor:
        """(N, D) -> (N, K)."""
        outputs = cast(Tensor, self.head(last))
        if self.num_outputs is not None and outputs.shape[1] != self.num_outputs:
            raise SaccadeError(
                f"your network {type(self.module).__name__} gives {outputs.shape[1]} outputs, the "
                f"task needs {self.num_outputs}; {self._remedy()}",
                name="wrong-outputs",
            )
        return outputs

    def auxiliary(self, maps: list[Tensor]) -> list[Tensor]:
        """Nothing: a module that returns one tensor has no auxiliary heads."""
        return []

    def new_head(self, num_classes: int) -> None:
        """A fresh linear layer where `head` was named; else only the number that is expected."""
        self.num_outputs = num_classes
        if isinstance(self.head, nn.Linear):
            old = self.head
            self.head = nn.Linear(
                old.in_features, num_classes, device=old.weight.device, dtype=old.weight.dtype
            )

    def forward(self, inputs: Tensor) -> Tensor:
        return self.classify(self.maps(inputs)[-1])

    def _remedy(self) -> str:
        layers = [
            name for name, layer in self.module.named_modules() if isinstance(layer, nn.Linear)
        ]
        remedy = f"let its last layer give {self.num_outputs}"
        if layers:
            remedy += f", or name its final linear layer to have it replaced: head={layers[-1]!r}"
        return remedy


def as_backbone(network: Any) -> Backbone:
    """The network itself where it keeps the promise of `Backbone`, else wrapped as `OwnModule`."""
    if isinstance(network, Backbone):
        return network
    if isinstance(network, PixelNetwork):
        raise SaccadeError(
            f"{type(network).__name__} answers for every pixel, so it learns segmentation alone; "
            "choose another --model for this task",
            name="wrong-network",
        )
    if isinstance(network, nn.Module):
        return OwnModule(network)
    raise SaccadeError(
        f"expected a torch.nn.Module as network, found {type(network).__name__}",
        name="wrong-network",
    )


def _take_out(module: nn.Module, name: str) -> nn.Linear:
    parent, _, leaf = name.rpartition(".")
    try:
        layer = module.get_submodule(name)
    except AttributeError:
        layer = None
    if not name or not isinstance(layer, nn.Linear):
        found = "nothing" if layer is None else type(layer).__name__
        linear = [
            key for key, item in module.named_modules() if isinstance(item, nn.Linear) and key
        ]
        raise SaccadeError(
            f"head {name!r} of {type(module).__name__}: expected a linear layer, found {found}; "
            f"its linear layers are: {', '.join(linear) or 'none'}",
            name="wrong-head",
        )
    setattr(module.get_submodule(parent), leaf, nn.Identity())
    return layer
