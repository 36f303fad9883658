"""What all tests share: threads, and real data where a checkout has them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

torch.set_num_threads(max(1, (os.cpu_count() or 2) // 2))

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data sets beside the checkout; tests skip where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("real data sets are not beside this checkout (../shared/data)")
    return SHARED
