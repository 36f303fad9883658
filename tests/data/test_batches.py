"""Batches: the same examples and pixels whatever the company, order and place of the start."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from saccade.data.augment import Augment
from saccade.data.batches import Batches, prepare, statistics
from saccade.data.resize import content, lay_out
from saccade.errors import SaccadeError
from saccade.types import Batch, Geometry, Preprocessing

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.25)
PLAIN = Augment(shift=0.2)
GENERAL = Augment(
    shift=0.1, scale=(0.7, 1.2), rotate=20, shear=5, warp=0.2, brightness=0.2, contrast=0.2,
    saturation=0.3, color=0.1, lighting=0.1, erase=0.3,
)  # fmt: skip
COLORED = Augment(shift=0.1, brightness=0.2, saturation=0.2, padding="mean", alternate=True)


def pictures(count: int, height: int = 12, width: int = 16, channels: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(
        0, 256, (count, channels, height, width), dtype=torch.uint8, generator=generator
    )


def identity(count: int, height: int, width: int) -> Geometry:
    matrix = torch.eye(3).double().repeat(count, 1, 1)
    return Geometry(matrix=matrix, size=torch.tensor([[height, width]]).repeat(count, 1))


def make(count: int = 50, **options: Any) -> Batches:
    pixels = options.pop("pixels", pictures(count))
    targets = options.pop("targets", {"label": torch.arange(count) % 7})
    height, width = pixels.shape[2:]
    wanted: dict[str, Any] = {
        "height": height, "width": width, "mean": MEAN, "std": STD, "batch": 8, "augment": PLAIN,
    }  # fmt: skip
    wanted.update(options)
    rows = wanted.pop("rows", np.arange(count))
    return Batches(pixels, identity(count, height, width), targets, rows, **wanted)


def by_row(batches: list[Batch]) -> dict[int, Tensor]:
    return {
        int(row): picture
        for batch in batches
        for row, picture in zip(batch.indices, batch.inputs, strict=True)
    }


# --- order --------------------------------------------------------------------------------------


@pytest.mark.parametrize("augment", [PLAIN, GENERAL, COLORED], ids=["plain", "general", "colored"])
@given(seed=st.integers(0, 2**31 - 1), epoch=st.integers(0, 500), batch=st.integers(1, 20))
@settings(max_examples=12, deadline=None)
def test_batch_size_and_company_change_nothing(
    augment: Augment, seed: int, epoch: int, batch: int
) -> None:
    pixels = pictures(30)
    one = by_row(list(make(30, pixels=pixels, augment=augment, seed=seed, batch=30).epoch(epoch)))
    parts = make(30, pixels=pixels, augment=augment, seed=seed, batch=batch)
    other = by_row(list(parts.epoch(epoch)))
    assert sorted(one) == sorted(other) == list(range(30))
    for row, picture in one.items():
        assert torch.equal(picture, other[row])  # to the last bit


@given(st.integers(0, 100), st.integers(0, 7), st.integers(0, 2**31 - 1))
@settings(max_examples=20, deadline=None)
def test_an_epoch_can_be_taken_up_anywhere(epoch: int, start: int, seed: int) -> None:
    batches = make(seed=seed, sampling="balanced" if seed % 2 else "once")
    whole = list(batches.epoch(epoch))
    rest = list(batches.epoch(epoch, start=start))
    assert len(whole) == len(batches) == 7 and len(rest) == 7 - start
    for expected, found in zip(whole[start:], rest, strict=True):
        assert torch.equal(expected.inputs, found.inputs)
        assert torch.equal(expected.indices, found.indices)
        assert torch.equal(expected.targets["label"], found.targets["label"])


@pytest.mark.parametrize("augment", [PLAIN, Augment(mixup=0.4, cutmix=1.0)], ids=["plain", "mixed"])
def test_parts_and_turns_make_the_whole(augment: Augment) -> None:
    whole = make(50, augment=augment)
    unbroken = list(whole.epoch(3))
    parts = [list(whole.part_of(rank, 3).epoch(3)) for rank in range(3)]
    for step, batch in enumerate(unbroken):
        pieces = [own[step] for own in parts]
        assert torch.equal(torch.cat([each.indices for each in pieces]), batch.indices)
        assert torch.equal(torch.cat([each.inputs for each in pieces]), batch.inputs)
    for start in range(len(unbroken)):
        turns = [list(whole.turn_of(rank, 3).epoch(3, start)) for rank in range(3)]
        assert sum(map(len, turns)) == len(unbroken) - start
        for rank, own in enumerate(turns):
            expected = [n for n in range(start, len(unbroken)) if n % 3 == rank]
            for number, batch in zip(expected, own, strict=True):
                assert torch.equal(batch.inputs, unbroken[number].inputs)


def test_threads_change_nothing() -> None:
    threads = torch.get_num_threads()
    batches = make(64, pixels=pictures(64, 40, 40), augment=GENERAL, batch=64)
    try:
        found = []
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            found.append(next(batches.epoch(0)).inputs)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])


def test_epochs_and_seeds_differ() -> None:
    batches = make()
    first, second = (torch.cat([b.indices for b in batches.epoch(e)]) for e in (0, 1))
    other = torch.cat([b.indices for b in make(seed=1).epoch(0)])
    assert not torch.equal(first, second) and not torch.equal(first, other)
    rows = by_row(list(batches.epoch(0)))
    later = by_row(list(batches.epoch(1)))
    assert sum(torch.equal(rows[row], later[row]) for row in rows) < 10


def test_evaluation_keeps_order_and_pixels() -> None:
    pixels = pictures(20)
    rows = [3, 1, 17, 4]
    batches = list(make(20, pixels=pixels, rows=rows, augment=None, batch=3).epoch(9))
    assert torch.cat([b.indices for b in batches]).tolist() == rows
    inputs = torch.cat([b.inputs for b in batches])
    mean, std = (torch.tensor(v)[:, None, None] for v in (MEAN, STD))
    assert torch.allclose(inputs, (pixels[rows] / 255 - mean) / std, atol=1e-6)
    assert inputs.dtype == torch.float32
    assert inputs.is_contiguous(memory_format=torch.channels_last)


def test_batches_are_even_and_carry_weights() -> None:
    weights = torch.rand(60)
    batches = list(make(weights=weights).epoch(0))
    sizes = [len(batch) for batch in batches]
    assert max(sizes) - min(sizes) <= 1
    for batch in batches:
        assert batch.weights is not None
        assert torch.equal(batch.weights, weights[batch.indices])


def test_alternating_mirror() -> None:
    pixels = pictures(40)
    batches = make(40, pixels=pixels, augment=Augment(alternate=True))
    plain = by_row(list(make(40, pixels=pixels, augment=None).epoch(0)))
    mirrored = []
    for epoch in range(4):
        seen = by_row(list(batches.epoch(epoch)))
        turned = [torch.equal(seen[row], plain[row].flip(2)) for row in range(40)]
        straight = [torch.equal(seen[row], plain[row]) for row in range(40)]
        assert [a != b for a, b in zip(turned, straight, strict=True)] == [True] * 40
        mirrored.append(turned)
    assert mirrored[0] == mirrored[2] != mirrored[1] == mirrored[3]
    assert [not t for t in mirrored[0]] == mirrored[1] and 8 < sum(mirrored[0]) < 32


@given(st.lists(st.integers(-1, 4), min_size=5, max_size=80), st.integers(0, 50))
@settings(max_examples=30, deadline=None)
def test_balanced_sampling(labels: list[int], epoch: int) -> None:
    known = [label for label in labels if label >= 0]
    if not known:
        return
    targets = {"label": torch.tensor(labels)}
    batches = make(len(labels), targets=targets, sampling="balanced")
    drawn = torch.cat([b.indices for b in batches.epoch(epoch)])
    assert len(drawn) == len(known) and len(batches) == -(-len(known) // 8)
    found = torch.tensor(labels)[drawn]
    counts = [int((found == label).sum()) for label in sorted(set(known))]
    assert (found >= 0).all() and max(counts) - min(counts) <= 1
    for label in set(known):  # within a class, all come before any comes again
        times = torch.bincount(drawn[found == label], minlength=len(labels))
        own = times[torch.tensor(labels) == label]
        assert own.max() - own.min() <= 1


def test_balanced_repeats_look_different() -> None:
    targets = {"label": torch.tensor([0] * 19 + [1])}
    batches = make(20, targets=targets, sampling="balanced", augment=GENERAL, batch=20)
    batch = next(batches.epoch(0))
    rare = batch.inputs[batch.indices == 19]
    assert len(rare) == 10 and len({picture.sum().item() for picture in rare}) == 10


def test_wrong_use_is_named() -> None:
    with pytest.raises(SaccadeError, match="no examples"):
        make(rows=[])
    with pytest.raises(SaccadeError, match="larger"):
        make(height=100)
    with pytest.raises(SaccadeError, match="balanced"):
        make(targets={"value": torch.zeros(50, 2)}, sampling="balanced")


# --- prediction sees what training sees ---------------------------------------------------------


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("channels", [1, 3])
def test_prepare_equals_batches(fit: Any, channels: int) -> None:
    generator = np.random.default_rng(0)
    shapes = [(30, 50), (64, 20), (33, 33), (7, 9)]
    arrays = [generator.integers(0, 256, (*s, channels), dtype=np.uint8) for s in shapes]
    preprocessing = Preprocessing(
        height=24, width=32, channels=channels, fit=fit, mean=MEAN[:channels], std=STD[:channels],
        margin=1.25 if fit == "crop" else 1.0,
    )  # fmt: skip
    inputs, geometry = prepare(arrays, preprocessing)
    store, laid = lay_out(arrays, shapes, preprocessing)
    batches = Batches(
        store.permute(0, 3, 1, 2), laid, {}, np.arange(4), height=24, width=32,
        mean=preprocessing.mean, std=preprocessing.std, batch=4,
    )  # fmt: skip
    batch = next(batches.epoch(0))
    assert inputs.shape == (4, channels, 24, 32)
    assert torch.allclose(batch.inputs, inputs, atol=1e-6, rtol=0)
    assert batch.geometry is not None and torch.equal(batch.geometry.matrix, geometry.matrix)
    for row, array in enumerate(arrays):  # one alone is the same picture
        assert torch.equal(prepare([array], preprocessing)[0][0], inputs[row])


def test_pad_is_filled_with_the_mean() -> None:
    arrays = [np.full((10, 40, 3), 200, dtype=np.uint8)]
    preprocessing = Preprocessing(height=20, width=20, channels=3, fit="pad", mean=MEAN, std=STD)
    inputs, geometry = prepare(arrays, preprocessing)
    assert (inputs[0, :, :7] == 0).all() and (inputs[0, :, 13:] == 0).all()
    assert (inputs[0, :, 8:12] != 0).all()
    store, laid = lay_out(arrays, [(10, 40)], preprocessing)
    assert content(laid, (20, 20)) is not None
    mean, _ = statistics(store.permute(0, 3, 1, 2), torch.arange(1), content(laid, (20, 20)))
    assert torch.allclose(mean, torch.full((3,), 200 / 255).double())
    corners = geometry.to_picture(0, torch.tensor([[0.0, 7.0], [20.0, 12.0]]))
    assert torch.allclose(corners, torch.tensor([[0.0, 0.0], [40.0, 10.0]]))


@pytest.mark.parametrize("augment", [Augment(shift=0.3), Augment(rotate=30), COLORED])
def test_padding_stays_flat_under_augmentation(augment: Augment) -> None:
    arrays = [np.zeros((8, 32, 3), dtype=np.uint8)]
    preprocessing = Preprocessing(height=32, width=32, channels=3, fit="pad", mean=MEAN, std=STD)
    store, laid = lay_out(arrays, [(8, 32)], preprocessing)
    store[:, :12], store[:, 20:] = 77, 99  # rubbish beyond the picture must never be seen
    batches = Batches(
        store.permute(0, 3, 1, 2), laid, {}, [0], height=32, width=32, mean=MEAN, std=STD,
        augment=augment,
    )  # fmt: skip
    seen = next(batches.epoch(0)).inputs
    values = seen[0, 0].round(decimals=4).unique()
    edge = seen[0, :, 0, 0]
    assert len(values) < 400 and torch.allclose(seen[0].amax((1, 2)), edge, atol=1e-5)
