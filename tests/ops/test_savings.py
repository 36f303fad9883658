"""Closed forms that every course computes by hand, and the savings found inside networks."""

from __future__ import annotations

import pytest
from torch import nn

from saccade.models import catalog
from saccade.ops.cost import describe, empty, total
from saccade.ops.savings import Saving, savings, sharing


def conv(inputs: int, outputs: int, side: int, **options: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, side, bias=False, **options)


def of(name: str) -> list[Saving]:
    return savings(describe(empty(lambda: catalog.create(name)), catalog.INPUT[name]))  # type: ignore[arg-type, return-value]


def test_a_1x1_bottleneck_takes_120_million_down_to_12_4_million() -> None:
    shape = (192, 28, 28)
    direct = describe(conv(192, 32, 5, padding=2), shape)
    narrow = describe(nn.Sequential(conv(192, 16, 1), conv(16, 32, 5, padding=2)), shape)
    assert total(direct).multiply_adds == 120_422_400
    assert total(narrow).multiply_adds == 12_443_648
    (found,) = savings(narrow)
    assert (found.kind, found.cost, found.instead) == ("1x1 bottleneck", 12_443_648, 120_422_400)
    assert "192 -> 16 -> 32" in found.told


def test_a_depthwise_separable_convolution_takes_2160_down_to_672() -> None:
    shape = (3, 6, 6)
    separable = describe(nn.Sequential(conv(3, 3, 3, groups=3), conv(3, 5, 1)), shape)
    assert total(describe(conv(3, 5, 3), shape)).multiply_adds == 2160
    assert total(separable).multiply_adds == 672
    (found,) = savings(separable)
    assert (found.cost, found.instead) == (672, 2160)
    # the closed form: 1 / channels + 1 / side^2
    assert found.cost / found.instead == pytest.approx(1 / 5 + 1 / 9)
    assert "1/5 + 1/9 = 0.311" in found.told


def test_two_3x3_see_5x5_for_18_25ths() -> None:
    shape = (8, 20, 20)
    pair = nn.Sequential(conv(8, 8, 3, padding=1), nn.ReLU(), conv(8, 8, 3, padding=1))
    rows = describe(pair, shape)
    assert rows[-1].receptive_field == 5
    (found,) = savings(rows)
    assert found.instead == total(describe(conv(8, 8, 5, padding=2), shape)).multiply_adds
    assert found.cost / found.instead == pytest.approx(18 / 25)


def test_sharing_makes_26_parameters_of_8_1e9() -> None:
    one = nn.Conv2d(1, 1, 5, padding=2)
    told = sharing(describe(one, (1, 300, 300)))
    assert told is not None
    assert told.parameters == 26
    assert told.dense == 90_000 * 90_000 + 90_000
    assert told.dense == pytest.approx(8.1e9, rel=1e-4)
    assert sharing(describe(nn.Linear(3, 2), (3,))) is None


@pytest.mark.parametrize(
    ("name", "kind", "places"),
    [
        ("googlenet", "1x1 bottleneck", 18),  # two in each of nine modules
        ("resnet50", "1x1 bottleneck", 15),  # 16 blocks; the first narrows nothing (64 -> 64)
        ("squeezenet1_1", "1x1 bottleneck", 8),  # fire modules
        ("mobilenet_v1", "depthwise separable", 13),
        ("mobilenet_v2", "depthwise separable", 17),
        ("efficientnet_b0", "depthwise separable", 16),
        ("resnet56", "stacked kernels", 24),  # 27 blocks; two with a stride, one from RGB
    ],
)
def test_networks_have_the_savings_of_their_papers(name: str, kind: str, places: int) -> None:
    found = [each for each in of(name) if each.kind == kind]
    assert len(found) == places
    assert all(each.cost < each.instead for each in found)


def test_a_sum_or_a_pooling_ends_a_stack() -> None:
    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = conv(4, 4, 3, padding=1), conv(4, 4, 3, padding=1)

        def forward(self, x):  # type: ignore[no-untyped-def]
            return self.second(x + self.first(x))

    assert savings(describe(Sum(), (4, 8, 8))) == []
    pooled = nn.Sequential(conv(4, 4, 3), nn.MaxPool2d(2), conv(4, 4, 3))
    assert savings(describe(pooled, (4, 12, 12))) == []
