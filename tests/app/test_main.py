"""The application on a real socket, in a process of its own."""

import gc
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

import pytest
from fastapi import Request, Response
from fastapi.testclient import TestClient
from starlette.middleware.base import RequestResponseEndpoint

from app import interpreter, main
from app.errors import RequestError, SettingsError
from app.main import create_app
from app.settings import Settings
from app.workers import STARTUP_FAILED

ROOT = Path(__file__).parents[2]
ROW = b'{"rows": [[20, 1013, 5, 3]]}'
JSON = {"Content-Type": "application/json"}
LISTENING = re.compile(r"listening at https?://127\.0\.0\.1:(\d+)")


def start(models: Path, log: Path, **variables: str) -> subprocess.Popen[bytes]:
    """A service of its own, on any free port, its log in a file."""
    environment = os.environ | {"NELBO_MODELS": str(models), "NELBO_PORT": "0", "NELBO_DEVICE": "cpu"}
    environment |= {"NELBO_DRAIN_SECONDS": "0"} | variables
    command = [sys.executable, "-m", "app", "serve"]
    with log.open("wb") as stream:
        return subprocess.Popen(command, cwd=ROOT, env=environment, stderr=stream)


def port_of(process: subprocess.Popen[bytes], log: Path) -> int:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if found := LISTENING.search(log.read_text()):
            return int(found[1])
        time.sleep(0.05)
    raise AssertionError(f"the service did not start:\n{log.read_text()}")


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served") / "log"


@pytest.fixture(scope="module")
def served(models: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A served repository whose limits can be met in a test."""
    process = start(models, log, NELBO_MAX_BODY_BYTES="100000", NELBO_BODY_SECONDS="1")
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def port(served: subprocess.Popen[bytes], log: Path) -> int:
    return port_of(served, log)


def exchange(port: int, *parts: bytes, seconds: float = 60) -> bytes:
    """What a server says to these bytes, until it closes the connection or falls silent."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        for part in parts:
            connection.sendall(part)
        said = b""
        while chunk := connection.recv(65536):
            said += chunk
        return said


def test_a_row_is_scored_over_a_socket(port: int) -> None:
    """With a request id, without a word on what serves; the connection goes on."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    for _ in range(2):
        connection.request("POST", "/score", ROW, JSON | {"X-Request-ID": "over-a-socket"})
        response = connection.getresponse()
        answer = json.loads(response.read())

        assert (response.status, response.getheader("X-Request-ID")) == (200, "over-a-socket")
        assert response.getheader("Server") is None
        assert (answer["model"], answer["alarm"]) == ("plant", [False])
    connection.close()


def test_an_answer_is_one_write(served: subprocess.Popen[bytes], port: int) -> None:
    """Head and body together, however many requests are asked at once; the kernel has counted."""
    counters = Path(f"/proc/{served.pid}/io")
    if not counters.exists():
        pytest.skip("needs the counters of Linux's /proc")
    request = b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % len(ROW)
    exchange(port, request + b"Connection: close\r\n\r\n" + ROW)
    before = _writes(counters)

    said = exchange(port, 20 * (request + b"\r\n" + ROW) + request + b"Connection: close\r\n\r\n" + ROW)

    assert said.count(b"HTTP/1.1 200 OK") == said.count(b'"score"') == 21
    assert 21 <= _writes(counters) - before <= 25


def _writes(counters: Path) -> int:
    return int(dict(line.split(": ") for line in counters.read_text().splitlines())["syscw"])


def test_the_head_of_a_stream_does_not_wait_for_its_body(port: int) -> None:
    """A client that reads before it sends its first line gets the head, and then an answer for each line."""
    head = b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n"
    line = b"[20, 1013, 5, 3]\n"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(head + b"Connection: close\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")
        connection.sendall(b"%x\r\n%b\r\n" % (len(line), line))
        assert b'"score"' in connection.recv(65536)
        connection.sendall(b"0\r\n\r\n")
        said = b""
        while chunk := connection.recv(65536):
            said += chunk
    assert b'{"rows":1,"errors":0}' in said


@pytest.mark.parametrize(("path", "status"), [(b"/score", b"405"), (b"/models", b"200")])
def test_an_answer_without_a_body_is_written_too(port: int, path: bytes, status: bytes) -> None:
    """HEAD is refused, or answered, with a head alone, and closing the connection loses nothing of it."""
    said = exchange(port, b"HEAD %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % path)

    head, _, body = said.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 " + status)
    assert body == b""


def test_a_body_is_asked_for_by_100_continue(port: int) -> None:
    """The interim answer comes before the body is sent."""
    head = b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(head + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(ROW))
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(ROW)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")


def test_an_announced_body_is_refused_before_it_is_sent(port: int) -> None:
    """413 on the headers alone; the connection is closed, since its next bytes are no request."""
    head = b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100001\r\n\r\n"
    status, _, rest = exchange(port, head).partition(b"\r\n")

    assert status.startswith(b"HTTP/1.1 413")
    assert b"connection: close" in rest.lower()
    assert b"application/problem+json" in rest
    assert b'"code":"body-too-large"' in rest


def test_a_chunked_body_is_refused_at_the_limit(port: int) -> None:
    """Without an announced length the bytes are counted; the rest is not waited for."""
    head = b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"8000\r\n" + b" " * 0x8000 + b"\r\n"
    said = exchange(port, head, *[chunk] * 4)

    assert said.startswith(b"HTTP/1.1 413")
    assert b'"code":"body-too-large"' in said


def test_a_body_that_does_not_arrive_is_given_up(port: int) -> None:
    """408 after the deadline, not a connection that is open for ever."""
    head = b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n"
    said = exchange(port, head + b'{"rows"')

    assert said.startswith(b"HTTP/1.1 408")
    assert b'"code":"request-timeout"' in said


def test_a_client_that_goes_away_is_no_error(port: int, log: Path) -> None:
    """It is noted as gone, without a traceback, and service goes on."""
    head = b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 50\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(head + b"X-Request-ID: gone\r\n\r\n{")
        time.sleep(0.2)
    time.sleep(0.3)

    assert exchange(port, b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").startswith(
        b"HTTP/1.1 200"
    )
    assert re.search(r"request_id=gone POST /score 499 client-gone", log.read_text())
    assert "Traceback" not in log.read_text()


def test_pipelined_requests_of_a_client_that_goes_away_are_no_error(port: int, log: Path) -> None:
    """uvicorn answers the first of them on a connection that is closed; nobody reads that, and nothing is logged."""
    request = b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(
        ROW
    )
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(2 * (request + ROW))
    time.sleep(0.3)

    assert exchange(port, b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").startswith(
        b"HTTP/1.1 200"
    )
    assert "Traceback" not in log.read_text()


def test_more_than_can_be_computed_soon_is_refused(models: Path, tmp_path: Path) -> None:
    """With 503 and when to ask again; what was taken is answered, and so is whoever comes later."""
    process = start(models, tmp_path / "log", NELBO_QUEUE_SECONDS="0.001")
    port = port_of(process, tmp_path / "log")
    body = json.dumps({"rows": [[20, 1013, 5, 3]] * 1000}).encode()
    head = b"POST /score HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
    request = head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    try:
        with ThreadPoolExecutor(40) as clients:
            answers = list(clients.map(lambda _: exchange(port, request), range(400)))
        later = exchange(port, request)
        counted = exchange(port, b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").decode()
    finally:
        process.terminate()
        process.wait(30)

    refused = [answer for answer in answers if answer.startswith(b"HTTP/1.1 503")]
    assert refused
    assert len(answers) == len(refused) + sum(answer.startswith(b"HTTP/1.1 200") for answer in answers)
    assert len(refused) < len(answers)
    assert all(re.search(rb"\r\nretry-after: [1-3]\r\n", answer) and b'"overloaded"' in answer for answer in refused)
    assert later.startswith(b"HTTP/1.1 200")
    assert f'nelbo_refusals_total{{reason="overloaded"}} {len(refused)}.0' in counted
    assert " 503 overloaded " in (tmp_path / "log").read_text()


def test_the_log_tells_what_is_served(port: int, log: Path) -> None:
    """Models, versions, device and address."""
    assert port
    assert "serving plant@2 (default) on cpu" in log.read_text()


def test_a_stop_lets_the_service_end_well(models: Path, tmp_path: Path) -> None:
    """SIGTERM ends it with exit status 0."""
    process = start(models, tmp_path / "log")
    port_of(process, tmp_path / "log")
    process.send_signal(signal.SIGTERM)

    assert process.wait(30) == 0


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"NELBO_MODEL": "pump"}, "NELBO_MODEL: 'pump' cannot be served; there are: plant@2, plant@1"),
        ({"NELBO_MODELS": "no-such-folder"}, "NELBO_MODELS: there is no folder 'no-such-folder'"),
        ({"NELBO_PORT": "eighty"}, "NELBO_PORT: "),
        ({"NELBO_DEVICE": "cuda"}, "device 'cuda' was asked for"),
        ({"NELBO_HOST": "192.0.2.1"}, "NELBO_HOST, NELBO_PORT: cannot listen at 192.0.2.1"),
        ({"NELBO_KEYS": "plant infer"}, "NELBO_KEYS, line 1: found 2 words; expected name scope[,scope] sha256:"),
        ({"NELBO_TLS_CERTIFICATE": "a.pem", "NELBO_TLS_KEY": "b.pem"}, "NELBO_TLS_CERTIFICATE: a.pem: No such file"),
    ],
)
def test_a_service_that_cannot_start_says_why(
    models: Path, tmp_path: Path, variables: dict[str, str], told: str
) -> None:
    """One readable line and exit status 3, no traceback."""
    process = start(models, tmp_path / "log", **variables)

    assert process.wait(60) == STARTUP_FAILED
    last = (tmp_path / "log").read_text().splitlines()[-1]
    assert told in last
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_a_taken_port_is_a_reason_not_to_start(models: Path, tmp_path: Path, port: int) -> None:
    """The line names the port."""
    process = start(models, tmp_path / "log", NELBO_PORT=str(port))

    assert process.wait(60) == STARTUP_FAILED
    assert f"cannot listen at 127.0.0.1, port {port}" in (tmp_path / "log").read_text()


def test_an_application_reads_the_environment_when_it_is_given_nothing(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """create_app() is what an ASGI server that is not ours can be pointed at."""
    monkeypatch.setenv("NELBO_MODELS", str(models))
    with TestClient(create_app()) as client:
        assert client.get("/health/ready").status_code == 200


def test_nothing_happens_until_the_application_starts(tmp_path: Path) -> None:
    """Making it opens no file; starting it without models fails with the reason."""
    app = create_app(Settings(models=tmp_path / "later"))

    with pytest.raises(SettingsError, match="there is no folder"), TestClient(app):
        pass


def test_every_refusal_has_a_status() -> None:
    """The one table holds every kind of request error."""
    assert set(main.STATUS) == set(RequestError.__subclasses__())


def test_middleware_that_is_added_is_around_every_answer(settings: Settings) -> None:
    """That of the verbs too, which go by a shorter way than the rest."""
    app = create_app(settings)

    @app.middleware("http")
    async def stamp(request: Request, call_next: RequestResponseEndpoint) -> Response:
        response = await call_next(request)
        response.headers["stamp"] = "here"
        return response

    with TestClient(app) as client:
        answers = [client.get("/models"), client.post("/score", json={"rows": []}), client.post("/nothing")]

    assert [answer.status_code for answer in answers] == [200, 422, 404]
    assert [answer.headers["stamp"] for answer in answers] == 3 * ["here"]
    assert all("x-request-id" in answer.headers for answer in answers)


def test_the_interpreter_is_as_before_when_the_application_has_ended(settings: Settings) -> None:
    """While it runs it looks for cycles less often, and threads take shorter turns."""
    thresholds, interval = gc.get_threshold(), sys.getswitchinterval()
    gc.set_threshold(701, 11, 12)
    sys.setswitchinterval(0.25)
    try:
        with TestClient(create_app(settings)):
            assert gc.get_threshold() == interpreter.COLLECTED_AFTER
            assert sys.getswitchinterval() == pytest.approx(interpreter.SWITCH_SECONDS)
        assert (gc.get_threshold(), sys.getswitchinterval()) == ((701, 11, 12), 0.25)
    finally:
        gc.set_threshold(*thresholds)
        sys.setswitchinterval(interval)
