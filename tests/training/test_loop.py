"""The loop: pieces of a batch, exact zeros, mixed targets."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from saccade.tasks import table
from saccade.training.device import choose
from saccade.training.loop import cut, train_epoch
from saccade.training.optim import make_optimizer
from saccade.training.shrink import shrink_weights
from saccade.types import Batch, Field, Mix

TASK = table.create("classification", (Field(name="label", kind="label", classes=("a", "b", "c")),))


def network(norm: nn.Module | None = None) -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 6, 3), norm or nn.Identity(), nn.ReLU(), nn.Flatten()]
    return TASK.build(table.own(nn.Sequential(*layers, nn.Linear(216, 3))))


def batch(count: int = 10, **more: Any) -> Batch:
    torch.manual_seed(1)
    labels = torch.arange(count) % 3
    return Batch(
        inputs=torch.randn(count, 1, 8, 8),
        targets={"label": labels},
        indices=torch.arange(count),
        **more,
    )


def train(model: nn.Module, batches: list[Batch], **settings: Any) -> Tensor:
    losses = torch.full((10,), torch.nan)
    train_epoch(
        model,
        TASK,
        iter(batches),
        make_optimizer("sgd", model, lr=0.1, momentum=0.9, beta2=0.9, weight_decay=0.0),
        hardware=choose("cpu", "fp32"),
        first_step=0,
        rate=lambda step: 0.1,
        seed=0,
        losses=losses,
        after_step=lambda step: None,
        **{"clip": 0.0, **settings},
    )
    return losses


@pytest.mark.parametrize("pieces", [2, 3, 10, 50])
@pytest.mark.parametrize("weighted", [False, True])
def test_pieces_give_the_update_of_the_whole_batch(pieces: int, weighted: bool) -> None:
    weights = torch.linspace(0.1, 2, 10) if weighted else None
    whole, pieced = network(nn.GroupNorm(2, 6)), network(nn.GroupNorm(2, 6))
    one = train(whole, [batch(weights=weights)] * 3, clip=1.0)
    other = train(pieced, [batch(weights=weights)] * 3, clip=1.0, pieces=pieces)
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    for a, b in zip(whole.parameters(), pieced.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_pieces_cover_every_example_once() -> None:
    found = list(cut(batch(), 3))
    assert torch.cat([piece.indices for piece, _ in found]).tolist() == list(range(10))
    assert sum(share for _, share in found) == pytest.approx(1)
    assert [len(piece) for piece, _ in cut(batch(2), 5)] == [1, 1]


def test_shrinking_is_the_proximal_step_and_ends_in_zeros() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[0.3, -0.3, 0.04], [-0.05, 0.051, 0.0]]))
    untouched = copy.deepcopy(model[1])
    model[0](torch.ones(1, 3)).sum().backward()  # the second layer took no part
    bias = model[0].bias.clone()
    shrink_weights(optimizer, 0.1)
    expected = torch.tensor([[0.25, -0.25, 0.0], [0.0, 0.001, 0.0]])
    torch.testing.assert_close(model[0].weight, expected)
    assert (model[0].weight == 0).sum() == 3
    assert torch.equal(model[0].bias, bias) and torch.equal(model[1].weight, untouched.weight)


def test_l1_gives_exact_zeros_and_l2_none() -> None:
    sparse, dense = network(), network()
    train(sparse, [batch()] * 60, l1=0.02)
    train(dense, [batch()] * 60)
    assert float((sparse.module[4].weight == 0).float().mean()) > 0.3
    assert not (dense.module[4].weight == 0).any()


def test_the_loss_of_a_mixture_is_that_of_mixed_targets() -> None:
    model = network()
    own, other = torch.tensor([0, 1, 2, 0]), torch.tensor([2, 2, 2, 1])
    share = torch.tensor([0.7, 0.2, 1.0, 0.0])
    plain = batch(4)
    mixed = Batch(
        inputs=plain.inputs,
        targets={"label": own},
        indices=plain.indices,
        mix=Mix(targets={"label": other}, share=share),
    )
    soft = nn.functional.one_hot(own, 3) * share[:, None]
    soft = soft + nn.functional.one_hot(other, 3) * (1 - share[:, None])
    expected = nn.functional.cross_entropy(model(mixed.inputs), soft, reduction="none")
    torch.testing.assert_close(TASK.loss(model, mixed)["loss"], expected)
    halves = [TASK.loss(model, piece)["loss"] for piece, _ in cut(mixed, 2)]
    torch.testing.assert_close(torch.cat(halves), expected)
