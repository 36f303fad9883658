from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
from PIL import Image

from made import by_parts, encoded, numbers, photo
from saccade.data.audit import audit, summary
from saccade.data.ingest import ingest
from saccade.data.open import open_dataset
from saccade.data.splits import split
from saccade.types import Notice


def clean(parts: tuple[str, ...] = ("train", "dev")) -> tuple[dict[str, bytes], dict[str, str]]:
    files = {f"{'ab'[i % 2]}/{i:02}.png": encoded(photo(i)) for i in range(40)}
    return files, {key: parts[i // 2 % len(parts)] for i, key in enumerate(files)}


def named(notices: list[Notice]) -> dict[str, Notice]:
    return {notice.name: notice for notice in notices}


def test_nothing_is_said_of_a_clean_set() -> None:
    files, parts = clean()
    assert audit(*by_parts(files, parts)) == []


def test_copies_across_and_within_parts() -> None:
    files, parts = clean()
    files |= {"a/leak.png": files["a/00.png"], "a/twice.png": files["a/04.png"]}
    files["b/small.jpg"] = encoded(photo(1).resize((58, 48)), "JPEG", quality=70)
    parts |= {"a/leak.png": "dev", "a/twice.png": "train", "b/small.jpg": "dev"}
    found = named(audit(*by_parts(files, parts)))
    assert found.keys() == {"duplicate-across-splits", "near-duplicate-across-splits", "duplicate"}
    leak = found["duplicate-across-splits"]
    assert leak.severity == "error"
    assert leak.groups == (("a/00.png", "a/leak.png"),)
    assert leak.files == ("a/00.png", "a/leak.png")
    assert "a/00.png (train) and a/leak.png (dev)" in leak.message
    assert found["near-duplicate-across-splits"].groups == (("b/01.png", "b/small.jpg"),)
    assert found["duplicate"].groups == (("a/04.png", "a/twice.png"),)


def test_the_same_pixels_in_another_file_are_a_copy() -> None:
    files, parts = clean()
    files["a/bitmap.bmp"] = encoded(photo(0), "BMP")
    parts["a/bitmap.bmp"] = "dev"
    found = named(audit(*by_parts(files, parts)))
    assert found["duplicate-across-splits"].files == ("a/00.png", "a/bitmap.bmp")


def test_labels_at_odds() -> None:
    files, parts = clean()
    files["b/wrong.png"] = files["a/00.png"]
    parts["b/wrong.png"] = "train"
    found = named(audit(*by_parts(files, parts)))
    assert found.keys() == {"conflicting-labels"}
    assert found["conflicting-labels"].severity == "error"
    assert found["conflicting-labels"].files == ("a/00.png", "b/wrong.png")


def test_our_own_split_has_no_leak() -> None:
    files, _ = clean()
    files |= {f"a/copy{i}.png": files[f"a/{2 * i:02}.png"] for i in range(10)}
    dataset, ingested = by_parts(files)
    splits = split(dataset, images=ingested.images)
    found = named(audit(dataset, ingested, splits))
    assert "duplicate-across-splits" not in found
    assert found["duplicate"].severity == "warning"  # a fifth of the set


def test_groups_in_two_parts() -> None:
    files, parts = clean()
    dataset, ingested = by_parts(files, parts)
    examples = tuple(
        replace(e, group="p1" if i < 4 else f"g{i}") for i, e in enumerate(dataset.examples)
    )
    found = named(audit(replace(dataset, examples=examples), ingested))
    assert found.keys() == {"group-across-splits"}
    assert "p1" in found["group-across-splits"].message


def test_classes_too_small_and_out_of_balance() -> None:
    files = {f"many/{i:03}.png": encoded(photo(i, 40, 40)) for i in range(60)}
    files |= {f"few/{i}.png": encoded(photo(100 + i, 40, 40)) for i in range(4)}
    files["one/0.png"] = encoded(photo(200, 40, 40))
    dataset, ingested = by_parts(files)
    splits = split(dataset, images=ingested.images)
    found = named(audit(dataset, ingested, splits))
    assert found["imbalance"].files == ("many", "one")
    assert found["tiny-class"].files == ("few", "one")
    assert found["rare-class"].files == ("one",)
    alone = named(audit(dataset, ingested, splits.part))
    assert alone.keys() == found.keys()


def test_pictures_unlike_the_others() -> None:
    files, parts = clean()
    odd = {
        "a/blank.png": encoded(Image.new("RGB", (96, 80), (90, 20, 40))),
        "a/grey.png": encoded(photo(50).convert("L")),
        "a/strip.png": encoded(photo(51, 400, 40)),
        "a/huge.png": encoded(photo(52, 900, 800)),
        "a/broken.png": b"\x89PNG\r\n\x1a\n",
    }
    files |= odd
    parts |= dict.fromkeys(odd, "train")
    dataset, ingested = by_parts(files, parts)
    found = named(audit(dataset, ingested))
    assert found["constant-picture"].files == ("a/blank.png",)
    assert found["mixed-modes"].files == ("a/grey.png",)
    assert found["odd-size"].files == ("a/strip.png", "a/huge.png")
    assert found["broken-file"].files == ("a/broken.png",)
    assert summary(dataset, ingested)["broken"] == 1
    ranks = ["error", "warning", "info"]
    order = [ranks.index(notice.severity) for notice in audit(dataset, ingested)]
    assert order == sorted(order)


def test_names_that_do_not_fit_the_content() -> None:
    files, parts = clean()
    dataset, ingested = by_parts(files, parts)
    formats = np.array(["JPEG", *["PNG"] * 39])
    told = replace(ingested, images={**ingested.images, "format": formats})
    found = named(audit(dataset, told))
    assert found["extension-mismatch"].files == ("a/00.png",)
    assert ".png is JPEG 1 times" in found["extension-mismatch"].message


def test_digits_hold_nothing_suspicious() -> None:
    dataset = open_dataset("sample:digits")
    ingested = ingest(dataset, workers=0)
    assert audit(dataset, ingested, split(dataset, images=ingested.images)) == []


def test_summary_counts() -> None:
    files, parts = clean()
    dataset, ingested = by_parts(files, parts)
    told = summary(dataset, ingested)
    assert told["examples"] == 40
    assert told["classes"] == {"a": 20, "b": 20}
    assert told["splits"] == {"train": {"a": 10, "b": 10}, "dev": {"a": 10, "b": 10}}
    assert told["parts"] == {"train": 20, "dev": 20}
    assert told["sizes"]["width"] == {"min": 96, "median": 96.0, "max": 96}
    assert told["sizes"]["common"] == [[96, 80, 40]]
    assert told["modes"] == {"RGB": 40}
    assert json.loads(json.dumps(told)) == told


def test_numbers_are_summed_up() -> None:
    told = summary(*numbers())
    assert told["classes"] == {}
    assert told["parts"] == {"train": 12, "dev": 4, "test": 4}
    assert told["values"]["x"] == {
        "min": 0.0,
        "mean": 9.5,
        "max": 19.0,
        "missing": 0,
    }
    assert told["values"]["y"]["missing"] == 10
    assert audit(*numbers()) == []
