"""What is searched, in which order, and that draws repeat."""

from __future__ import annotations

import math

import numpy as np
import pytest

from saccade.errors import SaccadeError
from saccade.limits import Limit, larger_is_better, parse_limit
from saccade.recipe import Recipe, make_recipe
from saccade.tune.space import Choice, Span, freed, parse_axis, place, ranking, reopened, space

BASE = make_recipe(
    {"model": "resnet20", "optimizer": "sgd", "lr0": 0.1, "batch": 64, "optimizer.momentum": 0.9}
)


def test_the_ranking_is_that_of_the_notes() -> None:
    titles = [rank.title for rank in ranking(make_recipe({"optimizer": "adam"}, BASE))]
    assert titles == [
        *("learning rate", "momentum", "batch size", "number of layers", "decay of the rate"),
        *("regularisation", "activation", "Adam's beta2"),
    ]
    units = [rank.title for rank in ranking(make_recipe({"model": "airbench_small"}, BASE))]
    assert units[3:5] == ["number of units", "decay of the rate"]
    assert "activation" in units


def test_what_the_user_gives_stays() -> None:
    ranks = space(BASE, free=2, fixed=["optimizer.lr0"], vary=())
    assert [rank.title for rank in ranks] == ["momentum", "batch size"]
    own = space(
        BASE, free=2, fixed=["optimizer.lr0"], vary=["lr0=0.01..1", "model=resnet20,resnet32"]
    )
    assert [axis.setting for rank in own for axis in rank.axes] == ["optimizer.lr0", "model.name"]


def test_ranks_are_freed_one_after_the_other() -> None:
    ranks = space(BASE, free=3, fixed=(), vary=())
    counts = [len(freed(ranks, number, 10)) for number in range(12)]
    assert counts == [0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3]


def test_scales() -> None:
    rate = Span("optimizer.lr0", 0.001, 1.0)
    assert rate.at(0.5) == pytest.approx(math.sqrt(0.001), rel=1e-3)
    decay = parse_axis("optimizer.momentum=0.9..0.999", BASE)
    # the notes: half of the draws between 0.9 and 0.99, half between 0.99 and 0.999
    assert decay.values(decay.at(0.5))["optimizer.momentum"] == pytest.approx(0.99)
    assert decay.name == "1-optimizer.momentum"
    assert decay.drawn({"optimizer.momentum": 0.95}) == pytest.approx(0.05)
    dropout = parse_axis("dropout=0..0.5", BASE)
    assert isinstance(dropout, Span)
    assert not dropout.log
    batch = parse_axis("batch=16..256", BASE)
    assert [batch.at(each) for each in (0, 0.5, 1)] == [16, 64, 256]
    choice = parse_axis("optimizer=sgd,muon", BASE)
    assert isinstance(choice, Choice)
    assert [choice.at(each) for each in (0, 0.49, 0.5, 1)] == ["sgd", "sgd", "muon", "muon"]


def test_draws_repeat_and_are_even() -> None:
    draws = [place(3, number, "optimizer.lr0") for number in range(400)]
    assert draws == [place(3, number, "optimizer.lr0") for number in range(400)]
    assert draws != [place(4, number, "optimizer.lr0") for number in range(400)]
    other = [place(3, number, "1-optimizer.momentum") for number in range(400)]
    assert abs(np.corrcoef(draws, other)[0, 1]) < 0.15
    counts, _ = np.histogram(draws, bins=4, range=(0, 1))
    assert counts.min() > 75


@pytest.mark.parametrize("text", ["nonsense=1..2", "lr0=1..0.1", "lr0=a..b", "augment.rotate"])
def test_axes_that_make_no_sense(text: str) -> None:
    with pytest.raises(SaccadeError, match="--vary"):
        parse_axis(text, BASE)


def test_limits() -> None:
    limit = parse_limit("latency<100")
    assert limit == Limit("latency", "<", 100.0)
    assert str(limit) == "latency < 100"
    assert limit.kept({"latency": 99.0})
    assert not limit.kept({"latency": 100.0})
    assert not limit.kept({})
    assert parse_limit("recall_a=b>=0.5") == Limit("recall_a=b", ">=", 0.5)
    assert parse_limit(" f1 >= 0.9 ").kept({"f1": 0.9})
    for wrong in ("latency", "latency<fast", "latency=3", "<3", "size<1.2.3"):
        with pytest.raises(SaccadeError, match="--limit"):
            parse_limit(wrong)


def test_everything_searched_is_a_setting() -> None:
    for name in ("airbench_small", "resnet18", "convnet", "vgg11"):
        recipe = make_recipe({"model": name, "optimizer": "adam"}, BASE)
        for rank in ranking(recipe):
            for axis in rank.axes:
                assert isinstance(make_recipe(axis.values(axis.at(0.5)), recipe), Recipe)


def test_what_was_decided_for_another_optimiser_is_decided_anew() -> None:
    given = make_recipe({"optimizer.momentum": 0.8})
    base = make_recipe(
        {"lr0": 0.3, "epochs": 12, "model": "airbench", "model.stem": "small"}, given
    )
    changed = reopened(base, given, {"optimizer.name": "adamw"})
    assert changed.optimizer.lr0 is None and changed.optimizer.momentum == 0.8
    assert changed.train.epochs == 12 and changed.model.stem == "small"
    assert reopened(base, given, {"train.effort": 2.0}).train.epochs is None
    assert reopened(base, given, {"model.name": "resnet18"}).model.stem is None
    assert reopened(base, given, {"optimizer.weight_decay": 0.1}) == base


def test_errors_of_columns_are_made_small() -> None:
    assert not larger_is_better("age/mae") and larger_is_better("sex/accuracy")
