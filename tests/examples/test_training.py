"""The trainings under examples/ run from end to end; what they show takes longer than a test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

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
    arguments = [*TINY, "--out", str(tmp_path), "--model", "lenet5_modern", "--batches", "8"]
    errors = module.main(arguments)
    assert {norm: set(found) for norm, found in errors.items()} == {
        "batch": {8},
        "group": {8},
    }
    assert (tmp_path / "group_vs_batch_norm.png").stat().st_size > 10_000
    kinds = {
        norm: (tmp_path / "runs" / "classification" / f"{norm}8" / "args.yaml").read_text()
        for norm in ("batch", "group")
    }
    assert all(f"norm: {norm}" in text for norm, text in kinds.items())
