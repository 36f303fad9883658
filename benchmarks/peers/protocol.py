"""How contestants answer: JSON lines on stdin and stdout, so that rounds of one run interleave.

Standard library only, since every environment runs it. A contestant is one process that holds its
network and data, works when asked and sleeps in between.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def serve(contestant: Any) -> None:
    """Answer requests {"do": METHOD} with what the method returns, until stdin ends."""
    channel = os.fdopen(os.dup(1), "w")
    # what libraries print must not get between the answers
    os.dup2(2, 1)
    print(json.dumps("ready"), file=channel, flush=True)
    for line in sys.stdin:
        answer = getattr(contestant, json.loads(line)["do"])()
        print(json.dumps(answer), file=channel, flush=True)


class Contestant:
    """The other end: a process that is asked.

    name    for people;  workers: of its loader, None where it has none
    """

    def __init__(
        self,
        name: str,
        command: list[str],
        *,
        workers: int | None,
        environment: dict[str, str],
        log: Path,
    ) -> None:
        self.name, self.workers, self._log = name, workers, log
        with log.open("w") as errors:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment,
                text=True,
            )
        self._answer()

    def ask(self, what: str) -> Any:
        """What method `what` of the contestant returns."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": what}) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            tail = self._log.read_text()[-3000:]
            raise RuntimeError(f"{self.name} ended without an answer:\n{tail}")
        return json.loads(line)
