"""Frozen means frozen, stages learn in turn and at their rates, and every line of it is told."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

import saccade
from saccade.errors import SaccadeError
from saccade.experiment.prepare import Reporter
from saccade.models import catalog, weights
from saccade.training.optim import make_optimizer, parameter_names
from saccade.training.transfer import Plan, everything, make_plan, stages


def _hash(model: nn.Module, names: set[str]) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        if name in names:
            digest.update(name.encode() + value.numpy().tobytes())
    return digest.hexdigest()


def _plan(name: str = "resnet18", **settings: Any) -> tuple[nn.Module, Plan]:
    torch.manual_seed(0)
    network: Any = catalog.create(name, num_classes=3)
    found = stages(network, (3, 64, 64))
    body = set(network.parameters())
    network.new_head(2)
    values = {"freeze": "none", "head_epochs": 0, "unfreeze_every": 0, "decay": 1.0} | settings
    head = [key for key, each in network.named_parameters() if each not in body]
    return network, make_plan(network, found, head=head, **values)


def _train(model: nn.Module, plan: Plan, epochs: int) -> None:
    """As the loop does it: train mode, then what stands still in eval mode."""
    for _name, parameter in model.named_parameters():
        parameter.requires_grad_(_name not in plan.frozen)
    optimizer = make_optimizer(
        "sgd", model, lr=0.1, momentum=0.9, beta2=0.99, weight_decay=0.1, scale=plan.scale
    )
    for epoch in range(epochs):
        still = plan.begin(model, epoch)
        model.train()
        for module in still:
            module.eval()
        loss = model(torch.randn(4, 3, 64, 64)).square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def _changed(before: dict[str, torch.Tensor], model: nn.Module) -> set[str]:
    after = model.state_dict()
    return {name for name in before if not torch.equal(before[name], after[name])}


def _copy(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


STEM_AND_TWO = ("conv1.", "bn1.", "layer1.", "layer2.")


@pytest.mark.parametrize(
    ("freeze", "still"),
    [
        ("all", ("conv1.", "bn1.", "layer1.", "layer2.", "layer3.", "layer4.")),
        ("2", STEM_AND_TWO),
        ("layer1, layer3", ("layer1.", "layer3.")),
        ("none", ()),
    ],
)
def test_frozen_parameters_and_statistics_keep_their_hash(
    freeze: str, still: tuple[str, ...]
) -> None:
    model, plan = _plan(freeze=freeze)
    frozen = {name for name in model.state_dict() if name.startswith(still)} if still else set()
    hash_before, before = _hash(model, frozen), _copy(model)
    _train(model, plan, 2)
    assert _hash(model, frozen) == hash_before
    assert _changed(before, model) == set(before) - frozen


def test_stages_are_those_of_the_maps() -> None:
    network, plan = _plan()
    assert plan.depth == 4
    expected = {"conv1": 0, "bn1": 0, "layer1": 0, "layer2": 1, "layer3": 2, "layer4": 3, "fc": 4}
    for name, _ in network.named_parameters():
        assert plan.stages[name] == expected[name.partition(".")[0]], name


@pytest.mark.parametrize("name", ["vgg11", "densenet121", "googlenet", "airbench", "lenet5_modern"])
def test_every_parameter_has_a_stage_and_the_new_head_the_last(name: str) -> None:
    torch.manual_seed(0)
    network: Any = catalog.create(name)
    found = stages(network, catalog.INPUT[name])
    body = set(network.parameters())
    network.new_head(2)
    head = [key for key, each in network.named_parameters() if each not in body]
    plan = make_plan(
        network, found, head=head, freeze="all", head_epochs=0, unfreeze_every=0, decay=0.5
    )
    assert set(plan.stages) == {key for key, _ in network.named_parameters()}
    assert {key for key, stage in plan.stages.items() if stage == plan.depth} == set(head)
    assert set(plan.frozen) >= set(plan.stages) - set(head)


def test_the_head_learns_alone_first_then_stages_follow() -> None:
    model, plan = _plan(head_epochs=2, unfreeze_every=1)
    seen = [
        sorted({name.partition(".")[0] for name in plan.stages if plan.learns(name, epoch)})
        for epoch in range(7)
    ]
    head, whole = ["fc"], ["bn1", "conv1", "fc", "layer1", "layer2", "layer3", "layer4"]
    assert seen[:4] == [head, head, ["fc", "layer4"], ["fc", "layer3", "layer4"]]
    assert seen[5] == seen[6] == whole
    before = _copy(model)
    _train(model, plan, 2)
    assert {name.partition(".")[0] for name in _changed(before, model)} == {"fc"}


def test_rates_fall_by_stage() -> None:
    model, plan = _plan(decay=0.5)
    optimizer = make_optimizer(
        "sgd", model, lr=1.0, momentum=0.9, beta2=0.99, weight_decay=0.1, scale=plan.scale
    )
    names = iter(parameter_names(model, optimizer))
    for group in optimizer.param_groups:
        for _ in group["params"]:
            stage = plan.stages[next(names)]
            assert group["scale"] == 0.5 ** (4 - stage)


def test_from_scratch_everything_learns_but_what_never_does() -> None:
    network: Any = catalog.create("airbench")
    closed = {name for name, each in network.named_parameters() if not each.requires_grad}
    plan = everything(network)
    assert plan.begin(network, 0) == [
        module
        for module in network.modules()
        if list(module.parameters()) and not any(p.requires_grad for p in module.parameters())
    ]
    assert plan.frozen == closed
    assert plan.sentences(5) == ([] if not closed else plan.sentences(5))


@pytest.mark.parametrize("freeze", ["5", "layer9"])
def test_stages_that_are_not_there_are_refused(freeze: str) -> None:
    with pytest.raises(SaccadeError, match="stages"):
        _plan(freeze=freeze)


def test_nothing_left_to_learn_is_refused() -> None:
    with pytest.raises(SaccadeError, match="nothing is left"):
        _plan(freeze="conv1,bn1,layer1,layer2,layer3,layer4,fc")


KEYS: dict[str, Any] = {"model": "convnet", "epochs": 3, "batch": 128, "device": "cpu"}


def _lines(project: Path, **keys: Any) -> tuple[saccade.Trained, list[str]]:
    said: list[str] = []
    run = saccade.train(
        "sample:digits",
        project=project,
        reporter=Reporter(say=said.append),
        **{key: value for key, value in {**KEYS, **keys}.items() if value is not None},
    )
    return run, said


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> saccade.Trained:
    return _lines(tmp_path_factory.mktemp("first"), settings={"data.fraction": 0.5})[0]


def test_a_run_starts_from_another_run(first: saccade.Trained, tmp_path: Path) -> None:
    run, said = _lines(tmp_path, weights=str(first.folder.root), model=None, freeze="all")
    told = "\n".join(said)
    assert "the run's head is kept: same classes" in told
    assert "plan:" in told and "because:" in told and "training examples" in told
    card = first.folder.read_best()[1]
    new = run.folder.read_best()[1]
    assert new.model == "convnet"
    assert new.preprocessing == card.preprocessing
    assert "SHA-256" in new.source
    before, after = first.folder.read_best()[0], run.folder.read_best()[0]
    head = {name for name in after if not torch.equal(before[name], after[name])}
    assert head and all(before[name].shape == after[name].shape for name in head)
    body = [name for name in after if name not in head]
    assert any("running_mean" in name for name in body) or not any("bn" in name for name in after)


def test_a_frozen_run_keeps_its_body_bit_for_bit(first: saccade.Trained, tmp_path: Path) -> None:
    run, _ = _lines(
        tmp_path,
        weights=str(first.folder.best),
        settings={"model.freeze": 1, "optimizer.ema": 0.0, "model.head_epochs": 1},
    )
    before, after = first.folder.read_best()[0], run.folder.read_best()[0]
    same = {name for name in after if torch.equal(before[name], after[name])}
    assert same, "the first stage stands still"
    assert set(after) - same, "the rest learns"


def test_the_weights_of_another_network_are_refused(first: saccade.Trained, tmp_path: Path) -> None:
    with pytest.raises(SaccadeError, match="weights of convnet"):
        _lines(tmp_path, weights=str(first.folder.root), model="lenet5_modern")


def test_a_stopped_fine_tuning_goes_on_without_its_weights_file(
    first: saccade.Trained, tmp_path: Path
) -> None:
    """The phase is a function of the epoch, and the saved state has the weights."""
    file = tmp_path / "start.safetensors"
    tensors = first.folder.read_best()[0]
    safetensors.torch.save_file(dict(tensors), file)
    keys = {"weights": str(file), "settings": {"model.head_epochs": 1, "model.stage_decay": 0.5}}
    whole, _ = _lines(tmp_path / "a", **keys)
    _lines(tmp_path / "b", **{**keys, "epochs": 3})
    assert (tmp_path / "b" / "classification" / "train" / "results.csv").read_bytes() == (
        whole.folder.results.read_bytes()
    )
    file.unlink()
    run, _ = _lines(tmp_path / "b", resume=True, epochs=4, model=None, batch=None, device=None)
    assert len(run.folder.read_results()) == 4
    assert "SHA-256" in run.folder.read_best()[1].source


def test_cached_weights_are_used_for_little_data_and_offered_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from made import encoded, photo

    monkeypatch.setenv("SACCADE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for row in range(24):
        place = tmp_path / "data" / ("a" if row % 2 else "b") / f"{row}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(encoded(photo(row)))
    network: Any = catalog.create("squeezenet1_1")
    file = tmp_path / "made.pth"
    torch.save(network.state_dict(), file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:8]
    entry = weights.Published("squeezenet1_1", "v1", f"squeezenet1_1-{digest}.pth", 224, 58.2, 4.7)
    monkeypatch.setattr(weights, "PUBLISHED", (entry,))

    def told(**keys: Any) -> tuple[str, str]:
        said: list[str] = []
        run = saccade.train(
            tmp_path / "data",
            model="squeezenet1_1",
            epochs=1,
            imgsz=64,
            device="cpu",
            project=tmp_path / "runs",
            reporter=Reporter(say=said.append),
            settings={"data.imgsz": 96},
            **keys,
        )
        return "\n".join(said), run.folder.read_args()["model"]["weights"]

    lines, used = told()
    assert "--weights imagenet" in lines and used == "none"
    place = tmp_path / "cache" / "weights" / entry.file
    place.parent.mkdir(parents=True)
    place.write_bytes(file.read_bytes())
    lines, used = told()
    assert "cached ImageNet weights are used" in lines and used == "imagenet"
    lines, used = told(weights="none")
    assert "ImageNet" not in lines and used == "none"
