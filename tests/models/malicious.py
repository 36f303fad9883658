"""Files that pretend to be weights: programs, traps and damage, made anew by a script.

Nothing here is opened with pickle; the files are only written. Every gadget would create the canary
file if it ran.
"""

from __future__ import annotations

import io
import json
import pickle
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

ENDINGS = (".pt", ".pth", ".bin", ".ckpt", ".safetensors", ".zip")


class Call:
    """Pickles as a call of `module.name(*arguments)`, without importing anything."""

    def __init__(self, module: str, name: str, *arguments: Any) -> None:
        self.module, self.name, self.arguments = module, name, arguments


class Writer(pickle._Pickler):  # type: ignore[name-defined,misc]
    """Writes a `Call` as GLOBAL, arguments, REDUCE, whatever it names."""

    def save(self, found: Any, save_persistent_id: bool = True) -> Any:
        if not isinstance(found, Call):
            return super().save(found, save_persistent_id)
        if self.proto >= 4:
            super().save(found.module)
            super().save(found.name)
            self.write(pickle.STACK_GLOBAL)
        else:
            self.write(pickle.GLOBAL + f"{found.module}\n{found.name}\n".encode())
        super().save(found.arguments)
        self.write(pickle.REDUCE)
        return None


def pickled(value: Any, protocol: int = 2) -> bytes:
    buffer = io.BytesIO()
    Writer(buffer, protocol).dump(value)
    return buffer.getvalue()


def gadgets(canary: Path) -> dict[str, Any]:
    """Calls that would create the canary, by name."""
    touch, code = f"touch {canary}", f"open({str(canary)!r}, 'w').close()"
    system = Call("builtins", "getattr", Call("builtins", "__import__", "os"), "system")
    return {
        "os-system": Call("os", "system", touch),
        "posix-system": Call("posix", "system", touch),
        "nt-system": Call("nt", "system", touch),
        "eval": Call("builtins", "eval", code),
        "exec": Call("builtins", "exec", code),
        "python2-eval": Call("__builtin__", "eval", code),
        "open": Call("builtins", "open", str(canary), "w"),
        "getattr-chain": Call("functools", "partial", system, touch),
        "popen": Call("subprocess", "Popen", ["touch", str(canary)]),
        "check-output": Call("subprocess", "check_output", ["touch", str(canary)]),
        "runpy": Call("runpy", "_run_code", code, {}),
        "timeit": Call("timeit", "timeit", code),
        "profile": Call("cProfile", "run", code),
        "debugger": Call("pdb", "run", code),
        "code-object": Call("builtins", "compile", code, "x", "exec"),
        "marshal": Call("marshal", "loads", b"\xe3"),
        "attrgetter": Call("operator", "attrgetter", "system"),
        "methodcaller": Call("operator", "methodcaller", "system", touch),
        "ctypes": Call("ctypes", "CDLL", "libc.so.6"),
        "pty": Call("pty", "spawn", ["touch", str(canary)]),
        "web": Call("webbrowser", "open", "http://127.0.0.1:9/"),
        "pip": Call("pip", "main", ["install", "x"]),
        "numpy-runstring": Call("numpy.testing._private.utils", "runstring", code, {}),
        "numpy-scalar": Call("numpy.core.multiarray", "scalar", "x"),
        "torch-load": Call("torch", "load", str(canary)),
        "torch-storage": Call(
            "torch.storage", "_load_from_bytes", pickled(Call("os", "system", touch))
        ),
        "torch-hub": Call("torch.hub", "load", "x/y", "z"),
        "torch-compile": Call("torch.utils.cpp_extension", "load_inline", "x", "y"),
        "torch-module": Call("torch.nn.modules.linear", "Linear", 1, 1),
        "file-delete": Call("shutil", "rmtree", str(canary.parent)),
        "path-write": Call("pathlib", "Path", str(canary)),
    }


def in_torch_zip(table: bytes, **more: bytes) -> bytes:
    """An archive as torch.save writes it, with another table of tensors and more members."""
    return repacked(plain(), table=table, more=more)


def plain(**tensors: torch.Tensor) -> bytes:
    buffer = io.BytesIO()
    torch.save(tensors or {"features.0.weight": torch.ones(4, 3, 3, 3)}, buffer)
    return buffer.getvalue()


def repacked(
    archive: bytes,
    *,
    table: bytes | None = None,
    more: dict[str, bytes] | None = None,
    compression: int = zipfile.ZIP_STORED,
) -> bytes:
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(archive)) as old,
        zipfile.ZipFile(buffer, "w", compression) as new,
    ):
        for member in old.infolist():
            data = old.read(member)
            if table is not None and member.filename.endswith("data.pkl"):
                data = table
            new.writestr(member.filename, data)
        for name, data in (more or {}).items():
            new.writestr(name, data)
    return buffer.getvalue()


def in_legacy(table: bytes) -> bytes:
    """The older format: magic number, version, machine, table, names of storages."""
    first = [pickled(value) for value in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    return b"".join([*first, table, pickled([])])


def linked() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as new:
        link = zipfile.ZipInfo("archive/data.pkl")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        new.writestr(link, "/etc/passwd")
    return buffer.getvalue()


def twice() -> bytes:
    import warnings

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as new, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        new.writestr("archive/data.pkl", pickled({}))
        new.writestr("archive/data.pkl", pickled(Call("os", "system", "true")))
    return buffer.getvalue()


def flagged(data: bytes, bit: int) -> bytes:
    """Every member marked with a general flag, in local and central headers."""
    changed = bytearray(data)
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = changed.find(mark)
        while place >= 0:
            changed[place + offset] |= bit
            place = changed.find(mark, place + 4)
    return bytes(changed)


def overlapping() -> bytes:
    """All members of the central table point to the first one's place (a quine bomb's trick)."""
    data = bytearray(plain())
    place = data.find(b"PK\x01\x02")
    while place >= 0:
        data[place + 42 : place + 46] = bytes(4)
        place = data.find(b"PK\x01\x02", place + 4)
    return bytes(data)


def safetensors(header: Any, body: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def one(dtype: str = "F32", shape: tuple[int, ...] = (2,), span: tuple[int, int] = (0, 8)) -> Any:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(span)}


def with_huge_view() -> bytes:
    """One stored number seen as 10^12 of them."""
    return plain(**{"a.weight": torch.ones(1).expand(1_000_000, 1_000_000)})


def archives(canary: Path) -> dict[str, bytes]:
    """Traps in the container."""
    evil = pickled(Call("os", "system", f"touch {canary}"))
    good = plain()
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as members:
        link = tarfile.TarInfo("data.pkl")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        members.addfile(link)
    npz, npy, script = io.BytesIO(), io.BytesIO(), io.BytesIO()
    np.savez(npz, a=np.ones(3))
    np.save(npy, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(script, "w") as new:
        for name in ("m/data.pkl", "m/constants.pkl", "m/code/__torch__.py"):
            new.writestr(name, pickled({}))
    return {
        "slip": repacked(good, more={"../../escaped.txt": b"x"}),
        "slip-windows": repacked(good, more={"..\\..\\escaped.txt": b"x"}),
        "slip-absolute": repacked(good, more={"/tmp/escaped.txt": b"x"}),
        "symlink": linked(),
        "script-inside": repacked(good, more={"archive/setup.py": b"import os"}),
        "second-table": repacked(good, more={"other/data.pkl": evil}),
        "same-name-twice": twice(),
        "bomb": repacked(good, more={"archive/data/9": bytes(30_000_000)}, compression=8),
        "encrypted": flagged(good, 1),
        "overlapping": overlapping(),
        "shell-before-zip": b"PK#!/bin/sh\ntouch x\n" + good,
        "program-before-zip": b"#!/bin/sh\ntouch x\n" + good,
        "torchscript": script.getvalue(),
        "cut-zip": good[: len(good) // 2],
        "flipped-bit": bytes([*good[:80], good[80] ^ 255, *good[81:]]),
        "after-the-end": in_torch_zip(pickled({"a": 1}) + evil),
        "cut-legacy": in_legacy(pickled({}))[:60],
        "seven-zip": b"7z\xbc\xaf\x27\x1c\x00\x04" + evil,
        "gzip": b"\x1f\x8b\x08" + zlib.compress(evil),
        "tar-link": tar.getvalue(),
        "npz": npz.getvalue(),
        "npy-objects": npy.getvalue(),
        "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(64),
        "web-page": b"<!DOCTYPE html><title>404</title>",
        "lfs-pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0",
        "empty": b"",
        "zeros": bytes(4096),
        "python2-text": b"cos\nsystem\n(S'touch " + str(canary).encode() + b"'\ntR.",
    }


def headers() -> dict[str, bytes]:
    """Traps in safetensors."""
    both = b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},'
    both += b'"a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}'
    return {
        "header-of-exabytes": safetensors({"a": one()}, bytes(8), length=2**63 - 1),
        "header-beyond-file": safetensors({"a": one()}, bytes(8), length=5000),
        "header-of-200-mb": safetensors({"a": one()}, bytes(8), length=200_000_000),
        "header-no-json": safetensors(b'{"a": ', bytes(8)),
        "header-a-list": safetensors(b"[1, 2, 3]    ", bytes(8)),
        "header-deep": safetensors(b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
        "header-not-utf8": safetensors(b'{"\xff\xfe": 1}        '),
        "spans-overlap": safetensors({"a": one(), "b": one(span=(4, 12))}, bytes(12)),
        "span-beyond-file": safetensors({"a": one(span=(0, 8_000_000), shape=(2_000_000,))}),
        "span-backwards": safetensors({"a": one(span=(8, 0))}, bytes(8)),
        "hole": safetensors({"a": one(), "b": one(span=(16, 24))}, bytes(24)),
        "bytes-left-over": safetensors({"a": one()}, bytes(8) + b"#!/bin/sh"),
        "names-twice": safetensors(both, bytes(16)),
        "shape-overflows": safetensors({"a": one(shape=(2**62, 2**62))}, bytes(8)),
        "shape-negative": safetensors({"a": one(shape=(-2,))}, bytes(8)),
        "unknown-type": safetensors({"a": one(dtype="PICKLE")}, bytes(8)),
        "eight-bit-floats": safetensors({"a": one(dtype="F8_E4M3", span=(0, 2))}, bytes(2)),
        "nan": safetensors({"a": one()}, struct.pack("<2f", 1.0, float("nan"))),
        "infinite": safetensors({"a": one()}, struct.pack("<2f", float("-inf"), 0.0)),
        "half-nan": safetensors({"a": one("F16", (1,), (0, 2))}, b"\x00\x7e"),
    }


def objects() -> dict[str, bytes]:
    """Files that PyTorch could open and that hold no plain weights."""

    def saved(value: Any, **options: Any) -> bytes:
        buffer = io.BytesIO()
        torch.save(value, buffer, **options)
        return buffer.getvalue()

    bad = torch.ones(3)
    bad[1] = float("nan")
    return {
        "whole-module": saved(nn.Linear(2, 2)),
        "whole-module-legacy": saved(nn.Linear(2, 2), _use_new_zipfile_serialization=False),
        "one-tensor": saved(torch.ones(3)),
        "list-of-tensors": saved([torch.ones(3)]),
        "no-tensors": saved({"epoch": 3, "lr": 0.1}),
        "list-for-tensor": saved({"a.weight": [1.0, 2.0], "a.bias": torch.ones(2)}),
        "text-for-tensor": saved({"a.weight": "os.system", "b.weight": torch.ones(2)}),
        "complex": saved({"a.weight": torch.ones(3, dtype=torch.complex64)}),
        "eight-bit-tensor": saved({"a": torch.ones(2).to(torch.float8_e4m3fn)}),
        "sparse": saved({"a": torch.eye(3).to_sparse()}),
        "two-networks": saved({"generator": {"a": torch.ones(1)}, "critic": {"a": torch.ones(1)}}),
        "huge-view": with_huge_view(),
        "nan-tensor": saved({"a.weight": bad}),
        "double-too-large": saved({"a.weight": torch.full((2,), 1e300, dtype=torch.float64)}),
        "protocol-four": saved({"a": torch.ones(1)}, pickle_protocol=4),
    }


def corpus(folder: Path, canary: Path) -> Iterator[Path]:
    """Write every file into `folder` and yield its path."""
    containers: tuple[Callable[[Any], bytes], ...] = (
        lambda call: in_torch_zip(pickled({"a.weight": call})),
        lambda call: in_legacy(pickled({"a.weight": call})),
        lambda call: pickled(call, 4),
        lambda call: in_torch_zip(pickled({"state_dict": {"a": call}}, 4)),
        lambda call: pickled(call, 0),
    )
    made: list[tuple[str, bytes]] = []
    for number, (name, call) in enumerate(gadgets(canary).items()):
        made.append((name, containers[number % len(containers)](call)))
    made += [*archives(canary).items(), *objects().items()]
    for number, (name, data) in enumerate(made):
        path = folder / f"{name}{ENDINGS[number % len(ENDINGS)]}"
        path.write_bytes(data)
        yield path
    for name, data in headers().items():
        path = folder / f"{name}.safetensors"
        path.write_bytes(data)
        yield path
