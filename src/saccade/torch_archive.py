"""What PyTorch's files may hold, checked before PyTorch opens them.

A .pth file is a program for a stack machine, in a zip archive or bare. Only the steps that build a
table of tensors pass; `torch.load(weights_only=True)` behind this check is the second wall.
"""

from __future__ import annotations

import io
import pickletools
import stat
import zipfile
from collections.abc import Iterator

from saccade.errors import SaccadeError

REMEDY = (
    "Save the plain weights where you trust the file: "
    "safetensors.torch.save_file(model.state_dict(), 'weights.safetensors')."
)

STEPS = frozenset(
    """GLOBAL REDUCE BUILD APPEND APPENDS SETITEM SETITEMS MARK TUPLE TUPLE1 TUPLE2 TUPLE3
    EMPTY_TUPLE EMPTY_LIST EMPTY_DICT EMPTY_SET NONE NEWFALSE NEWTRUE BININT BININT1 BININT2 LONG1
    BINFLOAT BINUNICODE SHORT_BINSTRING BINPERSID BINGET LONG_BINGET BINPUT LONG_BINPUT PROTO
    STOP""".split()  # noqa: SIM905 (a column of thirty words)
)
"""Those that torch.save writes."""

TYPES = ("Float", "Half", "BFloat16", "Double", "Long", "Int", "Short", "Char", "Byte", "Bool")

NAMES = frozenset(
    ["collections OrderedDict", "torch Size", "torch device"]
    + ["torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter"]
    + [f"torch {kind}Storage" for kind in TYPES]
    + [f"torch {kind}" for kind in ("float32", "float16", "bfloat16", "float64", "int64")]
)
"""What the steps may name: containers and the parts of a dense tensor."""

LEGACY_PICKLES = 5
"""Of the older format: magic number, version, machine, object, names of storages; then numbers."""

LONGEST_PICKLE = 64 << 20

PARTS = ("data.pkl", "version", "byteorder", ".format_version", ".storage_alignment")


def check_archive(place: str, data: bytes) -> None:
    """Raise SaccadeError unless the zip archive is one that torch.save writes for tensors."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            _check_members(place, members, len(data))
            table = [each for each in members if each.filename.endswith("/data.pkl")]
            if len(table) != 1:
                shown = ", ".join(each.filename for each in members[:4])
                raise _refuse(place, f"is a zip archive without weights of PyTorch ({shown})")
            _check_parts(place, members, table[0].filename.removesuffix("data.pkl"))
            end = check_pickle(place, archive.read(table[0]))
            if end != table[0].file_size:
                raise _refuse(place, "has bytes after the end of its table of tensors")
    except (zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError) as error:
        raise SaccadeError(
            f"{place}: the archive is damaged ({error}). Copy or download it again.",
            name="damaged-weights",
            files=[place],
        ) from error


def _check_members(place: str, members: list[zipfile.ZipInfo], size: int) -> None:
    names = [each.filename for each in members]
    if len(set(names)) < len(names):
        raise _refuse(place, "holds two members of the same name")
    if members and min(each.header_offset for each in members) != 0:
        raise _refuse(place, "has something else before its first member")
    for each in members:
        name = each.filename
        if name.startswith("/") or "\\" in name or ":" in name or ".." in name.split("/"):
            raise _refuse(place, f"has a member that points out of the archive ({name!r})")
        if stat.S_ISLNK(each.external_attr >> 16):
            raise _refuse(place, f"has a member that is a link ({name!r})")
        if each.compress_type != zipfile.ZIP_STORED or each.flag_bits & 1:
            raise _refuse(place, f"has a compressed or encrypted member ({name!r})")
    spans = sorted((each.header_offset, each.file_size) for each in members)
    ends = [start + length for start, length in spans]
    following = [start for start, _ in spans[1:]] + [size]
    if any(end > start for end, start in zip(ends, following, strict=True)):
        raise _refuse(place, "has members that overlap or reach beyond the file")


def _check_parts(place: str, members: list[zipfile.ZipInfo], root: str) -> None:
    for each in members:
        name = each.filename.removeprefix(root)
        if name.startswith("code/") or name == "constants.pkl":
            raise _refuse(place, "is TorchScript, a program and not a table of weights")
        known = name in PARTS or name.startswith(("data/", ".data/"))
        if not known or not each.filename.startswith(root):
            raise _refuse(place, f"holds {each.filename!r}, which is no part of saved tensors")


def check_pickles(place: str, data: bytes) -> None:
    """Raise SaccadeError unless the bytes begin with the five tables of the older format."""
    position = 0
    for _ in range(LEGACY_PICKLES):
        position += check_pickle(place, data[position : position + LONGEST_PICKLE])


def check_pickle(place: str, data: bytes) -> int:
    """Raise SaccadeError for any step that is not needed for tensors; where the steps end."""
    if len(data) > LONGEST_PICKLE:
        raise _refuse(place, f"has a table of tensors of {len(data):,} bytes")
    for step, value, position in _steps(place, data):
        if step == "GLOBAL" and value not in NAMES:
            raise _not_of_tensors(place, str(value).replace(" ", "."))
        if step == "PROTO" and value != 2:
            raise _not_of_tensors(place, _called(place, data) or f"pickle protocol {value}")
        if step not in STEPS:
            raise _not_of_tensors(place, _called(place, data) or f"a step {step}")
        if step == "STOP":
            return position + 1
    raise _refuse(place, "breaks off within its table of tensors")


def _called(place: str, data: bytes) -> str:
    """The first thing outside tensors that the newer steps name, as far as it can be told."""
    recent: list[str] = []
    for step, value, _ in _steps(place, data):
        if step == "STACK_GLOBAL" and len(recent) == 2 and " ".join(recent) not in NAMES:
            return ".".join(recent)
        if isinstance(value, str) and step != "GLOBAL":
            recent = [*recent[-1:], value]
    return ""


def _steps(place: str, data: bytes) -> Iterator[tuple[str, object, int]]:
    try:
        for step, value, position in pickletools.genops(data):
            yield step.name, value, position or 0
    except (ValueError, UnicodeError, IndexError, OverflowError) as error:
        raise _refuse(place, f"has a table of tensors that is damaged ({error})") from error


def _not_of_tensors(place: str, what: str) -> SaccadeError:
    if what.startswith(("torch._utils._rebuild", "pickle protocol")) or what.endswith("Storage"):
        return _refuse(place, f"holds {what[:100]}; plain dense tensors are accepted")
    return SaccadeError(
        f"{place}: refused, because opening it with PyTorch could run code: it holds {what[:100]}, "
        f"which is no part of a tensor. {REMEDY}",
        name="unsafe-weights",
        files=[place],
    )


def _refuse(place: str, what: str) -> SaccadeError:
    return SaccadeError(
        f"{place}: refused: it {what}. {REMEDY}", name="unsafe-weights", files=[place]
    )
