"""One contract over the whole catalogue.

Counts and shapes of every name are checked on the meta device; numbers, gradients and ONNX on the
smallest variant of each file at a small input.
"""

from __future__ import annotations

import inspect
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from published import PUBLISHED
from torch import Tensor, nn
from torch.nn import functional as F

from saccade.errors import SaccadeError
from saccade.layers import NORMS
from saccade.models import catalog
from saccade.ops.cost import describe, total
from saccade.ops.init import initialise

SMALL = {  # the smallest variant of each file (two where a file holds two forms) and a small input
    "lenet5": 32,
    "lenet5_modern": 28,
    "convnet": 20,
    "airbench_small": 16,
    "resnet18": 48,
    "resnet20": 16,
    "alexnet": 63,
    "alexnet_grouped": 63,
    "zfnet": 48,
    "nin": 12,
    "vgg11": 32,
    "squeezenet1_1": 32,
    "googlenet": 32,
    "inception_v3": 80,
    "inception_v4": 80,
    "densenet121": 32,
    "darknet19": 32,
    "mobilenet_v1_025": 32,
    "mobilenet_v2_035": 32,
    "efficientnet_b0": 32,
}
NARROW = ("alexnet", "alexnet_grouped", "zfnet", "vgg11")
"""Their dense layers hold nearly all parameters: 64 units there keep the tests quick."""


def make(name: str, **options: Any) -> Any:
    torch.manual_seed(0)
    return catalog.create(name, **options)


def small(name: str, **options: Any) -> Any:
    """For numbers: the model with narrow dense layers."""
    torch.manual_seed(0)
    return catalog.create(name, hidden=64 if name in NARROW else None, **options)


def pictures(name: str, count: int = 4, *, size: int = 0, channels: int = 0) -> Tensor:
    torch.manual_seed(1)
    side = size or SMALL[name]
    return torch.randn(count, channels or catalog.INPUT[name][0], side, side)


def test_the_published_table_holds_every_name() -> None:
    assert list(PUBLISHED) == catalog.names()


def test_small_variants_cover_every_file() -> None:
    files = {entry.build.__module__ for entry in catalog.MODELS.values()}
    assert {catalog.MODELS[name].build.__module__ for name in SMALL} == files


@pytest.mark.parametrize("name", catalog.names())
def test_counts_and_shapes(name: str) -> None:
    parameters, multiply_adds = PUBLISHED[name]
    with torch.device("meta"):
        model = make(name).eval()
    channels, side, _ = catalog.INPUT[name]
    rows = describe(model, (channels, side, side))
    counted = sum(each.numel() for each in model.parameters())
    assert (counted, total(rows).parameters) == (parameters, parameters)
    if multiply_adds:
        assert total(rows).multiply_adds == pytest.approx(multiply_adds, rel=0.005)

    images = torch.zeros(2, channels, side, side, device="meta")
    maps = model.maps(images)
    assert model.classify(maps[-1]).shape == (2, catalog.MODELS[name].num_classes)
    assert model.embed(maps[-1]).ndim == 2
    assert tuple(each.shape[1] for each in maps) == model.channels
    # a picture larger by the coarsest stride has a map larger by exactly coarsest / stride
    step = max(model.strides)
    larger = model.maps(torch.zeros(2, channels, side + step, side + step, device="meta"))
    grown = [b.shape[2] - a.shape[2] for a, b in zip(maps, larger, strict=True)]
    assert tuple(step // growth for growth in grown) == model.strides
    assert list(model.strides) == sorted(model.strides)


@pytest.mark.parametrize("name", SMALL)
def test_numbers_are_finite_and_one_picture_alone_is_the_same(name: str) -> None:
    model, images = small(name, num_classes=3).eval(), pictures(name)
    with torch.no_grad():
        together = model(images)
        alone = torch.cat([model(image[None]) for image in images])
        by_parts = model.classify(model.maps(images)[-1])
    assert together.shape == (4, 3)
    assert torch.isfinite(together).all()
    assert torch.equal(together, by_parts)
    assert torch.allclose(together, alone, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(together[0], together[1])


@pytest.mark.parametrize("name", SMALL)
def test_every_parameter_gets_a_gradient(name: str) -> None:
    model = small(name, num_classes=3).train()
    maps = model.maps(pictures(name))
    labels = torch.tensor([0, 1, 2, 0])
    logits = [model.classify(maps[-1]), *model.auxiliary(maps)]
    torch.stack([F.cross_entropy(each, labels) for each in logits]).sum().backward()
    for parameter_name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, parameter_name
            assert torch.isfinite(parameter.grad).all(), parameter_name
            assert parameter.grad.any(), parameter_name


@pytest.mark.parametrize("name", SMALL)
def test_a_new_head_changes_only_the_head(name: str) -> None:
    model, images = small(name, num_classes=3).eval(), pictures(name)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with torch.no_grad():
        embedded = model.embed(model.maps(images)[-1])
        model.new_head(7)
        maps = model.maps(images)
        assert torch.equal(model.embed(maps[-1]), embedded)
        logits = model(images)
        assert logits.shape == (4, 7)
        assert (logits > 0).any() and (logits < 0).any()  # any task can stand on it
        assert all(each.shape == (4, 7) for each in model.auxiliary(maps))
    after = model.state_dict()
    assert list(after) == list(before)
    heads = 1 + len(model.auxiliary(maps))
    changed = [key for key in before if not torch.equal(before[key], after[key])]
    assert len({key.rpartition(".")[0] for key in changed}) == heads


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("channels", [1, 4])
def test_other_channels(name: str, channels: int) -> None:
    model = small(name, in_channels=channels, num_classes=2).eval()
    with torch.no_grad():
        assert model(pictures(name, 2, channels=channels)).shape == (2, 2)


@pytest.mark.parametrize("name", SMALL)
def test_norms_acts_and_inits_by_name(name: str) -> None:
    with torch.device("meta"):
        for norm in NORMS:
            model = small(name, norm=norm, num_classes=2)
            assert model(pictures(name, 2).to("meta")).shape == (2, 2)
    group = small(name, norm="group", act="silu", num_classes=2)
    kinds = {type(module) for module in group.modules()}
    assert nn.GroupNorm in kinds and nn.SiLU in kinds
    assert not kinds & {nn.BatchNorm2d, nn.ReLU, nn.ReLU6, nn.GELU, nn.Tanh}
    assert torch.isfinite(group(pictures(name, 2))).all()
    initialise(group, "zeros")
    assert not any(conv.weight.any() for conv in group.modules() if isinstance(conv, nn.Conv2d))


@pytest.mark.parametrize("name", SMALL)
def test_the_minimum_size_is_true(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = small(name, num_classes=2).eval()
    smallest = model.minimum_size
    with torch.no_grad():
        assert torch.isfinite(model(pictures(name, 2, size=smallest))).all()
        if smallest == 1:
            return
        with pytest.raises(SaccadeError, match=str(smallest)):
            model(pictures(name, 2, size=smallest - 1))
        # without the check torch itself refuses: the number is not larger than it need be
        monkeypatch.setattr(inspect.getmodule(type(model)), "check_size", lambda *_: None)
        with pytest.raises((RuntimeError, ValueError)):
            model(pictures(name, 2, size=smallest - 1))


@pytest.mark.parametrize("name", SMALL)
def test_onnx_gives_the_same_numbers(name: str, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    model, images = small(name, num_classes=3).eval(), pictures(name, 2)
    path = str(tmp_path / "model.onnx")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        torch.onnx.export(model, (images,), path, dynamo=True, verbose=False, external_data=False)
    session = onnxruntime.InferenceSession(path)
    (logits,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    with torch.no_grad():
        expected = model(images).numpy()
    np.testing.assert_allclose(logits, expected, atol=1e-4, rtol=1e-3)
