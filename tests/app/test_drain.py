"""What happens to requests and connections from SIGTERM to the end."""

import os
import re
import signal
import socket
import threading
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path

import pytest

from benchmarks.soak.place import workers_of
from tests.app.test_main import JSON, ROW, exchange, port_of, start

CLIENTS = 6
READY = b"GET /health/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
HALF = b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n" + ROW


def keep_asking(port: int, begun: threading.Barrier, seen: list[tuple[int, str | None]]) -> None:
    """On one connection, until an answer says that it closes."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    while not seen or seen[-1][1] != "close":
        connection.request("POST", "/score", ROW, JSON)
        response = connection.getresponse()
        response.read()
        if not seen:
            begun.wait(30)
        seen.append((response.status, response.headers["Connection"]))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_no_request_is_lost_from_sigterm_to_the_end(models: Path, tmp_path: Path, number: signal.Signals) -> None:
    """Clients that keep their connections are told to close them, each behind an answer, before the service ends.

    A terminal that closes is no other reason to stop.
    """
    process = start(models, tmp_path / "log", NELBO_DRAIN_SECONDS="2")
    port = port_of(process, tmp_path / "log")
    begun = threading.Barrier(CLIENTS + 1)
    seen: list[list[tuple[int, str | None]]] = [[] for _ in range(CLIENTS)]
    clients = [threading.Thread(target=keep_asking, args=(port, begun, each)) for each in seen]
    for client in clients:
        client.start()
    begun.wait(30)
    process.send_signal(number)
    for client in clients:
        client.join(30)

    assert process.wait(30) == 0
    assert {status for each in seen for status, _ in each} == {200}
    assert [each[-1][1] for each in seen] == ["close"] * CLIENTS
    told = (tmp_path / "log").read_text()
    assert "told to stop: answering for 2 seconds more, with readiness off" in told
    assert told.splitlines()[-1].endswith("stopped")
    assert "Traceback" not in told


def test_readiness_is_off_while_the_service_drains(models: Path, tmp_path: Path) -> None:
    """At both addresses, and it says when to ask again; liveness stays, and a new connection is answered."""
    process = start(models, tmp_path / "log", NELBO_DRAIN_SECONDS="60")
    port = port_of(process, tmp_path / "log")
    before = exchange(port, READY)
    process.send_signal(signal.SIGTERM)
    while (answer := exchange(port, READY)).startswith(b"HTTP/1.1 200"):
        pass
    under_v2 = exchange(port, READY.replace(b"/health", b"/v2/health"))
    live = exchange(port, b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
    process.send_signal(signal.SIGTERM)  # a second one waits for nothing

    assert process.wait(30) == 0
    assert before.startswith(b"HTTP/1.1 200")
    assert answer.startswith(b"HTTP/1.1 503")
    assert b'"code":"draining"' in answer
    assert re.search(rb"\r\nretry-after: [1-3]\r\n", answer)
    assert under_v2.startswith(b"HTTP/1.1 503")
    assert b'{"error":' in under_v2
    assert live.startswith(b"HTTP/1.1 200")
    assert b"\r\nconnection: close\r\n" in live


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_client_that_never_ends_its_request_does_not_hold_the_service(
    models: Path, tmp_path: Path, workers: str
) -> None:
    """It is told why there is no answer, in the log too; and who connects meanwhile does not wait for nothing."""
    process = start(models, tmp_path / "log", NELBO_SHUTDOWN_SECONDS="2", NELBO_WORKERS=workers)
    port = port_of(process, tmp_path / "log")
    with ExitStack() as stack:
        stuck = [stack.enter_context(socket.create_connection(("127.0.0.1", port), 30)) for _ in range(4)]
        for connection in stuck:
            connection.sendall(HALF)
        assert exchange(port, READY).startswith(b"HTTP/1.1 200")
        process.send_signal(signal.SIGTERM)
        answers = [connection.recv(2**16) for connection in stuck]
        late = _refused(port)

    assert process.wait(30) == 0
    assert all(answer.startswith(b"HTTP/1.1 503") and b'"code":"stopped"' in answer for answer in answers)
    assert late
    told = (tmp_path / "log").read_text()
    assert len(re.findall(r"POST /score 503 stopped", told)) == len(stuck)
    assert "Traceback" not in told


def _refused(port: int) -> bool:
    """Whether nobody listens, or whoever does ends the connection."""
    try:
        with socket.create_connection(("127.0.0.1", port), 10) as connection:
            connection.sendall(READY)
            return connection.recv(1) == b""
    except (ConnectionRefusedError, ConnectionResetError):
        return True


def test_a_stream_that_is_cut_short_is_in_the_log(models: Path, tmp_path: Path) -> None:
    """Its answer has no last line; and a server that gives up what runs leaves no traceback."""
    process = start(models, tmp_path / "log", NELBO_SHUTDOWN_SECONDS="1")
    port = port_of(process, tmp_path / "log")
    head = (
        b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), 30) as stream:
        stream.sendall(head + b"%x\r\n%b\n\r\n" % (len(ROW) + 1, ROW))
        first = stream.recv(2**16)
        process.send_signal(signal.SIGTERM)
        rest = b"".join(iter(lambda: stream.recv(2**16), b""))

    assert process.wait(30) == 0
    assert first.startswith(b"HTTP/1.1 200")
    assert b'"errors"' not in first + rest
    told = (tmp_path / "log").read_text()
    assert "POST /score 200 stopped" in told
    assert "Traceback" not in told


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_that_ends_costs_no_more_than_its_own_requests(
    models: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """Another takes its place, and meanwhile its neighbour answers at the port that they share."""
    process = start(models, tmp_path / "log", NELBO_WORKERS="2", NELBO_DRAIN_SECONDS="0")
    port = port_of(process, tmp_path / "log")
    try:
        while len(first := workers_of(process.pid)) < 2 or not exchange(port, READY):
            pass
        os.kill(first[0], number)
        statuses = {exchange(port, READY)[:12] for _ in range(50)}
        while len(workers_of(process.pid)) < 2 or first[0] in workers_of(process.pid):
            pass
    finally:
        process.terminate()
        assert process.wait(60) == 0
    assert statuses == {b"HTTP/1.1 200"}
