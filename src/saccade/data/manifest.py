"""The manifest (data.json): which picture, with which content, lies in which part, and as what."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from saccade.data.dataset import Dataset
from saccade.data.ingest import Ingested
from saccade.data.splits import Splits
from saccade.errors import SaccadeError
from saccade.types import Example

FORMAT = 1
NAMED = 5  # files that a message names; an error's `files` holds all
NEEDED = frozenset({"format", "name", "root", "method", "fields", "parts", "digest", "examples"})


@dataclass(frozen=True, kw_only=True)
class Changes:
    """Keys that differ from a manifest, sorted: other bytes, gone, new, or with another target."""

    content: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.content or self.missing or self.new or self.targets)


def make_manifest(dataset: Dataset, ingested: Ingested, splits: Splits) -> dict[str, Any]:
    """All that tells this data set and its split from any other, as plain JSON values.

    Args:
        dataset: as opened, or its readable examples only.
        ingested: its pictures; `splits.part` has a row for each.
        splits: the part of each.

    Returns:
        format, name, root, method (one sentence on the split), fields (name, kind, classes in
        index order), parts (examples in each), digest (sha256 of all examples, whatever their
        order) and examples: {"key", "sha256", "part", "target"} and, where known, "group" and
        "source".
    """
    readable = aligned(dataset, ingested)
    hashes = np.asarray(ingested.images["sha256"]).tolist()
    entries = [
        _entry(example, told(example, readable), sha256, part)
        for example, sha256, part in zip(
            readable.examples, hashes, splits.part.tolist(), strict=True
        )
    ]
    return {
        "format": FORMAT,
        "name": dataset.name,
        "root": dataset.root,
        "method": splits.method,
        "fields": [asdict(field) | {"classes": list(field.classes)} for field in dataset.fields],
        "parts": splits.counts(),
        "digest": digest(entries),
        "examples": entries,
    }


def aligned(dataset: Dataset, ingested: Ingested) -> Dataset:
    """The data set with one example per readable picture, if it is not so already."""
    if len(dataset) == len(ingested.rows):
        return dataset
    return dataset.select(ingested.rows.tolist())


def digest(entries: list[dict[str, Any]]) -> str:
    """sha256, in hex, of the examples of a manifest; their order does not matter."""
    lines = sorted(_compact(entry) for entry in entries)
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def manifest_text(manifest: Mapping[str, Any]) -> str:
    """JSON of a manifest, the same for the same content, one example a line."""
    head = {name: value for name, value in manifest.items() if name != "examples"}
    lines = ",\n".join(_compact(entry) for entry in manifest["examples"])
    opened = json.dumps(head, ensure_ascii=False, sort_keys=True, indent=1).removesuffix("\n}")
    return f'{opened},\n "examples": [\n{lines}\n]\n}}\n'


def read_manifest(path: Path) -> dict[str, Any]:
    """Read a manifest back.

    Raises:
        SaccadeError: no such file, no manifest, or one whose examples do not give its digest.
    """
    try:
        manifest = json.loads(path.read_bytes().decode("utf-8", "surrogateescape"))
    except OSError as error:
        raise SaccadeError(
            f"{path}: cannot be read ({error.strerror}); expected the manifest of a split",
            name="no-manifest",
            files=[str(path)],
        ) from error
    except ValueError as error:
        raise _damaged(path, f"it is not JSON ({error})") from error
    if not isinstance(manifest, dict) or not manifest.keys() >= NEEDED:
        raise _damaged(path, "it lacks entries of a manifest")
    if manifest["format"] != FORMAT:
        raise _damaged(path, f"its format is {manifest['format']!r}, expected {FORMAT}")
    if digest(manifest["examples"]) != manifest["digest"]:
        raise _damaged(path, "its examples were changed by hand or cut off")
    return manifest


def in_shares(manifest: Mapping[str, Any]) -> bool:
    """Whether errors are shares, which people read in percent: not where numbers are learned."""
    return all(entry["kind"] != "values" for entry in manifest.get("fields", ()))


def groups_of(manifest: Mapping[str, Any], keys: Iterable[str]) -> list[str] | None:
    """The group of each key; None where the data name no groups.

    An example without a group is a group of its own.
    """
    groups = {
        entry["key"]: entry["group"]
        for entry in manifest.get("examples", ())
        if entry.get("group") is not None
    }
    return [groups.get(key, f"\0{key}") for key in keys] if groups else None


def parts_of(manifest: Mapping[str, Any], dataset: Dataset) -> np.ndarray:
    """(N,) part of each example by its key. SaccadeError where the manifest does not know it."""
    known = {entry["key"]: entry["part"] for entry in manifest["examples"]}
    strangers = [example.key for example in dataset.examples if example.key not in known]
    if strangers:
        raise _changed(dataset.root, Changes(new=tuple(sorted(strangers))))
    return np.array([known[example.key] for example in dataset.examples], dtype="<U9")


def find_changes(manifest: Mapping[str, Any], dataset: Dataset, ingested: Ingested) -> Changes:
    """What differs between a manifest and the data as they are now."""
    readable = aligned(dataset, ingested)
    hashes = np.asarray(ingested.images["sha256"]).tolist()
    before = {entry["key"]: entry for entry in manifest["examples"]}
    now = dict(zip((example.key for example in readable.examples), hashes, strict=True))
    both = [example for example in readable.examples if example.key in before]
    return Changes(
        content=_keys(e for e in both if before[e.key]["sha256"] != now[e.key]),
        missing=tuple(sorted(before.keys() - now.keys())),
        new=tuple(sorted(now.keys() - before.keys())),
        targets=_keys(e for e in both if before[e.key]["target"] != told(e, readable)),
    )


def verify_manifest(manifest: Mapping[str, Any], dataset: Dataset, ingested: Ingested) -> None:
    """Raise SaccadeError "changed-data", naming the files, where the data are not as they were."""
    changes = find_changes(manifest, dataset, ingested)
    if changes:
        raise _changed(dataset.root, changes)


def plain(value: Any) -> Any:
    """A target as JSON has it: lists for tuples, None for NaN, a hash for an array."""
    if isinstance(value, np.ndarray):
        data = np.ascontiguousarray(value)
        head = f"{data.dtype.str}{data.shape}".encode()
        return {"sha256": hashlib.sha256(head + data.tobytes()).hexdigest()}
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value if isinstance(value, str | int) or value is None else str(value)


def told(example: Example, dataset: Dataset) -> Any:
    """The target as the manifest has it: with a hash of what a file of a mask holds."""
    target = dict(example.target)
    for field in dataset.fields:
        path = target.get(field.name)
        if field.kind == "mask" and isinstance(path, str):
            data = dataset.source.load(path)
            whole = data.tobytes() if isinstance(data, np.ndarray) else data
            digest = hashlib.sha256(whole).hexdigest()
            target[field.name] = {"path": path, "sha256": digest}
    return plain(target)


def _entry(example: Example, target: Any, sha256: str, part: str) -> dict[str, Any]:
    entry = {
        "key": example.key,
        "sha256": sha256,
        "part": part,
        "target": target,
        "group": example.group,
        "source": example.source,
    }
    optional = ("group", "source")
    return {name: v for name, v in entry.items() if v is not None or name not in optional}


def _compact(entry: Mapping[str, Any]) -> str:
    return json.dumps(entry, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _keys(examples: Any) -> tuple[str, ...]:
    return tuple(sorted(example.key for example in examples))


def _damaged(path: Path, why: str) -> SaccadeError:
    return SaccadeError(
        f"{path}: not a manifest that saccade wrote, {why}; make it again with `saccade split`",
        name="damaged-manifest",
        files=[str(path)],
    )


def _changed(root: str, changes: Changes) -> SaccadeError:
    found = {
        "with other content": changes.content,
        "gone or unreadable": changes.missing,
        "new": changes.new,
        "with another label": changes.targets,
    }
    told = "; ".join(f"{len(keys)} {what} ({_named(keys)})" for what, keys in found.items() if keys)
    return SaccadeError(
        f"{root}: the data are not those of this run any more: {told}. Bring them back as they "
        "were, or begin a new run",
        name="changed-data",
        files=[key for keys in found.values() for key in keys],
    )


def _named(keys: tuple[str, ...]) -> str:
    return ", ".join(keys[:NAMED]) + (", ..." if len(keys) > NAMED else "")
