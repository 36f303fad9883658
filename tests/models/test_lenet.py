from __future__ import annotations

import torch

from saccade.models.lenet import SPARSE_C3, Codes, LeNet5, SparseConv


def test_parameters_layer_by_layer_are_the_papers() -> None:
    model = LeNet5(published=True, num_classes=10, act="scaled_tanh")
    counts = {
        name: sum(parameter.numel() for parameter in getattr(model, name).parameters())
        for name in ("c1", "s2", "c3", "s4", "c5", "f6", "output")
    }
    assert counts == {
        "c1": 156, "s2": 12, "c3": 1516, "s4": 32, "c5": 48_120, "f6": 10_164, "output": 0
    }  # fmt: skip


def test_c3_maps_see_only_their_own_maps() -> None:
    conv = SparseConv()
    images = torch.randn(1, 6, 5, 5)
    before = conv(images)
    for changed in range(6):
        other = images.clone()
        other[:, changed] += 1
        moved = (conv(other) != before).flatten().tolist()
        rows = [seen for group in SPARSE_C3 for seen in group]
        assert moved == [changed in seen for seen in rows]


def test_logits_rank_as_distances_do() -> None:
    codes = Codes(84, 10)
    x = torch.randn(5, 84)
    distances = torch.cdist(x, codes.codes).square()
    expected = torch.softmax(-0.5 * distances, 1)
    assert torch.allclose(torch.softmax(codes(x), 1), expected, atol=1e-4)
