"""Streams whose lines take long, beside others and after their client has left."""

import json
import re
import socket
import struct
from collections.abc import Iterator

import pytest

from app.main import create_app
from app.settings import Settings
from tests.app.test_scoring import wait_until
from tests.app.wire import connect, exchange, get, post, serving, statuses

LINES = 60
BOUND = {"rows": [[20, 1013, 5, 3]] * 256, "bound": {"draws": 1024, "seed": 1}}
LONG = json.dumps(BOUND, separators=(",", ":")).encode()
"""It takes far longer than there is room for."""
STREAM = get(
    b"/score",
    b"Content-Type: application/x-ndjson",
    b"Content-Length: %d" % (LINES * (len(LONG) + 1)),
    method=b"POST",
) + LINES * (LONG + b"\n")
RESET = struct.pack("ii", 1, 0)


@pytest.fixture
def port(settings: Settings) -> Iterator[int]:
    """A service with one thread and little room."""
    with serving(create_app(settings.model_copy(update={"threads": 1, "queue_seconds": 0.2}))) as port:
        yield port


def begun(port: int) -> socket.socket:
    """A stream of which the first line is answered, and the others are not."""
    connection = connect(port, seconds=60)
    connection.sendall(STREAM)
    said = b""
    while b'"bound"' not in said:
        said += connection.recv(2**16)
    assert said.count(b'"bound"') < LINES / 2
    return connection


def under_way(port: int) -> int:
    said = exchange(port, get(b"/metrics", b"Connection: close"))
    found = re.search(rb"^nelbo_requests_in_flight (\d+)", said, re.MULTILINE)
    assert found
    return int(found[1])


def test_lines_are_not_computed_for_a_client_that_is_gone(port: int) -> None:
    """They end where they are, though all of them have come."""
    connection = begun(port)
    assert under_way(port) == 2  # it, and this question
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    connection.close()

    wait_until(lambda: under_way(port) == 1)
    rows = re.search(rb'nelbo_rows_total{verb="score"} (\d+)', exchange(port, get(b"/metrics", b"Connection: close")))
    assert rows
    assert int(rows[1]) < LINES * 256 / 2


def test_others_find_room_beside_a_stream(port: int) -> None:
    """It waits for room where a request would be refused, and it never takes all that there is."""
    with begun(port):
        asked = post(b"Connection: close", body=LONG)
        assert [statuses(exchange(port, asked)) for _ in range(3)] == [[200]] * 3
