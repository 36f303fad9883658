"""The trainings under examples/ run from end to end; what they show takes longer than a test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import torch
from torch import nn

Example = Callable[[str], ModuleType]
TINY = ["sample:digits", "--epochs", "1", "--fraction", "0.1"]


def test_plain_vs_residual(example: Example, tmp_path: Path) -> None:
    module = example("plain_vs_residual.py")
    arguments = [*TINY, "--out", str(tmp_path), "--networks", "plain20", "resnet20"]
    errors = module.main(arguments)
    assert set(errors) == {"plain20", "resnet20"}
    assert all(0 < value <= 100 for value in errors.values())
    assert (tmp_path / "plain_vs_residual.png").stat().st_size > 10_000
    # a second call keeps what is there
    assert module.main([*arguments[:-2], "resnet20"]) == {"resnet20": errors["resnet20"]}


def test_group_vs_batch_norm(example: Example, tmp_path: Path) -> None:
    module = example("group_vs_batch_norm.py")
    errors = module.main([*TINY, "--out", str(tmp_path), "--batches", "4", "--groups", "8"])
    assert {kind: set(found) for kind, found in errors.items()} == {"batch": {4}, "group": {8}}
    assert (tmp_path / "group_vs_batch_norm.png").stat().st_size > 10_000


def test_batch_norm_of_pieces_is_batch_norm_of_each_piece(example: Example) -> None:
    module = example("group_vs_batch_norm.py")
    x, plain = torch.randn(6, 3, 4, 5), nn.BatchNorm2d(3)
    pieces = module.BatchNormOfPieces(3, size=2)
    expected = torch.cat([plain(piece) for piece in x.split(2)])
    torch.testing.assert_close(pieces(x), expected)
    # running statistics take the mean over the workers
    means = [0.1 * piece.mean((0, 2, 3)) for piece in x.split(2)]
    torch.testing.assert_close(pieces.running_mean, torch.stack(means).mean(0))
    torch.testing.assert_close(pieces.eval()(x[:1]).shape, x[:1].shape)
