"""The average of weights: its decay, its batch statistics, and that it is exact to resume."""

from __future__ import annotations

import copy

import torch
from torch import nn

from saccade.training.average import decay_at, start_average, update_average


def test_the_average_is_the_plain_recursion_and_forgets_the_start() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    average = start_average(model)
    with torch.no_grad():
        for value in average.parameters():
            value.fill_(1e6)  # the start must not show
    expected: dict[str, torch.Tensor] = {}
    for update in range(1, 40):
        model.train()(torch.randn(4, 1, 6, 6) + 3)
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(torch.randn_like(weight), alpha=0.1)
        update_average(average, model, update=update, decay=0.9)
        decay = min(0.9, (update - 1) / (update + 8))
        for name, now in model.state_dict().items():
            old = expected.get(name, now).double()
            expected[name] = decay * old + (1 - decay) * now.double()
    for name, kept in average.state_dict().items():
        if name == "1.num_batches_tracked":
            assert int(kept) == 39
        else:
            torch.testing.assert_close(kept.double(), expected[name], rtol=1e-5, atol=1e-5)
    assert not average.training and not any(p.requires_grad for p in average.parameters())


def test_decay_rises_to_what_was_asked() -> None:
    decays = [decay_at(update, 0.99) for update in range(1, 2000)]
    assert decays[0] == 0 and decays == sorted(decays) and decays[-1] == 0.99


def test_an_average_taken_up_again_is_the_same_bit_for_bit() -> None:
    torch.manual_seed(0)
    model = nn.Linear(5, 3)
    average = start_average(model)
    states = [torch.randn(3, 5) for _ in range(10)]

    def go_on(kept: nn.Module, first: int, last: int) -> None:
        for update in range(first, last):
            model.weight.data.copy_(states[update - 1])
            update_average(kept, model, update=update, decay=0.9)

    go_on(average, 1, 6)
    again = start_average(model)
    again.load_state_dict(copy.deepcopy(average.state_dict()))
    go_on(average, 6, 11)
    go_on(again, 6, 11)
    assert torch.equal(average.weight, again.weight)


def test_weights_that_l1_set_to_zero_are_zero_in_the_average() -> None:
    model = nn.Linear(3, 2)
    average = start_average(model)
    with torch.no_grad():
        model.weight[0, 1] = 0
        model.bias[0] = 0
    update_average(average, model, update=50, decay=0.98, sparse=True)
    assert average.weight[0, 1] == 0  # type: ignore[index,operator]
    assert (average.weight != 0).sum() == 5  # type: ignore[operator,union-attr]
    assert average.bias[0] != 0  # type: ignore[index,operator]
