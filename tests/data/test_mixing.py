"""Mixtures: which pictures, which shares, and that they depend on (seed, epoch, step) alone."""

from __future__ import annotations

import pytest
import torch

from saccade.data.augment import Augment
from saccade.data.mixing import mix
from saccade.data.order import replaced
from saccade.types import Batch

COUNT = 12


def batch() -> Batch:
    values = torch.arange(COUNT).float()
    return Batch(
        inputs=values[:, None, None, None].expand(COUNT, 1, 10, 8).clone(),
        targets={"label": torch.arange(COUNT), "things": [torch.tensor(i) for i in range(COUNT)]},
        indices=torch.arange(COUNT),
        weights=values + 1,
    )


def test_mixup_lays_partners_over_each_other() -> None:
    mixed = mix(batch(), Augment(mixup=1.0), seed=0, epoch=1, step=2)
    assert mixed.mix is not None
    partner, share = mixed.mix.targets["label"].float(), mixed.mix.share
    own = torch.arange(COUNT).float()
    expected = share * own + (1 - share) * partner
    torch.testing.assert_close(mixed.inputs[:, 0, 3, 4], expected)
    torch.testing.assert_close(mixed.weights, share * (own + 1) + (1 - share) * (partner + 1))
    assert sorted(partner.tolist()) == own.tolist()
    assert [int(thing) for thing in mixed.mix.targets["things"]] == partner.tolist()
    assert mixed.targets["label"].tolist() == own.tolist()


def test_cutmix_pastes_a_rectangle_and_counts_its_area() -> None:
    shares = []
    for step in range(200):
        mixed = mix(batch(), Augment(cutmix=1.0), seed=0, epoch=0, step=step)
        assert mixed.mix is not None
        partner = mixed.mix.targets["label"].float()
        taken = mixed.inputs[:, 0] == partner[:, None, None]
        others = partner != torch.arange(COUNT)
        area = taken[others].float().mean((1, 2))
        torch.testing.assert_close(1 - area, mixed.mix.share[others])
        if area[0] > 0:
            rows, columns = taken[others][0].nonzero().unbind(1)
            inside = taken[others][0][
                rows.min() : rows.max() + 1, columns.min() : columns.max() + 1
            ]
            assert inside.all()
        shares.append(float(mixed.mix.share[0]))
    # a rectangle loses what lies beyond the rim, so shares are above the 0.5 of Beta(1, 1)
    assert 0.5 < sum(shares) / len(shares) < 0.75


def test_the_key_is_seed_epoch_and_step() -> None:
    def share(seed: int, epoch: int, step: int) -> float:
        mixed = mix(batch(), Augment(mixup=0.4), seed=seed, epoch=epoch, step=step)
        assert mixed.mix is not None
        return float(mixed.mix.share[0])

    keys = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    assert len({share(*key) for key in keys}) == 4
    assert [share(*key) for key in keys] == [share(*key) for key in keys]


def test_shares_follow_the_beta_distribution() -> None:
    shares = torch.tensor(
        [
            float(mix(batch(), Augment(mixup=0.2), seed=0, epoch=0, step=step).mix.share[0])  # type: ignore[union-attr]
            for step in range(600)
        ]
    )
    assert float(shares.mean()) == pytest.approx(0.5, abs=0.05)
    assert float(shares.var()) == pytest.approx(0.25 / 1.4, abs=0.02)  # 1 / (4 (2 a + 1))


def test_nothing_to_mix() -> None:
    alone = batch().part(0, 1)
    assert mix(alone, Augment(mixup=1.0), seed=0, epoch=0, step=0) is alone
    plain = batch()
    assert mix(plain, Augment(), seed=0, epoch=0, step=0) is plain


def test_drawing_with_replacement() -> None:
    rows, keys = replaced(3, 5, torch.arange(1000) * 7)
    share = len(torch.unique(rows)) / 1000
    assert share == pytest.approx(0.632, abs=0.04)  # 1 - 1 / e
    assert len(torch.unique(keys)) == 1000
    again, _ = replaced(3, 5, torch.arange(1000) * 7)
    other, _ = replaced(3, 6, torch.arange(1000) * 7)
    assert torch.equal(rows, again) and not torch.equal(rows, other)
    counts = torch.bincount(torch.cat([replaced(0, e, torch.arange(10))[0] for e in range(2000)]))
    assert counts.min() > 1850 and counts.max() < 2150
