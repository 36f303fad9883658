"""saccade probe MODEL"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

from saccade.cli.keys import Size, json_key, key, sides, verb
from saccade.cli.output import Output
from saccade.errors import SaccadeError

if TYPE_CHECKING:
    from saccade.training.health import Variance

MOST = 64
"""Side of the noise pictures, at most, where the network can do with that."""

INITS = ("zeros", "normal", "lecun", "xavier", "he", "orthogonal")
ACTS = ("sigmoid", "tanh", "relu")


@verb()
@click.argument("model")
@key("--init", "inits", multiple=True, group="Model", help="An initialisation; all when left out.")
@key("--act", "acts", multiple=True, group="Model", help="An activation; sigmoid, tanh and relu.")
@key("--norm", group="Model", help="Normalisation; none when left out, where the network can.")
@key("--imgsz", type=Size(), group="Input", help="Side, or HEIGHT,WIDTH; at most 64.")
@key(
    "--batch",
    type=click.IntRange(2),
    default=16,
    show_default=True,
    group="Input",
    help="Noise pictures.",
)
@key("--seed", type=int, default=0, show_default=True, group="Input", help="Of all random numbers.")
@json_key
@click.pass_obj
def command(
    output: Output,
    model: str,
    inits: tuple[str, ...],
    acts: tuple[str, ...],
    norm: str | None,
    imgsz: int | tuple[int, int] | None,
    batch: int,
    seed: int,
) -> None:
    """Show how signals and gradients pass through MODEL before it is trained.

    For every initialisation and activation: the variance of each layer's outputs (forward) and of
    the gradient in them (backward), for pictures and gradients of noise. Where the variance falls
    or grows by many powers of ten from one end to the other, the first or last layers learn nothing
    or explode. Without its norms, which hide the matter, where the network can do without.
    """
    from saccade.models import catalog

    if model in catalog.DETECTORS:
        raise SaccadeError(
            f"{model} is a detector, whose signals pass through the network it stands on: "
            f"saccade probe {catalog.DETECTORS[model].backbone}",
            name="not-probed",
        )
    options = catalog.options(model)
    changes: dict[str, Any] = {"norm": norm or "none"} if "norm" in options else {}
    ways = [
        (init, act)
        for init in inits or INITS
        for act in (acts or ACTS if "act" in options else [None])
    ]
    probes = []
    for init, act in ways:
        chosen = {**changes, "init": init} | ({"act": act} if act else {})
        found = _probe(model, chosen, imgsz, batch, seed)
        probes.append({"init": init, "act": act, "layers": found, "verdict": verdict(found)})
    _tell(output, probes)
    output.value({"name": model, **changes, "probes": [_value(probe) for probe in probes]})


def verdict(found: list[Variance]) -> str:
    """One word for a start, by the ratio of variances between the ends of the network.

    Without the head: the pooling before it divides gradients by the map's area, once for all.
    """
    body = found[:-1] if len(found) > 3 else found
    forward = [each.forward for each in body]
    backward = [each.backward for each in body]
    if not all(map(math.isfinite, [*forward, *backward])):
        return "explodes"
    # a signal of exactly nothing: all units compute the same
    if min(forward) == 0 or max(backward) == 0:
        return "dead"
    per_layer = 1 / max(1, len(body) - 1)
    for ends in ((forward[0], forward[-1]), (backward[-1], backward[0])):
        change = math.log10(max(ends[1], 1e-300) / max(ends[0], 1e-300))
        # pooling alone costs a few powers of ten; what counts is a loss at every layer
        if abs(change) > 4 and abs(change) * per_layer > 0.25:
            return "vanishes" if change < 0 else "explodes"
    return "stays"


def _probe(
    name: str,
    chosen: dict[str, Any],
    imgsz: int | tuple[int, int] | None,
    batch: int,
    seed: int,
) -> list[Variance]:
    import torch
    from torch import nn

    from saccade.models import catalog
    from saccade.training.health import variances

    torch.manual_seed(seed)
    network = catalog.create(name, **chosen)
    assert isinstance(network, nn.Module)
    channels, height, width = catalog.INPUT.get(name, (3, 64, 64))
    most = max(MOST, network.minimum_size)
    if imgsz is None:
        height, width = min(height, most), min(width, most)
    else:
        height, width = sides(imgsz)
        if max(height, width) > most:
            raise SaccadeError(
                f"--imgsz {height} x {width}: expected at most {most}; larger ones tell no more "
                "and take long, as every initialisation and activation is tried",
                name="bad-size",
            )
    # dropout would only add noise; norms act on the batch, as they do when training begins
    for module in network.modules():
        module.training = isinstance(module, nn.modules.batchnorm._BatchNorm)
    return variances(network, torch.randn(batch, channels, height, width), seed=seed)


def _tell(output: Output, probes: list[dict[str, Any]]) -> None:
    output.line("variance of each layer's outputs, from the first layer to the last (forward),")
    output.line("and of the gradient in them, from the last to the first (backward)")
    lines = []
    for probe in probes:
        found = probe["layers"]
        forward, backward = (
            [each.forward for each in found],
            [each.backward for each in reversed(found)],
        )
        lines.append(
            (
                probe["init"],
                probe["act"] or "",
                probe["verdict"],
                " ".join(map(_power, _few(forward))),
                " ".join(map(_power, _few(backward))),
            )
        )
    output.table(("init", "act", "", "forward", "backward"), lines, left=5)
    if len(probes) == 1:
        output.line()
        output.table(
            ("layer", "forward", "backward"),
            [(v.layer, f"{v.forward:.3g}", f"{v.backward:.3g}") for v in probes[0]["layers"]],
        )


def _few(values: list[float], most: int = 7) -> list[float]:
    """At most that many of the values, evenly, with both ends."""
    if len(values) <= most:
        return values
    return [values[round(place * (len(values) - 1) / (most - 1))] for place in range(most)]


def _power(value: float) -> str:
    """The nearest power of ten, as short as can be."""
    if value == 0:
        return "0"
    return f"1e{round(math.log10(value)):+d}" if math.isfinite(value) else "inf"


def _value(probe: dict[str, Any]) -> dict[str, Any]:
    layers = [
        {"name": each.layer, "forward": each.forward, "backward": each.backward}
        for each in probe["layers"]
    ]
    return {**probe, "layers": layers}
