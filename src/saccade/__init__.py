"""saccade: from a person's own images to a convolutional network they can trust."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from saccade.api import Trained, load, open, train
    from saccade.errors import SaccadeError

__version__ = "0.1.0"
__all__ = ["SaccadeError", "Trained", "__version__", "load", "open", "train"]


def __getattr__(name: str) -> Any:
    """Import on first use, so that `import saccade` costs nothing (PEP 562)."""
    if name == "SaccadeError":
        from saccade.errors import SaccadeError

        return SaccadeError
    if name in __all__:
        from saccade import api

        return getattr(api, name)
    raise AttributeError(f"module 'saccade' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
