"""Stopping politely: the first signal asks, the second one insists."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


class StopRequest:
    """exit_code is None until a signal came, then 130 (SIGINT) or 143 (SIGTERM)."""

    exit_code: int | None = None


@contextmanager
def catch_signals() -> Iterator[StopRequest]:
    """Note SIGINT and SIGTERM in the yielded request; a second one acts as it would without us.

    Only the main thread can listen; elsewhere the request stays empty.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.getsignal(number) for number in EXIT_CODES}

    def note(number: int, frame: FrameType | None) -> None:
        request.exit_code = EXIT_CODES[signal.Signals(number)]
        for each, handler in before.items():
            signal.signal(each, handler)

    for number in EXIT_CODES:
        signal.signal(number, note)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
