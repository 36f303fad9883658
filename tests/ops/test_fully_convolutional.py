from __future__ import annotations

from typing import cast

import pytest
import torch
from torch import Tensor, nn

from saccade.errors import SaccadeError
from saccade.models import catalog
from saccade.ops.fully_convolutional import fully_convolutional

SMALL = {  # one network of each head, at a small input
    "convnet": 32,
    "lenet5": 32,
    "airbench_small": 32,
    "resnet20": 16,
    "resnet18": 64,
    "squeezenet1_1": 64,
    "densenet121": 64,
    "mobilenet_v1_025": 64,
    "mobilenet_v2_035": 64,
    "efficientnet_b0": 64,
    "googlenet": 64,
    "nin": 32,
    "vgg11": 224,
    "alexnet": 224,
}


@pytest.mark.parametrize("name", SMALL)
def test_at_its_own_size_the_numbers_are_the_same(name: str) -> None:
    torch.manual_seed(0)
    options = {"hidden": 32} if name in ("vgg11", "alexnet") else {}
    model = catalog.create(name, num_classes=7, **options)  # type: ignore[arg-type]
    side = SMALL[name]
    channels = catalog.INPUT[name][0]
    network = fully_convolutional(model, (channels, side, side))
    images = torch.randn(2, channels, side, side)
    with torch.no_grad():
        logits = network(images)
        expected = cast(nn.Module, model).eval()(images)
    assert logits.shape == (2, 7, 1, 1)
    torch.testing.assert_close(logits.flatten(1), expected, rtol=1e-4, atol=1e-4)


def test_a_larger_picture_is_answered_window_by_window() -> None:
    """No convolution of this network pads, so that every window is exactly its own crop."""
    torch.manual_seed(0)
    model = catalog.create("convnet")
    network = fully_convolutional(model, (3, 32, 32))
    image = torch.randn(1, 3, 60, 44)
    with torch.no_grad():
        logits = network(image)
        assert logits.shape == (1, 10, (60 - 32) // 4 + 1, (44 - 32) // 4 + 1)
        for i in range(logits.shape[2]):
            for j in range(logits.shape[3]):
                top, left = i * network.stride, j * network.stride
                crop = image[:, :, top : top + network.window[0], left : left + network.window[1]]
                torch.testing.assert_close(logits[:, :, i, j], model(crop), rtol=1e-4, atol=1e-5)


def test_layers_and_weights_are_shared() -> None:
    model = catalog.create("convnet")
    network = fully_convolutional(model, (3, 32, 32))
    assert not cast(nn.Module, model).training and not network.training
    dense = cast(nn.Linear, model.fc3).weight  # type: ignore[attr-defined]
    convolution = next(each for each in network.head if isinstance(each, nn.Conv2d))
    assert convolution.weight.shape == (120, 16, 5, 5)
    assert convolution.weight.data_ptr() == dense.data_ptr()
    assert dense.requires_grad


def test_a_head_without_counterpart_is_refused() -> None:
    class Odd(type(catalog.create("convnet"))):  # type: ignore[misc]
        def classify(self, last: Tensor) -> Tensor:
            return torch.sort(last.flatten(1)).values

    with pytest.raises(SaccadeError, match="no chain"):
        fully_convolutional(Odd(num_classes=3), (3, 32, 32))
    with pytest.raises(SaccadeError, match="unequal size"):
        fully_convolutional(catalog.create("convnet"), (3, 48, 48))
