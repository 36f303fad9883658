"""timm's networks on the promise of `Backbone`: their own answers, maps, heads and weights."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from saccade import fitting, pretrained
from saccade.errors import SaccadeError
from saccade.models import catalog
from saccade.protocols import Backbone

NETWORKS = ("resnet10t", "mobilenetv3_small_050", "convnext_atto")


def test_without_the_extra_its_name_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(SaccadeError, match=r"pip install 'saccade\[timm\]'"):
        catalog.create("timm/resnet18")


@pytest.fixture(scope="module")
def timm() -> Any:
    return pytest.importorskip("timm", reason="the extra timm is not installed")


@pytest.mark.parametrize("name", NETWORKS)
def test_maps_and_head_give_timms_own_answer(timm: Any, name: str) -> None:
    torch.manual_seed(0)
    network: Any = catalog.create(f"timm/{name}", num_classes=5).eval()  # type: ignore[attr-defined]
    assert isinstance(network, Backbone)
    inputs = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        maps = network.maps(inputs)
        torch.testing.assert_close(network.classify(maps[-1]), network.model(inputs))
        embedding = network.embed(maps[-1])
    assert tuple(each.shape[1] for each in maps) == network.channels
    assert tuple(64 // each.shape[2] for each in maps) == network.strides
    head = network.model.get_classifier()
    assert embedding.shape == (2, head.in_features)
    network.new_head(3)
    with torch.no_grad():
        assert network(inputs).shape == (2, 3)


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"])
def test_networks_without_maps_are_refused(timm: Any, name: str) -> None:
    with pytest.raises(SaccadeError, match="convolutional"), torch.device("meta"):
        catalog.create(f"timm/{name}")


def test_unknown_names_list_near_ones(timm: Any) -> None:
    with pytest.raises(SaccadeError, match="resnet18"):
        catalog.create("timm/resnet81")


def test_a_local_file_of_timms_weights_fits(timm: Any, tmp_path: Path) -> None:
    published = timm.create_model("resnet10t", num_classes=1000)
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file(published.state_dict(), path)
    start = pretrained.resolve(str(path), "timm/resnet10t", lambda stage, done, total: None)
    assert start.normalisation is not None and len(start.normalisation[0]) == 3
    network: Any = catalog.create("timm/resnet10t", num_classes=2)
    head = {"model.fc.weight", "model.fc.bias"}
    told = fitting.fill(
        network, start.tensors, skipped=head, network="timm/resnet10t", path=str(path)
    )
    assert not any("missing" in line or "shape" in line for line in told), told
    expected = published.state_dict()
    for name, value in network.state_dict().items():
        if name not in head:
            assert torch.equal(value, expected[name.removeprefix("model.")]), name
