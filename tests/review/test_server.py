from __future__ import annotations

import contextlib
import http.client
import json
import threading
from collections.abc import Iterator

import pytest

from saccade.errors import SaccadeError
from saccade.review.server import LARGEST, Page, Server, as_json


def _refuse(_: object) -> None:
    raise SaccadeError("no such thing.", name="bad-thing")


@pytest.fixture
def server() -> Iterator[Server]:
    page = Page(
        read={"": lambda query: as_json(query), "bad": _refuse},  # type: ignore[dict-item]
        change={"echo": lambda body: as_json(body)},
    )
    with Server(page) as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def ask(
    server: Server, method: str, path: str, body: str | None = None, **headers: str
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with contextlib.closing(connection):
        connection.request(method, path, body, named)
        answer = connection.getresponse()
        return answer.status, answer.read()


def test_only_the_loopback_address_is_bound(server: Server) -> None:
    assert server.server_address[0] == "127.0.0.1"
    assert server.address.startswith(f"http://127.0.0.1:{server.server_address[1]}/")


def test_the_token_opens_and_nothing_else(server: Server) -> None:
    path = f"/{server.token}/"
    assert ask(server, "GET", path + "?a=b") == (200, b'{"a":"b"}')
    for wrong in ("/", "/bad", "/x/", f"/{server.token}", f"/{server.token[:-1]}/", "//"):
        status, body = ask(server, "GET", wrong)
        assert status == 404 or wrong == f"/{server.token}"
        assert server.token.encode() not in body


def test_other_pages_of_the_browser_are_refused(server: Server) -> None:
    path, kind = f"/{server.token}/echo", "application/json"
    own = f"http://{server.host}"
    good = ask(server, "POST", path, '{"a":1}', Content_Type=kind, Origin=own)
    assert good == (200, b'{"a":1}')
    # a name of another's that resolves to this machine
    assert ask(server, "GET", f"/{server.token}/", Host="evil.example")[0] == 404
    assert (
        ask(server, "POST", path, "{}", Content_Type=kind, Origin="http://evil.example")[0] == 404
    )
    # what a form can send without asking
    assert ask(server, "POST", path, '{"a":1}', Content_Type="text/plain")[0] == 400


@pytest.mark.parametrize("body", ["", "x", "[1]", " " * (LARGEST + 1)])
def test_bodies_that_make_no_sense_are_refused(server: Server, body: str) -> None:
    status, _ = ask(server, "POST", f"/{server.token}/echo", body, Content_Type="application/json")
    assert status == 400


def test_what_went_wrong_is_told(server: Server) -> None:
    status, body = ask(server, "GET", f"/{server.token}/bad")
    assert status == 400
    assert json.loads(body) == {"error": {"name": "bad-thing", "message": "no such thing."}}
