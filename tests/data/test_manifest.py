from __future__ import annotations

import hashlib
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from made import by_parts, encoded, held, labelled, photo
from saccade.data.ingest import Ingested
from saccade.data.manifest import (
    find_changes,
    make_manifest,
    manifest_text,
    parts_of,
    plain,
    read_manifest,
    verify_manifest,
)
from saccade.data.splits import Splits, split
from saccade.errors import SaccadeError
from saccade.types import Example


def files(count: int = 20) -> dict[str, bytes]:
    return {f"{'ab'[i % 2]}/{i:02}.png": encoded(photo(i)) for i in range(count)}


def test_everything_is_in_it_and_comes_back(tmp_path: Path) -> None:
    contents = files()
    dataset, ingested = by_parts(contents)
    splits = split(dataset, images=ingested.images, seed=4)
    manifest = make_manifest(dataset, ingested, splits)
    path = tmp_path / "data.json"
    path.write_text(manifest_text(manifest), encoding="utf-8")
    back = read_manifest(path)
    assert back == manifest == json.loads(path.read_text())
    assert back["fields"] == [{"name": "label", "kind": "label", "classes": ["a", "b"]}]
    assert back["parts"] == splits.counts()
    assert "seed 4" in back["method"]
    for entry, part in zip(back["examples"], splits.part.tolist(), strict=True):
        assert entry["sha256"] == hashlib.sha256(contents[entry["key"]]).hexdigest()
        assert entry["part"] == part
        assert entry["target"] == {"label": entry["key"][0]}
        assert "group" not in entry
    verify_manifest(back, dataset, ingested)
    assert parts_of(back, dataset).tolist() == splits.part.tolist()


def test_groups_and_sources_are_kept_and_order_does_not_matter() -> None:
    contents = files(12)
    examples = [
        Example(key=key, target={"label": key[0]}, group=f"g{i // 2}", source="phone")
        for i, key in enumerate(contents)
    ]
    dataset, ingested = held(contents, *examples)
    splits = split(dataset, images=ingested.images)
    manifest = make_manifest(dataset, ingested, splits)
    assert {"group", "source"} <= manifest["examples"][0].keys()
    turned, read = held(contents, *examples[::-1])
    other = make_manifest(turned, read, split(turned, images=read.images))
    assert other["digest"] == manifest["digest"]


def test_every_change_is_named() -> None:
    contents = files()
    dataset, ingested = by_parts(contents)
    manifest = make_manifest(dataset, ingested, split(dataset, images=ingested.images))
    contents["a/00.png"] = encoded(photo(99))
    del contents["b/01.png"]
    contents["a/new.png"] = encoded(photo(98))
    after, read = by_parts(contents)
    moved = tuple(
        replace(e, target={"label": "b"}) if e.key == "a/02.png" else e for e in after.examples
    )
    after = replace(after, examples=moved)
    changes = find_changes(manifest, after, read)
    assert changes.content == ("a/00.png",)
    assert changes.missing == ("b/01.png",)
    assert changes.new == ("a/new.png",)
    assert changes.targets == ("a/02.png",)
    with pytest.raises(SaccadeError, match="begin a new run") as caught:
        verify_manifest(manifest, after, read)
    assert caught.value.name == "changed-data"
    assert set(caught.value.files) == {"a/00.png", "b/01.png", "a/new.png", "a/02.png"}
    with pytest.raises(SaccadeError):
        parts_of(manifest, after)


def test_unreadable_files_have_no_entry() -> None:
    contents = files() | {"a/broken.png": b"nothing"}
    dataset, ingested = by_parts(contents)
    splits = split(dataset, images=ingested.images, rows=ingested.rows)
    manifest = make_manifest(dataset, ingested, splits)
    assert len(manifest["examples"]) == 20
    verify_manifest(manifest, dataset, ingested)


@pytest.mark.parametrize("change", ["cut", "edit", "other", "absent"])
def test_a_damaged_manifest_is_an_error(tmp_path: Path, change: str) -> None:
    dataset, ingested = by_parts(files())
    text = manifest_text(make_manifest(dataset, ingested, split(dataset)))
    path = tmp_path / "data.json"
    damaged = {
        "cut": text[:-40],
        "edit": text.replace('"part":"test"', '"part":"train"', 1),
        "other": "[1]",
    }
    if change in damaged:
        path.write_text(damaged[change])
    with pytest.raises(SaccadeError) as caught:
        read_manifest(path)
    assert caught.value.files == (str(path),)


def test_targets_become_plain_values() -> None:
    mask = np.zeros((2, 3), dtype=np.uint8)
    told = plain({"a": (1, np.float32(0.5), float("nan")), "m": mask, "n": None, "s": "x"})
    assert told["a"] == [1, 0.5, None]
    assert told["m"] == plain(mask)
    assert told["m"] != plain(mask.reshape(3, 2))
    assert json.loads(json.dumps(told)) == told


def test_seventy_thousand_examples_take_seconds() -> None:
    data = labelled([f"c{i % 10}" for i in range(70_000)])
    hashes = np.array([hashlib.sha256(str(i).encode()).hexdigest() for i in range(70_000)])
    _, small = held({"c/0.png": encoded(photo(0))}, Example(key="c/0.png", target={"label": "c"}))
    ingested: Ingested = replace(
        small, images={"sha256": hashes}, rows=np.arange(70_000, dtype=np.int64)
    )
    start = time.perf_counter()
    manifest = make_manifest(data, ingested, Splits(part=np.repeat("train", 70_000)))
    text = manifest_text(manifest)
    verify_manifest(json.loads(text), data, ingested)
    assert time.perf_counter() - start < 15
    assert len(text) < 14e6
