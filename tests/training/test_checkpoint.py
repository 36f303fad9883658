"""Saved states: found again, checked, and never lost to a damaged or unfinished one."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
import torch

from saccade.errors import SaccadeError
from saccade.training import checkpoint
from saccade.training.checkpoint import load_checkpoint, save_checkpoint


def _save(folder: Path, value: float) -> Path:
    return save_checkpoint(folder, {"model": {"w": torch.full((3,), value)}}, {"value": value})


def test_the_newest_of_two_generations_is_loaded_and_older_ones_go(tmp_path: Path) -> None:
    for value in range(5):
        _save(tmp_path, value)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["000004", "000005"]
    loaded = load_checkpoint(tmp_path)
    assert loaded is not None and loaded.state == {"value": 4}
    assert loaded.tensors["model"]["w"].tolist() == [4, 4, 4]


def test_nothing_saved_is_none(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "absent") is None


@pytest.mark.parametrize("name", ["model.safetensors", "state.json", "manifest.json"])
def test_every_flipped_byte_is_noticed_and_the_older_state_named(tmp_path: Path, name: str) -> None:
    _save(tmp_path, 1)
    newest = _save(tmp_path, 2) / name
    data = newest.read_bytes()
    places = range(0, len(data), max(1, len(data) // 40))
    for place in places:
        damaged = bytearray(data)
        damaged[place] ^= 0x20
        newest.write_bytes(bytes(damaged))
        loaded = load_checkpoint(tmp_path)
        assert loaded is not None
        if loaded.state["value"] == 2:  # a flip in manifest.json's white space changes nothing
            assert name == "manifest.json" and json.loads(damaged) == json.loads(data)
        else:
            assert "000002" in loaded.warnings[0]


@pytest.mark.parametrize("length", [0, 1, 50])
def test_truncation_falls_back_and_two_damaged_states_are_an_error(
    tmp_path: Path, length: int
) -> None:
    first, second = _save(tmp_path, 1), _save(tmp_path, 2)
    for folder in (second, first):
        file = folder / "model.safetensors"
        file.write_bytes(file.read_bytes()[:length])
        if folder is second:
            loaded = load_checkpoint(tmp_path)
            assert loaded is not None and loaded.state == {"value": 1}
    with pytest.raises(SaccadeError, match="every saved state is damaged"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("call", ["mkdir", "open", "fsync", "rename"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_failing_disk_is_named_and_the_last_good_state_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    _save(tmp_path, 1)

    def fail(*args: object, **kwargs: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail) if call == "fsync" else patch.setattr(Path, call, fail)
        with pytest.raises(SaccadeError) as caught:
            _save(tmp_path, 2)
    expected = "disk-full" if number == errno.ENOSPC else "not-writable"
    assert caught.value.name == expected
    loaded = load_checkpoint(tmp_path)
    assert loaded is not None and loaded.state == {"value": 1} and not loaded.warnings


def test_leftovers_of_a_killed_save_are_cleared(tmp_path: Path) -> None:
    (tmp_path / ".new-000001").mkdir(parents=True)
    (tmp_path / ".new-000001" / "model.safetensors").write_bytes(b"half")
    _save(tmp_path, 1)
    assert [entry.name for entry in tmp_path.iterdir()] == ["000001"]
    assert checkpoint.KEPT == 2
