"""Hides Pillow's warnings of damaged tags; what matters of them becomes an error elsewhere."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


class Quiet:
    """Context in which Pillow does not warn, for any number of threads at once.

    warnings.catch_warnings() changes what all threads see and must not overlap; so the first to
    come sets the filter and the last to go takes it away.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._caught = warnings.catch_warnings()

    @contextmanager
    def __call__(self, needed: bool) -> Iterator[None]:
        if not needed:
            yield
            return
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._caught = warnings.catch_warnings()
                self._caught.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if self._inside == 0:
                    self._caught.__exit__(None, None, None)
