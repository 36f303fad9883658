from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from made import labelled, unread
from saccade.data.dataset import Dataset
from saccade.data.splits import PARTS, Splits, shares, split
from saccade.errors import SaccadeError
from saccade.types import Example, Field

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def by_class(data: Dataset, splits: Splits) -> dict[str, Counter[str]]:
    table: dict[str, Counter[str]] = defaultdict(Counter)
    for example, part in zip(data.examples, splits.part.tolist(), strict=True):
        table[example.target["label"]][part] += 1
    return table


classes = st.lists(st.integers(1, 40), min_size=1, max_size=6).filter(lambda n: sum(n) >= 8)


@given(classes, st.integers(0, 9))
@QUICK
def test_every_example_once_classes_everywhere_and_shares_met(counts: list[int], seed: int) -> None:
    data = labelled([f"c{k}" for k, n in enumerate(counts) for _ in range(n)])
    splits = split(data, seed=seed)
    assert splits.part.shape == (len(data),)
    assert set(splits.part.tolist()) <= set(PARTS)
    table = by_class(data, splits)
    for k, n in enumerate(counts):
        found = table[f"c{k}"]
        if n >= 3:
            assert all(found[part] >= 1 for part in PARTS)
            assert abs(found["train"] - 0.6 * n) <= 3
            assert abs(found["dev"] - 0.2 * n) <= 2
        else:
            assert found["train"] >= 1
    rare = sum(n for n in counts if n < 3)
    small = sum(n < 15 for n in counts)
    for part, share in zip(PARTS, shares(len(data)), strict=True):
        assert abs(len(splits.rows(part)) - share * len(data)) <= 2 + rare + small


@given(classes, st.integers(0, 9), st.randoms(use_true_random=False))
@QUICK
def test_order_of_the_examples_does_not_matter(counts: list[int], seed: int, random) -> None:
    data = labelled([f"c{k}" for k, n in enumerate(counts) for _ in range(n)])
    one = dict(zip([e.key for e in data.examples], split(data, seed=seed).part, strict=True))
    rows = list(range(len(data)))
    random.shuffle(rows)
    mixed = data.select(rows)
    other = dict(zip([e.key for e in mixed.examples], split(mixed, seed=seed).part, strict=True))
    assert one == other


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 11)), min_size=24, max_size=120),
    st.integers(0, 9),
)
@QUICK
def test_groups_stay_whole(rows: list[tuple[int, int]], seed: int) -> None:
    rows += [(group % 4, group) for group in range(12)]
    data = labelled([f"c{c}" for c, _ in rows], [f"g{g}" for _, g in rows])
    splits = split(data, seed=seed)
    parts_of: dict[str, set[str]] = defaultdict(set)
    for (_, group), part in zip(rows, splits.part.tolist(), strict=True):
        parts_of[f"g{group}"].add(part)
    assert all(len(parts) == 1 for parts in parts_of.values())
    assert set(splits.part.tolist()) == set(PARTS)
    table = by_class(data, splits)
    assert all(table[f"c{c}"]["train"] for c, _ in rows)


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30)), min_size=30, max_size=150),
    st.integers(0, 9),
)
@QUICK
def test_copies_stay_together_and_classes_reach_every_part(
    rows: list[tuple[int, int]], seed: int
) -> None:
    rows += [(c, pixels) for c in range(3) for pixels in (31, 32, 33)]
    rows = [(c, 100 * c + pixels) for c, pixels in rows]  # copies within their class
    data = labelled([f"c{c}" for c, _ in rows])
    hashes = np.array([f"{pixels:064x}" for _, pixels in rows])
    splits = split(data, images={"pixel_hash": hashes}, seed=seed)
    sides: dict[int, set[str]] = defaultdict(set)
    for (_, pixels), part in zip(rows, splits.part.tolist(), strict=True):
        sides[pixels].add(part)
    assert all(len(parts) == 1 for parts in sides.values())
    table = by_class(data, splits)
    for c in {c for c, _ in rows}:
        assert all(table[f"c{c}"][part] for part in PARTS)


@given(
    st.lists(
        st.lists(st.sampled_from("abcdefgh"), max_size=4, unique=True), min_size=40, max_size=200
    ),
    st.integers(0, 9),
)
@QUICK
def test_several_labels_are_kept_in_proportion(names: list[list[str]], seed: int) -> None:
    field = Field(name="labels", kind="labels", classes=tuple("abcdefgh"))
    data = unread([Example(key=str(i), target={"labels": n}) for i, n in enumerate(names)], field)
    splits = split(data, seed=seed)
    for part, share in zip(PARTS, (0.6, 0.2, 0.2), strict=True):
        rows = splits.rows(part)
        assert abs(len(rows) - share * len(data)) <= 5 + 0.05 * len(data)
        for name in "abcdefgh":
            total = sum(name in own for own in names)
            here = sum(name in names[row] for row in rows)
            assert abs(here - share * total) <= 3 + 0.1 * total
            if total >= 12:
                assert here >= 1


def test_numbers_are_split_by_size() -> None:
    values = np.random.default_rng(0).lognormal(0, 2, 300)
    field = Field(name="price", kind="values", classes=("price",))
    data = unread(
        [Example(key=str(i), target={"price": [float(v)]}) for i, v in enumerate(values)], field
    )
    splits = split(data, seed=1)
    assert splits.counts() == {"train": 180, "dev": 60, "test": 60}
    for part in PARTS:  # each tenth of the values is in each part
        ranks = values.argsort().argsort()[splits.rows(part)] * 10 // 300
        counts = np.bincount(ranks, minlength=10)
        assert counts.max() - counts.min() <= 1


def test_several_heads_with_missing_labels() -> None:
    rng = np.random.default_rng(0)
    fields = (
        Field(name="colour", kind="label", classes=("blue", "red")),
        Field(name="age", kind="values", classes=("age",)),
    )
    examples = [
        Example(
            key=str(i),
            target={
                "colour": ("red" if rng.random() < 0.1 else "blue") if i % 3 else None,
                "age": [float(rng.normal())] if i % 2 else [None],
            },
        )
        for i in range(400)
    ]
    splits = split(unread(examples, *fields), seed=0)
    reds = [sum(examples[r].target["colour"] == "red" for r in splits.rows(p)) for p in PARTS]
    assert abs(reds[0] - 0.6 * sum(reds)) <= 2
    assert min(reds) >= 3
    known = [
        np.mean([examples[r].target["age"][0] is not None for r in splits.rows(p)]) for p in PARTS
    ]
    assert max(known) - min(known) < 0.04


@pytest.mark.parametrize(
    ("count", "held"),
    [(10, 0.2), (10_000, 0.2), (100_000, 0.0447), (1_000_000, 0.01), (10_000_000, 0.0025)],
)
def test_shares_follow_the_amount(count: int, held: float) -> None:
    train, dev, test = shares(count)
    assert dev == test == pytest.approx(held, rel=0.01)
    assert train + dev + test == pytest.approx(1)


def test_more_examples_never_mean_fewer_held_out() -> None:
    counts = np.unique(np.logspace(1, 8, 400).astype(int)).tolist()
    held = [count * shares(count)[1] for count in counts]
    assert held == sorted(held)


def test_a_lone_val_folder_is_the_dev_part_and_no_test_is_cut() -> None:
    data = labelled(["a", "b"] * 50, given=["train"] * 80 + ["dev"] * 20)
    splits = split(data)
    assert splits.counts() == {"train": 80, "dev": 20}
    assert "no test part" in splits.method
    asked = split(data, test=0.25)
    assert asked.counts() == {"train": 60, "dev": 20, "test": 20}
    assert asked.part[80:].tolist() == ["dev"] * 20
    assert "cut from training" in asked.method


def test_an_official_test_part_stays_and_dev_is_cut_from_training() -> None:
    data = labelled(["a", "b"] * 50, given=["train"] * 70 + ["test"] * 30)
    splits = split(data)
    assert splits.counts() == {"train": 56, "dev": 14, "test": 30}
    assert splits.part[70:].tolist() == ["test"] * 30
    three = labelled(["a", "b"] * 6, given=["train", "train", "dev", "dev", "test", "test"] * 2)
    kept = split(three, dev=0.3)
    assert kept.part.tolist() == [example.split for example in three.examples]
    assert [notice.name for notice in kept.notices] == ["share-not-used"]


def test_a_cut_part_shares_no_group_with_the_users_own() -> None:
    groups = [f"g{i // 5}" for i in range(100)]
    groups[95:] = ["g0"] * 5  # the own dev part shows group g0, which training has too
    data = labelled(["a", "b"] * 50, groups, given=["train"] * 90 + ["dev"] * 10)
    splits = split(data, test=0.2, seed=3)
    test_groups = {groups[row] for row in splits.rows("test")}
    assert test_groups
    assert test_groups.isdisjoint({groups[row] for row in splits.rows("dev")})


def test_rarer_classes_stay_in_training_and_are_named() -> None:
    data = labelled(["a"] * 20 + ["b"] * 20 + ["one"] + ["two"] * 2)
    splits = split(data)
    assert splits.part[40:].tolist() == ["train"] * 3
    (notice,) = splits.notices
    assert notice.name == "rare-class"
    assert notice.files == ("one", "two")
    assert "2 classes" in notice.message


def test_too_little_to_split_is_said() -> None:
    with pytest.raises(SaccadeError, match="too few to hold a dev part") as one:
        split(labelled(["a", "b"] * 10, ["patient"] * 20))
    assert one.value.name == "too-few-groups"
    with pytest.raises(SaccadeError) as few:
        split(labelled(["a"]))
    assert few.value.name == "too-few-examples"
    two = split(labelled(["a", "b"] * 10, ["p"] * 12 + ["q"] * 8))
    assert two.counts() == {"train": 12, "dev": 8}
    assert two.notices[0].name == "no-test-part"
    none = split(labelled(["a", "b"]), dev=0.0, test=0.0)
    assert none.counts() == {"train": 2}


@pytest.mark.parametrize(("dev", "test"), [(1.0, None), (-0.1, None), (0.6, 0.4), (None, 1.5)])
def test_shares_that_leave_nothing_are_refused(dev: float | None, test: float | None) -> None:
    with pytest.raises(SaccadeError) as caught:
        split(labelled(["a"] * 10), dev=dev, test=test)
    assert caught.value.name == "bad-share"


def test_two_of_each_class_still_give_a_dev_part() -> None:
    data = labelled([f"c{i // 2}" for i in range(40)])
    splits = split(data)
    assert splits.counts()["dev"] >= 4
    assert set(by_class(data, splits)) == {
        name for name, parts in by_class(data, splits).items() if parts["train"]
    }


def test_a_file_more_moves_few_of_the_others() -> None:
    names = ["a", "b"] * 200
    before = split(labelled(names)).part
    after = split(labelled([*names, "a"])).part[:-1]
    assert (before != after).mean() < 0.02


def test_large_sets_are_split_in_seconds() -> None:
    data = labelled([f"c{i % 10}" for i in range(70_000)], [None] * 70_000)
    splits = split(data, images={"pixel_hash": np.arange(70_000).astype(str)})
    assert abs(len(splits.rows("dev")) - shares(70_000)[1] * 70_000) <= 10
