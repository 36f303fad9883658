"""Networks for every pixel: published counts, one contract, ONNX."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from saccade.errors import SaccadeError
from saccade.models import catalog
from saccade.protocols import PixelNetwork
from saccade.tasks.table import create
from saccade.types import Field

COUNTS = {  # classes of the paper
    "unet_valid": (31_030_658, "Ronneberger et al. 2015, 1 -> 2 channels"),
    "unet_padded": (31_030_658, "the same"),
    "segnet": (29_449_355, "Badrinarayanan et al. 2015, 11 classes"),
    "fcn32s": (134_371_413, "VGG-16 with norms and 21 scores"),
}
SMALL: dict[str, dict[str, Any]] = {
    "unet": {"backbone": "resnet20"},
    "unet_small": {"width": 4},
    "unet_padded": {"width": 2},
    "unet_valid": {"width": 2},
    "segnet_small": {},
    "fcn32s": {"hidden": 16},
    "fcn16s": {"hidden": 16},
    "fcn8s": {"hidden": 16},
}


def small(name: str) -> Any:
    torch.manual_seed(0)
    return catalog.create(name, num_classes=3, in_channels=1, **SMALL[name])


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_of_the_paper(name: str) -> None:
    with torch.device("meta"):
        network: Any = catalog.create(name)
    assert sum(each.numel() for each in network.parameters()) == COUNTS[name][0]


def test_the_published_unet_gives_388_of_572_pixels() -> None:
    with torch.device("meta"):
        network: Any = catalog.create("unet_valid")
        assert network(torch.zeros(1, 1, 572, 572)).shape == (1, 2, 388, 388)
    assert network.side_needed(388) == 572 and network.side_given(572) == 388
    assert network.side_needed(389) == 588


def test_segnets_encoder_is_that_of_vgg16() -> None:
    with torch.device("meta"):
        network: Any = catalog.create("segnet")
    assert sum(each.numel() for each in network.encoder.parameters()) == 14_723_136


@pytest.mark.parametrize("name", SMALL)
def test_contract(name: str) -> None:
    network = small(name).eval()
    assert isinstance(network, PixelNetwork)
    images = torch.randn(2, 1, 45, 70)
    with torch.no_grad():
        together = network.segment(images)
        alone = torch.cat([network.segment(image[None]) for image in images])
    assert together.shape == (2, 3, 45, 70)
    assert torch.isfinite(together).all()
    assert torch.allclose(together, alone, atol=1e-4)
    network.new_head(5)
    assert network.segment(images).shape == (2, 5, 45, 70)
    network.train()
    F.cross_entropy(network.segment(images), torch.randint(0, 5, (2, 45, 70))).backward()
    lacking = [key for key, each in network.named_parameters() if each.grad is None]
    assert all(key.startswith("backbone.fc") for key in lacking), lacking


@pytest.mark.parametrize("name", ["segnet_small", "unet_small", "unet", "fcn8s"])
def test_onnx_gives_the_same(name: str, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    network, images = small(name).eval(), torch.randn(2, 1, 64, 64)
    file = tmp_path / "network.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network, (images,), str(file), dynamo=True, verbose=False)
    session = runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    assert np.allclose(found, network(images).detach().numpy(), atol=1e-4)


def test_other_tasks_refuse_them_in_words() -> None:
    task = create("classification", [Field(name="label", kind="label", classes=("a", "b"))])
    with pytest.raises(SaccadeError, match="answers for every pixel"):
        task.build(catalog.create("unet_small", width=2))
    with pytest.raises(SaccadeError, match="answers for every pixel itself"):
        catalog.create("unet", backbone="segnet")
    with pytest.raises(SaccadeError, match="has no option 'backbone'"):
        catalog.create("segnet", backbone="resnet18")
