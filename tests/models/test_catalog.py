from __future__ import annotations

import pytest
import torch
from torch import nn

from saccade.errors import SaccadeError
from saccade.models import catalog
from saccade.models.efficientnet import Scale, compound_scale
from saccade.protocols import Backbone


def test_unknown_model_lists_near_names() -> None:
    with pytest.raises(SaccadeError, match=r"near names: .*resnet18") as caught:
        catalog.create("resnet-18")
    assert caught.value.name == "unknown-model"


def test_an_option_the_network_lacks_is_refused_with_those_that_have_it() -> None:
    with pytest.raises(SaccadeError, match=r"vgg11 has no option 'stem'.*resnet18"):
        catalog.create("vgg11", stem="small")


def test_unknown_norm_act_init_and_stem() -> None:
    for option in ({"norm": "bach"}, {"act": "relux"}, {"init": "hee"}, {"stem": "tiny"}):
        with pytest.raises(SaccadeError, match="there is no"):
            catalog.create("resnet18", num_classes=2, **option)  # type: ignore[arg-type]


def test_options_are_the_papers_own_choices() -> None:
    assert catalog.options("resnet18") == {
        "num_classes": 1000,
        "in_channels": 3,
        "norm": "batch",
        "act": "relu",
        "dropout": 0.0,
        "stem": "standard",
    }


def test_every_model_keeps_the_promise() -> None:
    with torch.device("meta"):
        assert isinstance(catalog.create("lenet5"), Backbone)


@pytest.mark.parametrize(
    "name", ["resnet18", "densenet121", "mobilenet_v1", "mobilenet_v2", "efficientnet_b0"]
)
def test_small_stems_keep_the_resolution(name: str) -> None:
    with torch.device("meta"):
        model = catalog.create(name, stem="small", num_classes=10)
        images = torch.zeros(2, 3, 32, 32)
        maps = model.maps(images)
    assert [32 // each.shape[2] for each in maps] == list(model.strides)
    assert model.strides[0] == 1
    assert maps[-1].shape[2] >= 2


def test_init_by_name_reaches_the_weights() -> None:
    model = catalog.create("convnet", init="zeros")
    assert isinstance(model, nn.Module)
    assert not any(parameter.any() for parameter in model.parameters())


def test_auxiliary_heads_can_be_left_out() -> None:
    for name, parameters in (("googlenet", 6_624_904), ("inception_v3", 23_834_568)):
        with torch.device("meta"):
            model = catalog.create(name, auxiliary=False)
        assert isinstance(model, nn.Module)
        assert sum(each.numel() for each in model.parameters()) == parameters


def test_compound_scale_of_the_paper() -> None:
    assert compound_scale(0) == Scale(1.0, 1.0, 224)
    first = compound_scale(1)
    assert (first.width, first.depth, first.resolution) == (1.1, 1.2, 258)
    doubled = compound_scale(2)
    assert doubled.depth * doubled.width**2 * (doubled.resolution / 224) ** 2 == pytest.approx(
        2**2, rel=0.1
    )


def test_a_head_keeps_device_and_type() -> None:
    model = catalog.create("resnet18", num_classes=3)
    assert isinstance(model, nn.Module)
    model.double()
    model.new_head(5)  # type: ignore[operator]
    assert model.fc.weight.dtype == torch.float64
    assert model.fc.weight.shape == (5, 512)


def test_resnet50_strides_in_its_3x3() -> None:
    """The "v1.5" form, whose published weights torchvision has."""
    model = catalog.create("resnet50", num_classes=2)
    block = model.layer2[0]  # type: ignore[attr-defined]
    assert block.conv1.stride == (1, 1)
    assert block.conv2.stride == (2, 2)
