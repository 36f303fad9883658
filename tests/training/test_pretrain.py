"""An autoencoder restores pictures, and a classifier starts from what it learnt, exactly again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import saccade
from saccade.errors import SaccadeError
from saccade.experiment.prepare import Reporter
from saccade.models import catalog
from saccade.models.autoencoder import Autoencoder

KEYS: dict[str, Any] = {"model": "convnet", "epochs": 1, "batch": 64, "device": "cpu"}
SETTINGS = {"model.pretrain": "autoencoder", "model.pretrain_epochs": 2, "data.fraction": 0.1}


@pytest.mark.parametrize("name", ["convnet", "resnet20", "squeezenet1_1", "airbench_small"])
@pytest.mark.parametrize("side", [28, 45])
def test_pictures_come_back_in_their_size(name: str, side: int) -> None:
    torch.manual_seed(0)
    autoencoder = Autoencoder(catalog.create(name, in_channels=1), in_channels=1)
    inputs = torch.randn(3, 1, side, side)
    assert autoencoder(inputs).shape == inputs.shape


def test_half_of_the_patches_are_hidden_while_training() -> None:
    torch.manual_seed(0)
    autoencoder = Autoencoder(catalog.create("convnet"), in_channels=3, hidden=0.5, patch=4)
    hidden = autoencoder.hide(torch.ones(50, 3, 30, 30))
    patches = hidden[:, 0, :28, :28].reshape(50, 7, 4, 7, 4)
    assert set(patches.amin((2, 4)).flatten().tolist()) == {0.0, 1.0}
    assert torch.equal(patches.amin((2, 4)), patches.amax((2, 4)))
    assert 0.45 < float(hidden.mean()) < 0.55


def _train(project: Path, **keys: Any) -> tuple[saccade.Trained, list[str]]:
    said: list[str] = []
    reporter = Reporter(say=said.append)
    run = saccade.train("sample:digits", project=project, reporter=reporter, **{**KEYS, **keys})
    return run, said


def test_the_encoder_starts_the_classifier(tmp_path: Path) -> None:
    run, said = _train(tmp_path, settings=SETTINGS)
    told = "\n".join(said)
    assert "pictures without labels for 2 epochs" in told
    first, last = told.partition("fell from ")[2].partition(" ")[0], told.partition(" to ")[2]
    assert float(first) > 0 and last
    file = run.folder.root / "weights" / "pretrained.safetensors"
    assert file.is_file()
    # begun again without the first checkpoint, the run goes on from the same encoder
    before = run.folder.results.read_bytes()
    for place in (run.folder.last, run.folder.root / "weights"):
        for each in sorted(place.rglob("*"), reverse=True):
            if each.is_file() and each != file:
                each.unlink()
            elif each.is_dir():
                each.rmdir()
    again, _ = _train(tmp_path, settings=SETTINGS, resume=True)
    assert again.folder.results.read_bytes() == before


def test_two_starts_exclude_each_other(tmp_path: Path) -> None:
    run, _ = _train(tmp_path / "a")
    with pytest.raises(SaccadeError, match="exclude each other"):
        _train(tmp_path / "b", weights=str(run.folder.root), settings=SETTINGS)
