"""Train-dev is carved out of training where dev comes from elsewhere, and only there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from saccade.data.bridge import carve, sources_differ
from saccade.data.dataset import Dataset
from saccade.data.open import open_dataset
from saccade.data.samples import Arrays
from saccade.data.splits import Splits
from saccade.types import Example, Field


def dataset(sources: Sequence[str | None], groups: Sequence[str | None] | None = None) -> Dataset:
    examples = tuple(
        Example(
            key=f"{number}.png",
            target={"label": "ab"[number % 2]},
            source=source,
            group=groups[number] if groups else None,
        )
        for number, source in enumerate(sources)
    )
    return Dataset(
        name="made",
        root="made",
        examples=examples,
        fields=(Field(name="label", kind="label", classes=("a", "b")),),
        source=Arrays({}),
        tasks=("classification",),
        reason="",
    )


def parts(train: int, dev: int) -> Splits:
    return Splits(part=np.array(["train"] * train + ["dev"] * dev), method="as named")


def test_other_sources_in_dev_set_some_training_aside() -> None:
    data = dataset(["web"] * 200 + ["phone"] * 40)
    splits = carve(data, parts(200, 40), images={}, seed=0)
    # 15 % of 200 is less than the 40 that dev has
    assert splits.counts() == {"train": 170, "train-dev": 30, "dev": 40}
    assert "30 training examples kept aside as train-dev" in splits.method
    again = carve(data, parts(200, 40), images={}, seed=0)
    assert (again.part == splits.part).all()
    assert (carve(data, parts(200, 40), images={}, seed=1).part != splits.part).any()


def test_the_same_sources_leave_the_split_alone() -> None:
    for sources in (["web", "phone"] * 120, [None] * 240):
        before = parts(200, 40)
        assert carve(dataset(sources), before, images={}, seed=0) is before


def test_a_share_can_be_asked_for_or_refused() -> None:
    alike, other = dataset([None] * 240), dataset(["web"] * 200 + ["phone"] * 40)
    asked = carve(alike, parts(200, 40), images={}, seed=0, share=0.1)
    assert asked.counts()["train-dev"] == 20
    assert "train-dev" not in carve(other, parts(200, 40), images={}, seed=0, share=0).counts()


def test_groups_stay_whole() -> None:
    groups = [f"g{number // 7}" for number in range(200)] + [None] * 40
    data = dataset(["web"] * 200 + ["phone"] * 40, groups)
    part = carve(data, parts(200, 40), images={}, seed=3).part
    for name in set(groups) - {None}:
        own = {part[row] for row, group in enumerate(groups) if group == name}
        assert len(own) == 1
    assert 20 <= (part == "train-dev").sum() <= 30


def test_total_variation_by_hand() -> None:
    # training: 3/4 web, dev: 1/4 web -> half of dev would have to change
    data = dataset(["web", "web", "web", "phone", "web", "phone", "phone", "phone"])
    assert sources_differ(data.examples, np.arange(4), np.arange(4, 8)) == pytest.approx(0.5)


def test_folders_below_each_class_name_the_source(tmp_path: Path) -> None:
    for name in ("cat/web/1", "cat/phone/1", "dog/web/1", "dog/phone/1", "dog/web/2"):
        place = tmp_path / f"{name}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), len(name) * 7).save(place)
    found = {example.key: example.source for example in open_dataset(tmp_path).examples}
    assert found == {
        "cat/phone/1.png": "phone",
        "cat/web/1.png": "web",
        "dog/phone/1.png": "phone",
        "dog/web/1.png": "web",
        "dog/web/2.png": "web",
    }
    Image.new("L", (8, 8), 3).save(tmp_path / "cat" / "loose.png")
    assert {example.source for example in open_dataset(tmp_path).examples} == {None}
