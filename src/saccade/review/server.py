"""A small HTTP server for one person at this machine.

It listens on the loopback address alone, on a port the system chooses. Other pages in the same
browser could send requests to it, so that every address begins with a secret token, the Host header
must be our own (a foreign name that resolves to 127.0.0.1 is refused), and changes must be JSON.
"""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from saccade.errors import SaccadeError

LARGEST = 1_000_000  # bytes of a request's body
DISCARDED = 16 * LARGEST  # bytes of a refused body that are still received


@dataclass(frozen=True)
class Answer:
    """What goes back to the browser."""

    body: bytes
    kind: str = "application/json"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


Route = Callable[[Mapping[str, Any]], Answer]
"""Takes the query (GET) or the JSON object (POST); raises SaccadeError for what makes no sense."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """read: path -> GET; change: path -> POST; both below the token."""

    read: Mapping[str, Route]
    change: Mapping[str, Route] = field(default_factory=dict)


def as_json(value: Any, status: int = 200) -> Answer:
    """An answer that holds one JSON value."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Answer(text.encode("utf-8", "backslashreplace"), status=status)


class Server(ThreadingHTTPServer):
    """Serves one page. `address` is what to open in a browser."""

    daemon_threads = True

    def __init__(self, page: Page) -> None:
        self.page = page
        self.token = secrets.token_urlsafe(18)
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that went away in the middle of an answer is no news; all else is told."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    @property
    def address(self) -> str:
        return f"http://{self.host}/{self.token}/"


def serve(page: Page, ready: Callable[[str], None]) -> None:
    """Serve until the process is interrupted (Ctrl-C). ready: is told the address to open."""
    with Server(page) as server:
        ready(server.address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections stay open: an answer takes no handshake
    # head and body leave in one packet: the second of two would wait 40 ms for the first's receipt
    wbufsize = 1 << 16
    disable_nagle_algorithm = True
    server: Server

    def do_GET(self) -> None:
        path, query = self._place()
        self._answer(self.server.page.read, path, lambda: query)

    def do_POST(self) -> None:
        path, _ = self._place()
        self._answer(self.server.page.change, path, self._body)

    def _place(self) -> tuple[str | None, dict[str, str]]:
        """The path below the token, None where the request is not for us; and the query."""
        parts = urlsplit(self.path)
        _, _, rest = parts.path.partition("/")
        token, _, path = rest.partition("/")
        known = secrets.compare_digest(token.encode(), self.server.token.encode())
        origin = self.headers.get("Origin") or f"http://{self.server.host}"
        ours = self.headers.get("Host") == self.server.host
        if not (known and ours and origin == f"http://{self.server.host}"):
            return None, {}
        return path, dict(parse_qsl(parts.query))

    def _size(self) -> int:
        """Bytes of the body, as its sender says; 0 where that is no number."""
        told = self.headers.get("Content-Length", "")
        return int(told) if told.isdecimal() else 0

    def _discard(self) -> None:
        """Receive a refused body and throw it away.

        A connection closed over unread bytes is reset, and its sender would never see the answer.
        """
        self.close_connection = True
        left = min(self._size(), DISCARDED)
        while left > 0 and (data := self.rfile.read(min(left, 1 << 16))):
            left -= len(data)

    def _body(self) -> dict[str, Any]:
        size = self._size()
        if not 0 < size <= LARGEST:
            self._discard()
            raise SaccadeError(f"a body of {size} bytes; at most {LARGEST} are read.")
        data = self.rfile.read(size)
        if self.headers.get_content_type() != "application/json":
            raise SaccadeError("expected application/json.")
        try:
            value = json.loads(data)
        except ValueError as error:
            raise SaccadeError(f"not JSON: {error}.") from error
        if not isinstance(value, dict):
            raise SaccadeError("expected a JSON object.")
        return value

    def _answer(
        self,
        routes: Mapping[str, Route],
        path: str | None,
        values: Callable[[], Mapping[str, Any]],
    ) -> None:
        route = None if path is None else routes.get(path)
        if route is None:
            # nothing is told to a page that does not know the token
            self._discard()
            self._send(Answer(b"not found", "text/plain", 404))
            return
        try:
            answer = route(values())
        except SaccadeError as error:
            answer = as_json({"error": {"name": error.name, "message": error.message}}, 400)
        self._send(answer)

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        headers = {
            "Content-Type": answer.kind,
            "Content-Length": str(len(answer.body)),
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "Cross-Origin-Resource-Policy": "same-origin",
            **answer.headers,
        }
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not news; what goes wrong is told to the page."""
