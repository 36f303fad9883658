"""Environments of the peers: one virtual environment each, made when first needed and kept."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from importlib.metadata import version
from pathlib import Path

REQUIREMENTS = {
    "timm": ["timm==1.0.31"],
    "fastai": ["fastai==2.8.12"],
    "smp": ["segmentation-models-pytorch==0.5.0"],
}
SHARED = ("torch", "torchvision", "pillow", "numpy")
"""Of the same version in every environment, so that loops are compared and not releases."""


def default_cache() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "saccade-benchmarks"


def python_of(name: str, cache: Path) -> Path:
    """The interpreter of peer `name`, its environment made (several gigabytes) where it is not."""
    wanted = [*REQUIREMENTS[name], *(f"{each}=={_plain(version(each))}" for each in SHARED)]
    folder = cache / name
    python = folder / "bin" / "python"
    ready = folder / "requirements.txt"
    if ready.is_file() and ready.read_text().split() == wanted:
        return python
    print(f"making the environment of {name} in {folder} ...", file=sys.stderr, flush=True)
    venv.create(folder, with_pip=True, clear=True)
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", *wanted], check=True)
    # written last: a broken installation is made anew
    ready.write_text("\n".join(wanted) + "\n")
    return python


def _plain(full: str) -> str:
    """2.15.0+cpu -> 2.15.0"""
    return full.partition("+")[0]


if __name__ == "__main__":
    for peer in sys.argv[1:] or list(REQUIREMENTS):
        print(python_of(peer, default_cache()))
