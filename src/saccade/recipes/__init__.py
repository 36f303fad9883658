"""Recipes that come with saccade, chosen by name: `saccade train DATA --recipe NAME`."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent


def names() -> list[str]:
    return sorted(each.stem for each in FOLDER.glob("*.yaml"))


def find(name: str) -> Path | None:
    """The file of the recipe of that name."""
    return FOLDER / f"{name}.yaml" if name in names() else None
