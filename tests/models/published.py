"""Parameters and multiply-adds of the papers and of published implementations, by name.

Multiply-adds are those of convolutions and linear layers at the catalogue's input; None where no
published number was at hand. CIFAR ResNets: akamaster/pytorch_resnet_cifar10, whose figures for
20 to 1202 layers these are; option A has no parameters, so the plain twins have the same.
"""

from __future__ import annotations

PUBLISHED: dict[str, tuple[int, float | None]] = {
    "lenet5": (60_000, None),
    "lenet5_modern": (61_706, 416_520),
    "convnet": (608 + 3_216 + 48_120 + 10_164 + 850, None),
    "airbench": (1_972_792, None),
    "airbench_small": (498_104, None),
    "resnet18": (11_689_512, 1.814e9),
    "resnet34": (21_797_672, 3.664e9),
    "resnet50": (25_557_032, 4.089e9),
    "resnet101": (44_549_160, 7.801e9),
    "resnet152": (60_192_808, 11.514e9),
    # the residual net without its three projections (1x1 convolution and batch norm)
    "plain18": (11_689_512 - 8_448 - 33_280 - 132_096, None),
    "plain34": (21_797_672 - 8_448 - 33_280 - 132_096, None),
    "resnet20": (269_722, None),
    "resnet32": (464_154, None),
    "resnet44": (658_586, None),
    "resnet56": (853_018, None),
    "resnet110": (1_727_962, None),
    "resnet1202": (19_421_274, None),
    "plain20": (269_722, None),
    "plain32": (464_154, None),
    "plain44": (658_586, None),
    "plain56": (853_018, None),
    "plain110": (1_727_962, None),
}
