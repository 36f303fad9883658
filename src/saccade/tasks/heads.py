"""What tasks with one vector of outputs per picture share: fields, passes, options."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from saccade.errors import SaccadeError
from saccade.ops import losses
from saccade.protocols import Backbone, Metric
from saccade.tasks.own import as_backbone
from saccade.types import Batch, Field, FieldKind, Scored

AUXILIARY_WEIGHT = 0.3
"""Of the auxiliary heads' losses (Szegedy et al. 2014, section 5)."""


class Head(Protocol):
    """A task of one field, reduced to its outputs: what several heads on one network consist of.

    num_outputs  numbers per example that the network gives for this field, K below
    """

    @property
    def num_outputs(self) -> int: ...

    def training_loss(self, outputs: Tensor, targets: Mapping[str, Any]) -> Tensor:
        """(N, K) float32 on the training device -> (N,), 0 where the target is missing."""
        ...

    def score(self, outputs: Tensor, targets: Mapping[str, Any]) -> Scored:
        """(N, K) float32 on the CPU -> results, plain losses and errors, without embeddings."""
        ...

    def decode(self, outputs: Tensor) -> list[Any]:
        """(N, K) float32 on the CPU -> N results."""
        ...

    def metric(self) -> Metric: ...

    def decide(self, results: list[Any], targets: Mapping[str, Any]) -> Mapping[str, Any]: ...

    def fit(self, targets: Mapping[str, Any]) -> Head: ...

    def arguments(self) -> dict[str, Any]: ...


def build(backbone: Backbone, num_outputs: int) -> nn.Module:
    """The backbone with a fresh head of `num_outputs`."""
    network = as_backbone(backbone)
    network.new_head(num_outputs)
    return cast(nn.Module, network)


def training_outputs(model: nn.Module, inputs: Tensor) -> list[Tensor]:
    """(N, K) float32 of the head and, in training mode, of each auxiliary head after it."""
    network = cast(Backbone, model)
    maps = network.maps(inputs)
    outputs = [network.classify(maps[-1])]
    if model.training:
        outputs += network.auxiliary(maps)
    return [output.float() for output in outputs]


def mixed_loss(
    loss: Callable[[Tensor, Mapping[str, Any]], Tensor], outputs: Tensor, batch: Batch
) -> Tensor:
    """(N,) loss of the outputs; of inputs that mix two examples, that of both by their shares."""
    own = loss(outputs, batch.targets)
    if batch.mix is None:
        return own
    share = batch.mix.share.to(own)
    return share * own + (1 - share) * loss(outputs, batch.mix.targets)


def named_losses(losses: Sequence[Tensor], name: str = "loss") -> dict[str, Tensor]:
    """Losses of the head and the auxiliary heads as named parts, the latter weighted."""
    parts = {name: losses[0]}
    for number, loss in enumerate(losses[1:], start=1):
        parts[f"{name}_auxiliary{number}"] = AUXILIARY_WEIGHT * loss
    return parts


def embed_and_classify(model: nn.Module, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Embeddings (N, D) and outputs (N, K), float32 on the CPU."""
    network = cast(Backbone, model)
    last = network.maps(inputs)[-1]
    embeddings = network.embed(last).flatten(1)
    return on_cpu(embeddings), on_cpu(network.classify(last))


def outputs_only(model: nn.Module, inputs: Tensor) -> Tensor:
    """Outputs (N, K), float32 on the CPU."""
    network = cast(Backbone, model)
    return on_cpu(network.classify(network.maps(inputs)[-1]))


def on_cpu(values: Tensor) -> Tensor:
    return values.detach().float().cpu()


def nan_where(missing: Tensor, values: Tensor) -> Tensor:
    """`values` (N,) with NaN where an example has no target."""
    return torch.where(missing, torch.full_like(values, torch.nan), values)


def choose_fields(
    fields: Iterable[Field], kinds: tuple[FieldKind, ...], task: str
) -> tuple[Field, ...]:
    """The fields of the given kinds; an error names what is there where none is."""
    given = tuple(fields)
    chosen = tuple(field for field in given if field.kind in kinds)
    if not chosen:
        found = ", ".join(f"{field.name} ({field.kind})" for field in given) or "none"
        raise SaccadeError(
            f"task {task} needs a field of kind {' or '.join(kinds)}; fields found: {found}",
            name="wrong-task",
        )
    return chosen


def choose_one(fields: Iterable[Field], kind: FieldKind, task: str) -> tuple[Field]:
    """The one field of that kind, named in an error where there are several."""
    chosen = choose_fields(fields, (kind,), task)
    if len(chosen) > 1:
        names = ", ".join(field.name for field in chosen)
        raise SaccadeError(
            f"task {task} learns one field, found {len(chosen)}: {names}; "
            "keep one of them, or learn all with the task multitask",
            name="several-fields",
        )
    return (chosen[0],)


def numbers(values: Any, length: int, option: str) -> tuple[float, ...]:
    """`length` finite numbers as a tuple, or an error that names the option."""
    listed = values.tolist() if isinstance(values, Tensor) else list(values)
    if len(listed) != length or not all(
        isinstance(value, int | float) and abs(value) < float("inf") for value in listed
    ):
        raise SaccadeError(
            f"{option}: expected {length} finite numbers, found {listed}", name="bad-option"
        )
    return tuple(float(value) for value in listed)


def check_numbers(task: Any, option: str, length: int) -> None:
    """Make a frozen task's option `length` numbers, where it is neither None nor a name."""
    values = getattr(task, option)
    if values is not None and not isinstance(values, str):
        object.__setattr__(task, option, numbers(values, length, option))


def class_weights(values: tuple[float, ...] | str | None, device: torch.device) -> Tensor | None:
    """(K,) factors of the classes; None where all are 1."""
    if values is None:
        return None
    check_option(
        not isinstance(values, str),
        f"class_weights={values!r} has no numbers yet: call fit(targets) before training",
    )
    return losses.constant(cast("tuple[float, ...]", values), device)


def check_option(condition: bool, message: str) -> None:
    if not condition:
        raise SaccadeError(message, name="bad-option")


def check_choice(option: str, value: str, choices: tuple[str, ...]) -> None:
    check_option(
        value in choices, f"{option}: expected one of {', '.join(choices)}, found {value!r}"
    )


def check_smoothing(smoothing: float) -> None:
    check_option(
        0 <= smoothing < 1, f"label_smoothing: expected 0 or more and below 1, found {smoothing}"
    )


def option_names(task: type[Any]) -> tuple[str, ...]:
    """Names of the options a task's constructor takes besides its fields."""
    return tuple(
        item.name for item in dataclasses.fields(task) if item.init and item.name != "fields"
    )


def make(task: type[Any], fields: tuple[Field, ...], options: Mapping[str, Any]) -> Any:
    """The task with these options; an error lists those it knows where one is unknown."""
    known = option_names(task)
    unknown = sorted(set(options) - set(known))
    check_option(
        not unknown,
        f"{task.__name__}: unknown option {', '.join(unknown)}; "
        f"its options are: {', '.join(known)}",
    )
    return task(fields=fields, **options)


def option_values(task: Any) -> dict[str, Any]:
    """The options a task was built with, as they travel in `ModelCard.task_arguments`.

    Without thresholds: those travel in `ModelCard.decision`.
    """
    names = option_names(type(task))
    return {name: getattr(task, name) for name in names if name != "thresholds"}
