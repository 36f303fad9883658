"""Weights from files: what is accepted comes through exactly, what is not is refused in words."""

from __future__ import annotations

import hashlib
import urllib.error
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
import torchvision
from malicious import corpus
from torch import Tensor, nn

from saccade import fitting, pretrained
from saccade.errors import SaccadeError
from saccade.models import catalog, weights
from saccade.tensor_files import read_tensors


def _silent(stage: str, done: int, total: int) -> None:
    pass


def _net(name: str = "squeezenet1_1", **options: Any) -> nn.Module:
    torch.manual_seed(0)
    network = catalog.create(name, **options)
    assert isinstance(network, nn.Module)
    return network


def test_no_file_of_the_corpus_runs_or_is_believed(tmp_path: Path) -> None:
    inside, canary = tmp_path / "a" / "b", tmp_path / "canary"
    inside.mkdir(parents=True)
    count = 0
    for path in corpus(inside, canary):
        with pytest.raises(SaccadeError) as caught:
            pretrained.resolve(str(path), "squeezenet1_1", _silent)
        message = caught.value.message
        assert message.startswith(str(path)), message
        assert len(message) > len(str(path)) + 30, message
        assert not canary.exists(), path.name
        count += 1
    assert count >= 60
    outside = [each for each in tmp_path.rglob("*") if each.is_file() and each.parent != inside]
    assert outside == []
    assert len(list(inside.iterdir())) == count


@pytest.mark.parametrize("name", ["no.pth", "folder", "pipe"])
def test_a_place_without_weights_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    place = tmp_path / name
    if name == "pipe":
        import os

        if not hasattr(os, "mkfifo"):
            pytest.skip("this system has no named pipes")
        os.mkfifo(place)
    with pytest.raises(SaccadeError):
        pretrained.resolve(str(place), None, _silent)


def _wrapped(kind: str, state: dict[str, Tensor], path: Path) -> None:
    if kind == "safetensors":
        safetensors.torch.save_file(state, path)
    elif kind == "legacy":
        torch.save(state, path, _use_new_zipfile_serialization=False)
    elif kind == "half":
        torch.save({name: value.half() for name, value in state.items()}, path)
    elif kind == "module.":
        torch.save({f"module.{name}": value for name, value in state.items()}, path)
    elif kind == "lightning":
        inner = {f"model.net.{name}": value for name, value in state.items()}
        torch.save({"state_dict": inner, "epoch": 3}, path)
    else:
        torch.save({kind: state, "epoch": 3}, path)


@pytest.mark.parametrize(
    "kind",
    ["safetensors", "legacy", "half", "module.", "lightning", "model", "net_state_dict"],
)
def test_every_usual_way_of_saving_is_read(tmp_path: Path, kind: str) -> None:
    published = torchvision.models.squeezenet1_1(weights=None)
    path = tmp_path / "weights.bin"
    _wrapped(kind, published.state_dict(), path)
    start = pretrained.resolve(str(path), None, _silent)
    assert start.network == "squeezenet1_1"
    network = _net()
    fitting.fill(network, start.tensors, skipped=set(), network="squeezenet1_1", path=str(path))
    exact = {name: value.half().float() for name, value in published.state_dict().items()}
    for name, value in network.state_dict().items():
        wanted = exact[name] if kind == "half" else published.state_dict()[name]
        assert torch.equal(value, wanted), name


@pytest.mark.parametrize("name", ["resnet18", "vgg11", "densenet121", "mobilenet_v2"])
def test_the_network_is_told_from_the_tensors(name: str) -> None:
    with torch.device("meta"):
        state = torchvision.models.get_model(name, weights=None).state_dict()
    without_head = {key: value for key, value in state.items() if not key.startswith("fc.")}
    assert fitting.infer(without_head) == name


def test_the_shared_file_tells_its_network(shared: Path) -> None:
    start = pretrained.resolve(
        str(shared / "weights" / "squeezenet1_1_imagenet_features_fp16.pth"), None, _silent
    )
    assert start.network == "squeezenet1_1"
    assert start.normalisation == weights.IMAGENET
    assert all(value.dtype == torch.float32 for value in start.tensors.values())


def test_strange_tensors_name_no_network() -> None:
    with pytest.raises(SaccadeError, match="--model"):
        fitting.infer({"a.weight": torch.ones(3)})


def _fill(network: nn.Module, tensors: Mapping[str, Tensor], skipped: set[str]) -> str:
    return "\n".join(fitting.fill(network, tensors, skipped=skipped, network="resnet18", path="x"))


def test_what_fits_and_what_does_not_is_listed() -> None:
    state = dict(_net("resnet18").state_dict())
    del state["layer4.1.conv2.weight"]
    state["layer4.1.bn2.weight"] = torch.ones(7)
    state["something.weight"] = torch.ones(2)
    network = _net("resnet18", num_classes=4)
    told = _fill(network, state, {"fc.weight", "fc.bias"})
    assert (
        "a new head, their own is not used: fc (bias, weight)" in told
        or "fc (weight, bias)" in told
    )
    assert "missing in the file, these begin at random: layer4.1.conv2 (weight)" in told
    assert "layer4.1.bn2" in told and "7 for 512" in told
    assert "not used: something (weight)" in told
    assert torch.equal(
        network.state_dict()["layer1.0.conv1.weight"], state["layer1.0.conv1.weight"]
    )


def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(SaccadeError, match="not weights of resnet18"):
        _fill(_net("resnet18"), _net("squeezenet1_1").state_dict(), set())


@pytest.mark.parametrize("channels", [1, 3, 4, 6])
def test_other_channels_keep_the_responses_to_grey_pictures(channels: int) -> None:
    old = _net("resnet18").eval()
    new = _net("resnet18", in_channels=channels).eval()
    told = _fill(new, old.state_dict(), set())
    grey = torch.rand(2, 1, 40, 40)
    with torch.no_grad():
        expected = old(grey.expand(2, 3, 40, 40))
        found = new(grey.expand(2, channels, 40, 40))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert channels == 3 or "input channels" in told


def test_densenet_of_older_files_gets_todays_names() -> None:
    assert (
        weights.today("features.denseblock1.denselayer2.norm.1.running_mean")
        == "features.denseblock1.denselayer2.norm1.running_mean"
    )
    assert weights.today("features.norm5.weight") == "features.norm5.weight"


def test_the_table_agrees_with_torchvision() -> None:
    for each in weights.PUBLISHED:
        enumeration = torchvision.models.get_model_weights(each.network)
        entry = enumeration[f"IMAGENET1K_{each.version.upper()}"]
        assert entry.url == each.url
        assert entry.transforms().crop_size == [each.side]
        assert entry.meta["_metrics"]["ImageNet-1K"]["acc@1"] == pytest.approx(
            each.accuracy, abs=0.06
        )
        if each.network not in weights.PREPARED_OTHERWISE:
            assert tuple(entry.transforms().mean) == each.normalisation[0]
    assert len(weights.categories()) == 1000


@pytest.mark.parametrize(
    ("given", "network", "found"),
    [
        ("imagenet", None, ("resnet18", "v1")),
        ("imagenet", "vgg16", ("vgg16", "v1")),
        ("imagenet_v2", "resnet50", ("resnet50", "v2")),
        ("IMAGENET1K_V2", "resnet50", ("resnet50", "v2")),
        ("ResNet50_Weights.DEFAULT", None, ("resnet50", "v1")),
        ("MobileNet_V2_Weights.IMAGENET1K_V2", None, ("mobilenet_v2", "v2")),
        ("densenet121", None, ("densenet121", "v1")),
        ("something.pth", None, None),
    ],
)
def test_names_of_published_weights(
    given: str, network: str | None, found: tuple[str, str] | None
) -> None:
    each = weights.find(given, network)
    assert (None if each is None else (each.network, each.version)) == found


def test_networks_without_published_weights_are_told() -> None:
    with pytest.raises(SaccadeError, match="none are published for zfnet"):
        weights.find("imagenet", "zfnet")


class Answer:
    """A download of `data`, in two pieces."""

    def __init__(self, data: bytes) -> None:
        self.headers = {"Content-Length": str(len(data))}
        self.pieces = iter([data[:10], data[10:], b""])

    def read(self, size: int) -> bytes:
        return next(self.pieces)

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *error: object) -> None:
        pass


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, bytes]]:
    """An entry of the table whose file is a real state dict made here."""
    monkeypatch.setenv("SACCADE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    path = tmp_path / "made.pth"
    torch.save(torchvision.models.squeezenet1_1(weights=None).state_dict(), path)
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()[:8]
    entry = weights.Published("squeezenet1_1", "v1", f"squeezenet1_1-{digest}.pth", 224, 58.2, 4.7)
    monkeypatch.setattr(weights, "PUBLISHED", (entry,))
    yield entry, data


def test_a_download_is_checked_and_kept(
    published: tuple[Any, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    entry, data = published
    asked: list[str] = []

    def answer(url: str, timeout: float) -> Answer:
        asked.append(url)
        return Answer(data)

    monkeypatch.setattr("urllib.request.urlopen", answer)
    seen: list[tuple[str, int, int]] = []
    start = pretrained.resolve("imagenet", "squeezenet1_1", lambda *each: seen.append(each))
    again = pretrained.resolve("squeezenet1_1", None, _silent)
    assert asked == [entry.url]
    assert seen[-1] == ("fetching weights", len(data), len(data))
    assert start.network == again.network == "squeezenet1_1"
    assert any("licence" in line for line in start.told)
    assert [each.name for each in weights.weights_folder().iterdir()] == [entry.file]


def test_a_wrong_download_is_refused(
    published: tuple[Any, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("urllib.request.urlopen", lambda url, timeout: Answer(b"x" * 100))
    with pytest.raises(SaccadeError, match="SHA-256"):
        pretrained.resolve("imagenet", "squeezenet1_1", _silent)
    assert list(weights.weights_folder().iterdir()) == []


def test_without_a_network_the_file_to_bring_is_named(
    published: tuple[Any, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    entry, _ = published

    def fails(url: str, timeout: float) -> Answer:
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", fails)
    with pytest.raises(SaccadeError) as caught:
        pretrained.resolve("imagenet", "squeezenet1_1", _silent)
    for word in (entry.url, str(weights.weights_folder()), "--weights", "no route to host"):
        assert word in caught.value.message


def test_a_hash_travels_with_the_tensors(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save({"a": torch.ones(2)}, path)
    assert read_tensors(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("card", ["[1]", "{", '{"task": 1}', '{"task": "x", "fields": 3}'])
def test_a_run_with_a_strange_card_is_refused(tmp_path: Path, card: str) -> None:
    path = tmp_path / "best.safetensors"
    safetensors.torch.save_file({"a": torch.ones(2)}, path)
    (tmp_path / "card.json").write_text(card)
    with pytest.raises(SaccadeError):
        pretrained.resolve(str(path), None, _silent)
