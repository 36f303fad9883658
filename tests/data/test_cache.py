"""Decoded pictures on disk: whole or not there, found again, told apart by every option."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from saccade.data import cache
from saccade.data import ingest as ingesting
from saccade.data.batches import Batches
from saccade.data.cache import NewStore, cache_folder, memory_limit, open_store, store_key
from saccade.data.dataset import Dataset
from saccade.data.ingest import Ingested, ingest
from saccade.errors import SaccadeError
from saccade.types import Example


class Counting:
    """Arrays that count how often they are read."""

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        self.arrays = arrays
        self.loads = 0

    def load(self, key: str) -> bytes | np.ndarray:
        self.loads += 1
        return self.arrays[key]


def arrays(count: int = 20, bad: tuple[int, ...] = ()) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    made = {f"{n}": generator.integers(0, 256, (20, 24, 3), dtype=np.uint8) for n in range(count)}
    # found only when decoded: the survey does not look at types
    return {k: v.astype(float) if int(k) in bad else v for k, v in made.items()}


def run(source: Counting, folder: Path, **options: Any) -> Ingested:
    examples = tuple(Example(key=key) for key in source.arrays)
    data = Dataset(name="d", root="d", examples=examples, fields=(), source=source)
    wanted: dict[str, Any] = {"height": 16, "width": 16, "limit": 0, "workers": 2}
    return ingest(data, cache_dir=folder, **{**wanted, **options})


def test_second_run_reads_the_store(tmp_path: Path) -> None:
    source = Counting(arrays(bad=(3, 4, 19)))
    first = run(source, tmp_path)
    assert source.loads == 40  # once for the hash, once to decode
    again = run(source, tmp_path)
    assert source.loads == 60  # once for the hash
    plain = run(source, tmp_path, limit=1 << 30)
    for other in (again, plain):
        assert torch.equal(first.pixels, other.pixels)
        assert torch.equal(first.geometry.matrix, other.geometry.matrix)
        assert first.rows.tolist() == other.rows.tolist()
        assert first.broken == other.broken and first.broken[0].files == ("19", "3", "4")
        for name in first.images:
            assert np.array_equal(first.images[name], other.images[name])
            assert first.images[name].dtype == other.images[name].dtype
    stores = list(tmp_path.iterdir())
    assert len(stores) == 1 and not stores[0].name.startswith(".")
    assert (stores[0] / "pixels.bin").stat().st_size == 17 * 16 * 16 * 3


def test_batches_from_a_mapped_file(tmp_path: Path) -> None:
    source = Counting(arrays())
    mapped, held = run(source, tmp_path), run(source, tmp_path, limit=1 << 30)
    inputs = []
    for seen in (mapped, held):
        batches = Batches(
            seen.pixels, seen.geometry, {}, seen.rows, height=16, width=16,
            mean=(0.5,) * 3, std=(0.2,) * 3, batch=7,
        )  # fmt: skip
        inputs.append(torch.cat([batch.inputs for batch in batches.epoch(0)]))
    assert torch.equal(*inputs)


@pytest.mark.parametrize(
    "change",
    [
        {"height": 15},
        {"width": 15},
        {"channels": 1},
        {"fit": "pad"},
        {"fit": "stretch"},
        {"margin": 1.25},
        {"background": (0, 0, 0)},
        {"max_pixels": 1000},
    ],
)
def test_every_option_has_its_own_store(tmp_path: Path, change: dict[str, Any]) -> None:
    source = Counting(arrays(4))
    run(source, tmp_path)
    run(source, tmp_path, **change)
    assert len(list(tmp_path.iterdir())) == 2


def test_changed_content_has_its_own_store(tmp_path: Path) -> None:
    source = Counting(arrays(4))
    run(source, tmp_path)
    source.arrays["2"] = source.arrays["2"].copy()
    source.arrays["2"][0, 0, 0] ^= 1
    run(source, tmp_path)
    source.arrays = dict(reversed(source.arrays.items()))
    run(source, tmp_path)
    assert len(list(tmp_path.iterdir())) == 3
    assert store_key(["a", "b"], {"x": 1}) != store_key(["ab"], {"x": 1})


@pytest.mark.parametrize("damage", ["store.json", "columns.npz", "pixels.bin", "cut"])
def test_a_damaged_store_is_made_anew(tmp_path: Path, damage: str) -> None:
    source = Counting(arrays(4))
    first = run(source, tmp_path).pixels.clone()
    store = next(tmp_path.iterdir())
    if damage == "cut":
        os.truncate(store / "pixels.bin", 100)
    else:
        (store / damage).unlink()
    assert torch.equal(run(source, tmp_path).pixels, first)
    assert [path.name for path in tmp_path.iterdir()] == [store.name]


def test_a_fault_while_decoding_leaves_nothing(tmp_path: Path) -> None:
    source = Counting(arrays(40))

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(source, tmp_path, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_two_at_once(tmp_path: Path) -> None:
    shape = (2, 3, 3, 1)
    one, other = NewStore(tmp_path, shape), NewStore(tmp_path, shape)
    one.pixels[:], other.pixels[:] = 1, 2
    one.keep("key", 2, {"n": np.arange(2)})
    other.keep("key", 2, {"n": np.arange(2)})
    found = open_store(tmp_path, "key")
    assert found is not None and (found[0] == 1).all()
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_no_room_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        free = 10

    monkeypatch.setattr(cache.shutil, "disk_usage", lambda place: Full)
    with pytest.raises(SaccadeError, match="SACCADE_CACHE") as caught:
        run(Counting(arrays(4)), tmp_path)
    assert caught.value.name == "cache-unwritable"
    assert list(tmp_path.iterdir()) == []
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(SaccadeError, match="file"):
        NewStore(blocked, (1, 1, 1, 1))


def test_where_and_how_much(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SACCADE_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("SACCADE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    if os.name == "posix" and os.uname().sysname == "Linux":
        assert cache_folder() == tmp_path / "x" / "saccade"
    assert 0 < memory_limit() <= cache.LARGEST_IN_MEMORY
    monkeypatch.setattr(ingesting, "memory_limit", lambda: 0)
    monkeypatch.setattr(ingesting, "cache_folder", lambda: tmp_path / "own")
    run(Counting(arrays(2)), None, limit=None)  # type: ignore[arg-type]
    assert len(list((tmp_path / "own").iterdir())) == 1
