"""Targets and results of any task in a few words, for a table that people read."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any


def target_words(text: Any, classes: Sequence[str] = ()) -> str:
    """A target as predictions/<split>.parquet holds it: a class name, or JSON."""
    if not isinstance(text, str):
        return ""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    # a class called 7 or null is a name too
    return text if text in classes else words(value)


def result_words(row: Mapping[str, Any], classes: Sequence[str]) -> str:
    """A row of predictions/<split>.parquet: what the network said."""
    for name in ("label", "labels", "values", "result"):
        value = row.get(name)
        if value is None:
            continue
        if name == "label":
            return str(value)
        if name == "result":
            return words(json.loads(value))
        named = [classes[item] if isinstance(item, int) else item for item in value]
        return words(named if name == "labels" else list(value))
    return ""


def words(value: Any) -> str:
    """Names joined by "|", numbers by ", ", objects by class and points counted, fields by name."""
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return _of_mapping(value)
    if isinstance(value, list | tuple):
        return _of_list(list(value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _of_mapping(value: Mapping[str, Any]) -> str:
    if "label" in value:
        return words(value["label"])
    if "labels" in value or "values" in value:
        return words(value.get("labels", value.get("values")))
    return "; ".join(f"{name}: {words(item)}" for name, item in value.items())


def _of_list(value: list[Any]) -> str:
    if all(isinstance(item, Mapping) and "label" in item for item in value) and value:
        counts = Counter(str(item["label"]) for item in value)
        return ", ".join(f"{count} {name}" for name, count in counts.items())
    if value and all(item is None or isinstance(item, list) for item in value):
        seen = sum(item is not None for item in value)
        return f"{seen} of {len(value)} points"
    if all(isinstance(item, str) for item in value):
        if len(set(value)) < len(value):
            return ", ".join(f"{count} {name}" for name, count in Counter(value).items())
        return "|".join(value)
    return ", ".join(words(item) for item in value)
