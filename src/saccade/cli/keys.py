"""Keys of the verbs: grouped in --help, and types of values that click does not know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])


class Key(click.Option):
    """An option that stands under a heading of its own in --help."""

    def __init__(self, *arguments: Any, group: str = "Output", **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.group = group


class Verb(click.Command):
    """Shows its keys group by group, in the order in which they are written."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        keys = (parameter for parameter in self.params if isinstance(parameter, Key))
        for parameter in keys:
            record = parameter.get_help_record(ctx)
            if record is not None:
                groups.setdefault(parameter.group, []).append(record)
        for group, records in groups.items():
            with formatter.section(group):
                formatter.write_dl(records)


def verb(*, epilog: str | None = None) -> Callable[[Callable[..., Any]], click.Command]:
    """A command with grouped keys; its docstring is its help."""
    return click.command(cls=Verb, epilog=epilog)


def key(*names: str, group: str, **settings: Any) -> Callable[[Function], Function]:
    """One key of a verb, under the heading `group`."""
    return click.option(*names, cls=Key, group=group, **settings)


def recipe_key(group: str) -> Callable[[Function], Function]:
    """What a training starts from."""
    return key(
        "--recipe",
        group=group,
        metavar="FILE|NAME",
        help="Settings in the form of a run's args.yaml, or a recipe of saccade's: small-fast, "
        "small-accurate (for pictures up to 64 pixels).",
    )


json_key = key(
    "--json",
    group="Output",
    is_flag=True,
    expose_value=False,
    help="Print exactly one JSON value on stdout; all else goes to stderr.",
)
"""Declared for --help; `main` reads it before anything can fail."""


class Rate(click.ParamType[float | str]):
    """A learning rate, or auto."""

    name = "N"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | str:
        try:
            return "auto" if value == "auto" else float(value)
        except ValueError:
            self.fail(f"{value!r} is not a rate: write a number, or auto.", param, ctx)


class Size(click.ParamType[int | tuple[int, int]]):
    """N, or HEIGHT,WIDTH, in pixels."""

    name = "N"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | tuple[int, int]:
        parts = str(value).replace("x", ",").split(",")
        if not all(part.strip().isdigit() and int(part) > 0 for part in parts) or len(parts) > 2:
            self.fail(f"{value!r} is not a size: write N, or HEIGHT,WIDTH, in pixels.", param, ctx)
        sides = [int(part) for part in parts]
        return sides[0] if len(sides) == 1 else (sides[0], sides[1])


def sides(size: int | tuple[int, int]) -> tuple[int, int]:
    """Height and width."""
    return (size, size) if isinstance(size, int) else size
