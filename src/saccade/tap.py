"""Reads inner layers: the only place with hooks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from saccade.errors import unknown_name


class Tap:
    """Keeps what named layers put out while the block runs, and on request its gradient.

        with Tap(model, ["layer1", "layer4.0.conv2"], gradients=True) as tap:
            model(inputs).sum().backward()
        tap.outputs["layer1"]       # (N, C, H, W), part of the graph
        tap.gradients["layer1"]     # same shape, after backward

    A layer that runs several times keeps its last output. Nothing stays on the model afterwards.
    """

    def __init__(self, model: nn.Module, names: Iterable[str], *, gradients: bool = False) -> None:
        self.outputs: dict[str, Tensor] = {}
        self.gradients: dict[str, Tensor] = {}
        self._with_gradients = gradients
        self._handles: list[RemovableHandle] = []
        modules = dict(model.named_modules())
        self._modules: dict[str, nn.Module] = {}
        for name in names:
            if name not in modules:
                raise unknown_name("layer", name, filter(None, modules))
            self._modules[name] = modules[name]

    def __enter__(self) -> Tap:
        for name, module in self._modules.items():
            self._handles.append(module.register_forward_hook(self._keeper(name)))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _keeper(self, name: str) -> Callable[[nn.Module, Any, Any], None]:
        def keep(module: nn.Module, inputs: Any, output: Any) -> None:
            if not isinstance(output, Tensor):
                return
            self.outputs[name] = output
            if self._with_gradients and output.requires_grad:
                register: Callable[..., Any] = output.register_hook
                register(lambda gradient: self.gradients.__setitem__(name, gradient))

        return keep


@contextmanager
def watching(model: nn.Module, look: Callable[[str, nn.Module, Tensor], None]) -> Iterator[None]:
    """Call look(name, layer, output) after each layer without children runs, in running order.

    A layer that runs several times is looked at each time. Nothing is kept, and nothing stays on
    the model when the block ends.
    """
    handles: list[RemovableHandle] = []

    def looker(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor):
                look(name, module, output)

        return hook

    for name, module in model.named_modules():
        if not list(module.children()):
            handles.append(module.register_forward_hook(looker(name)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def drop_after(model: nn.Module, shares: Mapping[str, float]) -> None:
    """Dropout behind named layers for good: while training, units of their outputs become 0.

    Inverted dropout, each layer with its own probability; maps lose whole channels (Tompson and
    others 2015). Weights keep their names, and evaluation is untouched. Raises SaccadeError for an
    unknown layer.
    """
    modules = dict(model.named_modules())

    def dropper(share: float) -> Callable[[nn.Module, Any, Any], Tensor]:
        def drop(module: nn.Module, inputs: Any, output: Any) -> Tensor:
            spatial = output.ndim > 2
            change = torch.feature_dropout if spatial else torch.dropout
            return change(output, share, module.training)

        return drop

    for name, share in shares.items():
        if name not in modules:
            raise unknown_name("layer", name, filter(None, modules))
        modules[name].register_forward_hook(dropper(share))


def layer_names(model: nn.Module, kinds: tuple[type[nn.Module], ...]) -> list[str]:
    """Names of the model's layers of these kinds, in the order of definition."""
    return [name for name, module in model.named_modules() if isinstance(module, kinds)]


@torch.no_grad()
def first_non_finite(model: nn.Module, inputs: Tensor) -> str | None:
    """The first layer, in order of running, whose output is not finite; None where all are.

    Runs the model once on (N, C, *space) in its present mode; "inputs" where the pictures
    themselves are not finite. Running statistics of norms may move: call it when training stopped.
    """
    if not bool(torch.isfinite(inputs).all()):
        return "inputs"
    found: list[str] = []
    handles: list[RemovableHandle] = []

    def looker(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def look(module: nn.Module, inputs: Any, output: Any) -> None:
            if not found and isinstance(output, Tensor) and not torch.isfinite(output).all():
                found.append(name)

        return look

    for name, module in model.named_modules():
        if not list(module.children()):
            handles.append(module.register_forward_hook(looker(name)))
    try:
        model(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else None
