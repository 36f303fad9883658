"""Published weights: where they lie, what proves them, how pictures must be prepared for them.

Only torchvision's of ImageNet (https://pytorch.org/vision/stable/models.html). Nothing is fetched
unless a user names it.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from saccade.errors import SaccadeError, unknown_name
from saccade.files import cache_folder, write_error

SITE = "https://download.pytorch.org/models/"

LICENCE = (
    "BSD-3-Clause (torchvision); trained on ImageNet, whose pictures are for non-commercial "
    "research"
)

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and std per channel, on the 0..1 scale, of nearly everything trained on ImageNet."""

HALVES = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
"""What Google's Inceptions were trained with; torchvision rescales inside the network instead."""

PREPARED_OTHERWISE = {"googlenet": HALVES, "inception_v3": HALVES}

TABLE = (
    # network, version, file (its name ends in the first 8 digits of its SHA-256), input side,
    # top-1 accuracy on ImageNet in %, megabytes
    ("resnet18", "v1", "resnet18-f37072fd.pth", 224, 69.8, 44.7),
    ("resnet34", "v1", "resnet34-b627a593.pth", 224, 73.3, 83.3),
    ("resnet50", "v1", "resnet50-0676ba61.pth", 224, 76.1, 97.8),
    ("resnet50", "v2", "resnet50-11ad3fa6.pth", 224, 80.9, 97.8),
    ("resnet101", "v1", "resnet101-63fe2227.pth", 224, 77.4, 170.5),
    ("resnet101", "v2", "resnet101-cd907fc2.pth", 224, 81.9, 170.5),
    ("resnet152", "v1", "resnet152-394f9c45.pth", 224, 78.3, 230.4),
    ("resnet152", "v2", "resnet152-f82ba261.pth", 224, 82.3, 230.5),
    ("alexnet", "v1", "alexnet-owt-7be5be79.pth", 224, 56.5, 233.1),
    ("vgg11", "v1", "vgg11-8a719046.pth", 224, 69.0, 506.8),
    ("vgg13", "v1", "vgg13-19584684.pth", 224, 69.9, 507.5),
    ("vgg16", "v1", "vgg16-397923af.pth", 224, 71.6, 527.8),
    ("vgg19", "v1", "vgg19-dcbb9e9d.pth", 224, 72.4, 548.1),
    ("vgg11_bn", "v1", "vgg11_bn-6002323d.pth", 224, 70.4, 506.9),
    ("vgg13_bn", "v1", "vgg13_bn-abd245e5.pth", 224, 71.6, 507.6),
    ("vgg16_bn", "v1", "vgg16_bn-6c64b313.pth", 224, 73.4, 527.9),
    ("vgg19_bn", "v1", "vgg19_bn-c79401a0.pth", 224, 74.2, 548.1),
    ("squeezenet1_0", "v1", "squeezenet1_0-b66bff10.pth", 224, 58.1, 4.8),
    ("squeezenet1_1", "v1", "squeezenet1_1-b8a52dc0.pth", 224, 58.2, 4.7),
    ("googlenet", "v1", "googlenet-1378be20.pth", 224, 69.8, 49.7),
    ("inception_v3", "v1", "inception_v3_google-0cc3c7bd.pth", 299, 77.3, 103.9),
    ("densenet121", "v1", "densenet121-a639ec97.pth", 224, 74.4, 30.8),
    ("densenet161", "v1", "densenet161-8d451a50.pth", 224, 77.1, 110.4),
    ("densenet169", "v1", "densenet169-b2777c0a.pth", 224, 75.6, 54.7),
    ("densenet201", "v1", "densenet201-c1103571.pth", 224, 76.9, 77.4),
    ("mobilenet_v2", "v1", "mobilenet_v2-b0353104.pth", 224, 71.9, 13.6),
    ("mobilenet_v2", "v2", "mobilenet_v2-7ebf99e0.pth", 224, 72.2, 13.6),
    ("efficientnet_b0", "v1", "efficientnet_b0_rwightman-7f5810bc.pth", 224, 77.7, 20.5),
    ("efficientnet_b1", "v1", "efficientnet_b1_rwightman-bac287d4.pth", 240, 78.6, 30.1),
    ("efficientnet_b1", "v2", "efficientnet_b1-c27df63c.pth", 240, 79.8, 30.1),
    ("efficientnet_b2", "v1", "efficientnet_b2_rwightman-c35c1473.pth", 288, 80.6, 35.2),
    ("efficientnet_b3", "v1", "efficientnet_b3_rwightman-b3899882.pth", 300, 82.0, 47.2),
    ("efficientnet_b4", "v1", "efficientnet_b4_rwightman-23ab8bcd.pth", 380, 83.4, 74.5),
    ("efficientnet_b5", "v1", "efficientnet_b5_lukemelas-1a07897c.pth", 456, 83.4, 116.9),
    ("efficientnet_b6", "v1", "efficientnet_b6_lukemelas-24a108a5.pth", 528, 84.0, 165.4),
    ("efficientnet_b7", "v1", "efficientnet_b7_lukemelas-c5b4e57e.pth", 600, 84.1, 254.7),
)


@dataclass(frozen=True)
class Published:
    """One file of weights that torchvision publishes. accuracy: ImageNet top-1, %."""

    network: str
    version: str
    file: str
    side: int
    accuracy: float
    megabytes: float

    @property
    def name(self) -> str:
        return "imagenet" if self.version == "v1" else f"imagenet_{self.version}"

    @property
    def url(self) -> str:
        return SITE + self.file

    @property
    def digest(self) -> str:
        """The first digits of the file's SHA-256."""
        return self.file.rpartition("-")[2].partition(".")[0]

    @property
    def normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and std per channel on the 0..1 scale."""
        return normalisation(self.network)

    def sentence(self) -> str:
        return f"ImageNet weights of {self.network} ({self.accuracy} % top-1), licence: {LICENCE}"


PUBLISHED = tuple(Published(*row) for row in TABLE)


def normalisation(network: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and std that ImageNet weights of a network expect."""
    return PREPARED_OTHERWISE.get(network, IMAGENET)


def has_published(network: str) -> bool:
    return any(each.network == network for each in PUBLISHED)


def find(weights: str, network: str | None) -> Published | None:
    """The published weights that a name means; None where it is no such name.

    weights: "imagenet", "imagenet_v2", torchvision's "IMAGENET1K_V1" or
    "ResNet18_Weights.IMAGENET1K_V1", or the name of a network. Raises SaccadeError where the
    network has no such weights.
    """
    plain = weights.lower()
    before, dot, after = plain.partition("_weights.")
    if dot:
        network, plain = _network_named(before, weights), after
    elif has_published(plain):
        network, plain = plain, "imagenet"
    plain = "imagenet" if plain in ("default", "imagenet1k_v1", "imagenet_v1") else plain
    plain = plain.replace("imagenet1k_", "imagenet_")
    if plain not in {each.name for each in PUBLISHED}:
        return None
    for each in PUBLISHED:
        if each.name == plain and each.network == (network or "resnet18"):
            return each
    having = [each.network for each in PUBLISHED if each.name == plain]
    raise SaccadeError(
        f"--weights {weights}: none are published for {network}; they are for {', '.join(having)}.",
        name="no-weights",
    )


def _network_named(enumeration: str, weights: str) -> str:
    """The network of torchvision's ResNet18_Weights, MobileNet_V2_Weights and so on."""
    for each in PUBLISHED:
        if each.network.replace("_", "") == enumeration.replace("_", ""):
            return each.network
    raise unknown_name("weights", weights, {each.network for each in PUBLISHED})


def categories() -> tuple[str, ...]:
    """The 1000 classes of ImageNet, in the order of the published heads."""
    from torchvision.models import ResNet18_Weights

    return tuple(ResNet18_Weights.IMAGENET1K_V1.meta["categories"])


def cached(weights: Published) -> Path | None:
    """The file where it lies already, whole: saccade's cache, or torchvision's own."""
    import torch

    for folder in (weights_folder(), Path(torch.hub.get_dir()) / "checkpoints"):
        place = folder / weights.file
        if place.is_file() and _digest(place).startswith(weights.digest):
            return place
    return None


def weights_folder() -> Path:
    return cache_folder() / "weights"


def fetch(weights: Published, progress: Callable[[int, int], None] | None = None) -> Path:
    """The file, from the cache or else from its site; verified against its digest.

    progress: called with bytes done and in all. Raises SaccadeError where it cannot be had.
    """
    there = cached(weights)
    if there is not None:
        return there
    place = weights_folder() / weights.file
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=place.parent, prefix=".loading-")
        os.close(descriptor)
    except OSError as error:
        raise write_error(place, error) from error
    try:
        _download(weights, Path(temporary), progress or _no_progress)
        found = _digest(Path(temporary))
        if not found.startswith(weights.digest):
            raise SaccadeError(
                f"{weights.url}: what came has SHA-256 {found[:8]}..., expected "
                f"{weights.digest}...: the download is damaged or not the published file.",
                name="wrong-digest",
                files=[weights.url],
            )
        Path(temporary).replace(place)
    finally:
        Path(temporary).unlink(missing_ok=True)
    return place


def _download(weights: Published, to: Path, progress: Callable[[int, int], None]) -> None:
    try:
        # the address is from the table above and always https
        with urllib.request.urlopen(weights.url, timeout=30) as answer, to.open("wb") as file:  # noqa: S310
            total = int(answer.headers.get("Content-Length") or weights.megabytes * 1e6)
            done = 0
            while chunk := answer.read(1 << 20):
                file.write(chunk)
                done += len(chunk)
                progress(done, total)
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", None) or error
        raise SaccadeError(
            f"{weights.url} cannot be reached ({reason}). Fetch this file where there is a network "
            f"({weights.megabytes:g} MB) and put it into {weights_folder()}, or name it: "
            f"--weights {weights.file}.",
            name="offline",
            files=[weights.url],
        ) from error
    except OSError as error:
        raise write_error(to, error) from error


def _no_progress(done: int, total: int) -> None:
    """Nobody watches."""


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_OLD_NAME = re.compile(r"(denselayer\d+\.(?:norm|conv))\.(\d)\.")


def today(name: str) -> str:
    """The name a tensor of torchvision's older files has now (DenseNet's "norm.1" is "norm1")."""
    return _OLD_NAME.sub(r"\1\2.", name)
