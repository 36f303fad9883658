"""saccade benchmark"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from saccade.cli.keys import Size, json_key, key, sides, verb
from saccade.cli.output import Output, count

if TYPE_CHECKING:
    from saccade.training.benchmark import Timing
    from saccade.training.device import Hardware

WORTH = 1.03
"""A way to compute has to be this much faster before another choice is advised."""


@verb()
@key("--model", default="resnet18", show_default=True, group="Model", help="`saccade models`.")
@key("--imgsz", type=Size(), group="Model", help="Input side, or HEIGHT,WIDTH; the paper's.")
@key("--batch", type=int, default=32, show_default=True, group="Training", help="Pictures a step.")
@key("--device", group="Training", help="cpu, cuda, cuda:N or mps; the best when left out.")
@key("--rounds", type=int, default=5, show_default=True, group="Training", help="Steps timed.")
@json_key
@click.pass_obj
def command(
    output: Output,
    model: str,
    imgsz: int | tuple[int, int] | None,
    batch: int,
    device: str | None,
    rounds: int,
) -> None:
    """Measure what this machine trains fastest with, and compare it with what `train` chooses.

    Times a training step of MODEL in float32, in float32 with channels last, and in half precision
    with channels last, in turns, and prints the ratios and the speed in GFLOP/s.
    """
    from torch import nn

    from saccade.models import catalog
    from saccade.ops import cost
    from saccade.training import benchmark
    from saccade.training.device import choose

    network = catalog.create(model)
    assert isinstance(network, nn.Module)
    channels, height, width = catalog.INPUT.get(model, (3, 224, 224))
    height, width = (height, width) if imgsz is None else sides(imgsz)
    chosen = choose(device)
    with output.reporter() as reporter:
        timings = benchmark.compare(
            network,
            (channels, height, width),
            batch=batch,
            multiply_adds=cost.total(
                cost.describe(network, (channels, height, width))
            ).multiply_adds,
            hardware=benchmark.ways(chosen),
            rounds=rounds,
            progress=lambda done, total: reporter.progress("timing steps", done, total),
        )
    _tell(output, timings, chosen, f"{model}, {channels} x {height} x {width}, batch {batch}")
    output.value(_value(timings, chosen, model, [channels, height, width]))


def _tell(output: Output, timings: list[Timing], chosen: Hardware, subject: str) -> None:
    output.line(f"{subject}, on {chosen.name} ({chosen.device}), {chosen.threads} threads")
    output.table(
        ("way", "ms per step", "images/s", "GFLOP/s", "ratio"),
        [
            (
                _name(timing.hardware),
                f"{timing.seconds * 1000:.1f}",
                count(timing.images_per_second),
                count(timing.gflops),
                f"{timings[0].seconds / timing.seconds:.2f}x",
            )
            for timing in timings
        ],
    )
    best = min(timings, key=lambda timing: timing.seconds)
    own = next(timing for timing in timings if _same(timing.hardware, chosen))
    output.line(f"`train` chooses {_name(chosen)} here, from the hardware's flags.")
    if own.seconds / best.seconds < WORTH:
        output.line("That is right: nothing measured was faster.")
        return
    way = best.hardware
    output.line(
        f"{_name(way)} was {own.seconds / best.seconds:.2f}x as fast; to use it: "
        f"--set train.precision={way.precision} "
        f"--set train.channels_last={str(way.channels_last).lower()}"
    )


def _value(timings: list[Timing], chosen: Hardware, model: str, shape: list[int]) -> dict[str, Any]:
    rows = [
        {
            "precision": timing.hardware.precision,
            "channels_last": timing.hardware.channels_last,
            "seconds": timing.seconds,
            "fastest": timing.fastest,
            "images_per_second": timing.images_per_second,
            "gflops": timing.gflops,
            "ratio": timings[0].seconds / timing.seconds,
            "chosen": _same(timing.hardware, chosen),
        }
        for timing in timings
    ]
    return {
        "model": model,
        "input": shape,
        "batch": timings[0].batch,
        "device": chosen.device,
        "hardware": chosen.name,
        "threads": chosen.threads,
        "ways": rows,
    }


def _same(way: Hardware, other: Hardware) -> bool:
    return (way.precision, way.channels_last) == (other.precision, other.channels_last)


def _name(way: Hardware) -> str:
    return f"{way.precision}{' channels-last' if way.channels_last else ''}"
