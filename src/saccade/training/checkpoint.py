"""State that survives `kill -9`: every save is a new folder, committed by one rename.

weights/last/000012/  model.safetensors, optimizer.safetensors, ... (tensors only)
                      state.json       epoch, step, rows of results.csv, best so far
                      manifest.json    SHA-256 of every file beside it, written last
The two newest are kept, so that a damaged one has a predecessor.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from saccade.errors import SaccadeError
from saccade.files import sync_folder, write_error

KEPT = 2
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Checkpoint:
    """tensors: group ("model", "optimizer", ...) -> name -> tensor; state: JSON values.

    warnings: what had to be passed over on the way to this checkpoint, for the user.
    """

    tensors: Mapping[str, Mapping[str, Tensor]]
    state: Mapping[str, Any]
    warnings: tuple[str, ...] = field(default=())


def save_checkpoint(
    folder: Path, tensors: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]
) -> Path:
    """Write one more generation under `folder`; older ones stay until this one is safe.

    Raises SaccadeError where the disk is full or read-only; the generations before are intact.
    """
    number = max(_generations(folder), default=0) + 1
    temporary = folder / f".new-{number:06d}"
    contents = {
        f"{name}.safetensors": save({key: value.contiguous() for key, value in group.items()})
        for name, group in tensors.items()
    }
    contents["state.json"] = json.dumps(state, allow_nan=True).encode()
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
    contents[MANIFEST] = json.dumps(digests, indent=1).encode()
    try:
        _clear_temporaries(folder)
        temporary.mkdir(parents=True)
        for name, data in contents.items():
            _write_synced(temporary / name, data)
        sync_folder(temporary)
        temporary.rename(folder / f"{number:06d}")
        sync_folder(folder)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise write_error(folder, error) from error
    for old in sorted(_generations(folder))[:-KEPT]:
        shutil.rmtree(folder / f"{old:06d}")
    return folder / f"{number:06d}"


def load_checkpoint(folder: Path) -> Checkpoint | None:
    """The newest intact generation, or None where there is none yet.

    Raises SaccadeError when there are generations and every one is damaged.
    """
    warnings: list[str] = []
    for number in sorted(_generations(folder), reverse=True):
        place = folder / f"{number:06d}"
        try:
            contents = _read_verified(place)
            groups = {
                Path(name).stem: load(data)
                for name, data in contents.items()
                if name.endswith(".safetensors")
            }
            state = json.loads(contents["state.json"])
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            warnings.append(f"{place} is damaged ({error}); going back to the one before it.")
            continue
        return Checkpoint(groups, state, tuple(warnings))
    if warnings:
        raise SaccadeError(
            f"{folder}: every saved state is damaged, the run cannot be resumed. "
            "Start a new run; weights/best.safetensors may still be usable.",
            name="damaged-checkpoint",
            files=[str(folder)],
        )
    return None


def _read_verified(place: Path) -> dict[str, bytes]:
    digests: dict[str, str] = json.loads((place / MANIFEST).read_bytes())
    contents = {}
    for name, digest in digests.items():
        data = (place / name).read_bytes()
        if hashlib.sha256(data).hexdigest() != digest:
            raise ValueError(f"{name} does not match its SHA-256")
        contents[name] = data
    return contents


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _generations(folder: Path) -> list[int]:
    return [int(entry.name) for entry in folder.glob("[0-9]*") if entry.is_dir()]


def _clear_temporaries(folder: Path) -> None:
    """Remove what a killed save left behind."""
    for stale in folder.glob(".new-*"):
        shutil.rmtree(stale)
