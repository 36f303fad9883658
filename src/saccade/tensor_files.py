"""Tensors out of files that others made: nothing in them is ever executed.

Understood by content, whatever the ending: safetensors, PyTorch's archive (zip) and its older
format. Every check stands before the reader it protects, and the whole file is read once, so that
what was checked is what is used. What is not plain weights is refused with its reason.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from saccade.errors import SaccadeError
from saccade.torch_archive import REMEDY, check_archive, check_pickles

MOST_BYTES = 8 << 30
"""Of a weights file; the largest network of the catalogue has 0.6 GB."""

LONGEST_HEADER = 16 << 20
"""Bytes of a safetensors header; ten thousand tensors take about one million."""

MOST_TENSORS = 100_000

HOLDERS = (
    "state_dict",
    "model_state_dict",
    "net_state_dict",
    "model_ema",
    "model",
    "net",
    "network",
    "module",
    "params_ema",
    "params",
    "weights",
    "encoder",
    "backbone",
)
"""Usual keys under which a training script puts its weights, in the order they are looked for."""

WEIGHT_NAMES = ("weight", "bias", "running_mean", "running_var")

KNOWN_FORMATS = (
    (b"\x89HDF", "an HDF5 (Keras) file"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\x08\x07\x12", "an ONNX file"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x7fELF", "a program"),
    (b"#!", "a script"),
    (b"<", "a web page, perhaps an error page in place of a download"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file it points to"),
)

UNREADABLE = (
    SafetensorError,
    RuntimeError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    EOFError,
    OverflowError,
    RecursionError,
    MemoryError,
    AssertionError,
    struct.error,
)
"""What readers raise on bytes that are not what they seem; anything else is our own fault."""


@dataclass(frozen=True)
class TensorFile:
    """tensors: by name, floating ones as float32; notes: what else the file held, for the user."""

    tensors: Mapping[str, Tensor]
    sha256: str
    notes: tuple[str, ...] = ()


def read_tensors(path: Path) -> TensorFile:
    """The weights in `path`. Raises SaccadeError with the reason for anything else."""
    data = _bytes(path)
    try:
        values, notes = _state_dict(_decode(path, data), str(path))
        tensors = {name: _plain(path, name, value, len(data)) for name, value in values.items()}
    except UNREADABLE as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise _damaged(path, f"cannot be read ({reason})") from error
    return TensorFile(tensors, hashlib.sha256(data).hexdigest(), notes)


def _bytes(path: Path) -> bytes:
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no such file"
        if path.exists() and not path.is_dir():
            found = "not a regular file"
        raise SaccadeError(
            f"{path}: {found}. Name a .safetensors or .pth file, a run, or published weights such "
            "as imagenet.",
            name="no-weights",
            files=[str(path)],
        )
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise _damaged(path, f"has {size:,} bytes, more than the {MOST_BYTES:,} accepted")
        return path.read_bytes()
    except OSError as error:
        raise SaccadeError(
            f"{path}: cannot be read ({error.strerror}).", name="no-weights", files=[str(path)]
        ) from error


def _decode(path: Path, data: bytes) -> Any:
    """Whatever object of tensors the bytes hold."""
    if len(data) < 16:
        raise _damaged(path, f"has {len(data)} bytes, too few for any weights")
    if data[:2] == b"PK":
        check_archive(str(path), data)
    elif data[:1] == b"\x80":
        check_pickles(str(path), data)
    elif data[8:9] == b"{":
        _check_header(path, data)
        return safetensors.torch.load(data)
    else:
        _refuse_unknown(path, data)
    return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)


def _refuse_unknown(path: Path, data: bytes) -> NoReturn:
    for start, kind in KNOWN_FORMATS:
        if data.startswith(start):
            raise _damaged(path, f"is {kind}")
    if data[:1] in b"c(" and b"\n" in data[:200]:
        raise _damaged(path, "is a program for Python's oldest pickle, no weights")
    if path.suffix.lower() == ".safetensors":
        _check_header(path, data)
    raise _damaged(path, "is in no known format")


def _check_header(path: Path, data: bytes) -> None:
    """A safetensors header that fits into the file and names every tensor once."""
    length = int.from_bytes(data[:8], "little")
    if length > min(len(data) - 8, LONGEST_HEADER):
        raise _damaged(
            path,
            f"says that its header has {length:,} bytes; the file has {len(data):,} and "
            f"{LONGEST_HEADER:,} are accepted",
        )

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(pairs)
        if len(table) < len(pairs):
            seen = Counter(name for name, _ in pairs)
            raise _damaged(path, f"names {seen.most_common(1)[0][0]} twice")
        return table

    header = json.loads(data[8 : 8 + length], object_pairs_hook=once)
    if not isinstance(header, dict):
        raise _damaged(path, "has a header that is no table of tensors")


def _state_dict(found: Any, place: str) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The tensors of a state dict, or of the one a dict holds, and what else was there."""
    if not isinstance(found, dict):
        raise _not_weights(place, f"holds {_kind(found)}, expected a table of tensors by name")
    found = {str(name): value for name, value in found.items()}
    notes: tuple[str, ...] = ()
    inner = {name: value for name, value in found.items() if _holds_tensors(value)}
    if not _holds_tensors(found) and inner:
        chosen = [name for name in HOLDERS if name in inner] or list(inner)
        if len(chosen) > 1 and chosen[0] not in HOLDERS:
            raise _not_weights(
                place, f"holds several sets of weights ({', '.join(inner)}); save one of them alone"
            )
        others = [name for name in found if name != chosen[0]]
        notes = (f"weights taken from {chosen[0]!r} of the file",)
        notes += (f"not used: {', '.join(others[:8])}",) if others else ()
        found = {str(name): value for name, value in inner[chosen[0]].items()}
    tensors = {name: value for name, value in found.items() if isinstance(value, Tensor)}
    for name in found.keys() - tensors.keys():
        if name.rpartition(".")[2] in WEIGHT_NAMES:
            raise _not_weights(place, f"{name} is {_kind(found[name])}, expected a tensor")
    if not tensors or len(tensors) > MOST_TENSORS:
        raise _not_weights(place, f"holds {len(tensors)} tensors by name")
    extra = sorted(found.keys() - tensors.keys())
    return tensors, (*notes, *([f"not used: {', '.join(extra[:8])}"] if extra else []))


def _holds_tensors(value: Any) -> bool:
    return isinstance(value, dict) and any(isinstance(item, Tensor) for item in value.values())


def _plain(path: Path, name: str, value: Tensor, size: int) -> Tensor:
    """A dense tensor of its own, floating values as float32 and finite."""
    if value.layout != torch.strided or value.is_quantized or value.device.type != "cpu":
        raise _not_weights(str(path), f"{name} is no dense tensor")
    if math.prod(value.shape) * value.element_size() > size:
        shape = " x ".join(map(str, value.shape))
        raise _damaged(path, f"{name} claims to be {shape}, more than the file has bytes")
    if value.is_complex() or (value.is_floating_point() and value.element_size() < 2):
        raise _not_weights(str(path), f"{name} has numbers of type {_type(value)}")
    value = value.detach()
    if not value.is_floating_point():
        return value.clone()
    value = value.to(torch.float32, copy=True).contiguous()
    if not bool(torch.isfinite(value).all()):
        wrong = int((~torch.isfinite(value)).sum())
        raise SaccadeError(
            f"{path}: {name} has {wrong} of {value.numel()} values that are not finite (NaN or "
            "infinite). The training that made them failed; take an earlier state of it.",
            name="non-finite-weights",
            files=[str(path)],
        )
    return value


def _kind(value: Any) -> str:
    return "one tensor" if isinstance(value, Tensor) else f"a {type(value).__name__}"


def _type(value: Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")


def _damaged(path: Path, what: str) -> SaccadeError:
    return SaccadeError(
        f"{path}: {what}. Expected weights as .safetensors or a PyTorch state dict; the file is "
        "damaged or something else.",
        name="damaged-weights",
        files=[str(path)],
    )


def _not_weights(place: str, what: str) -> SaccadeError:
    return SaccadeError(f"{place}: {what}. {REMEDY}", name="not-weights", files=[place])
