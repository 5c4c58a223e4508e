"""Several processes that answer at one port, and clients that go away."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from app.errors import SettingsError
from app.sharing import shared_between_processes
from app.workers import STARTUP_FAILED
from benchmarks.soak.place import workers_of
from tests.app.test_main import JSON, ROW, exchange, port_of, start
from tests.app.test_scoring import wait_until

WORKERS = 2


@pytest.fixture(scope="module")
def port(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Two workers."""
    log = tmp_path_factory.mktemp("workers") / "log"
    process = start(models, log, NELBO_WORKERS=str(WORKERS))
    try:
        yield port_of(process, log)
    finally:
        process.terminate()
        assert process.wait(30) == 0
        assert "Traceback" not in log.read_text()


def await_all(port: int) -> None:
    """Until each worker has answered: the ids of its requests begin alike."""
    seen: set[bytes] = set()

    def all_have() -> bool:
        answer = exchange(port, b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        seen.update(re.findall(rb"x-request-id: ([0-9a-f]{16})", answer))
        return len(seen) == WORKERS

    wait_until(all_have)


def ask(port: int, method: str, path: str, body: bytes | None = None) -> bytes:
    """The answer to one request on a connection of its own."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path, body, JSON)
    response = connection.getresponse()
    assert response.status == 200, response.read()
    answer = response.read()
    connection.close()
    return answer


def test_workers_answer_the_same_and_add_up_what_they_count(port: int) -> None:
    """The same bits whoever answers; /metrics and the statistics of /v2 are of all together, whoever is asked."""
    infer = b'{"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [20, 1013, 5, 3]}]}'
    scores = {ask(port, "POST", "/score", ROW) for _ in range(20)}
    inferred = {ask(port, "POST", "/v2/models/plant/infer", infer) for _ in range(20)}

    assert len(scores) == len(inferred) == 1
    for _ in range(6):
        assert b'nelbo_rows_total{verb="score"} 20.0' in ask(port, "GET", "/metrics")
        (told,) = json.loads(ask(port, "GET", "/v2/models/plant/stats"))["model_stats"]
        assert (told["inference_count"], told["execution_count"]) == (20, 20)


def test_clients_that_go_away_leave_their_neighbours_alone(port: int) -> None:
    """Before their body is whole, while they wait in a thread's queue, and without reading what they were answered."""
    many = json.dumps({"rows": [[20, 1013, 5, None]] * 2000, "explain": True}).encode()
    head = b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    for number in range(30):
        body = (ROW, many, ROW[:5])[number % 3]
        with socket.create_connection(("127.0.0.1", port), timeout=10) as leaving:
            leaving.sendall(head % max(len(body), 20) + body)
        answer = json.loads(ask(port, "POST", "/score", ROW))
        assert answer["n_observed"] == [4]
    assert exchange(port, b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").startswith(
        b"HTTP/1.1 200"
    )


def test_workers_that_cannot_start_stop_the_service(models: Path, tmp_path: Path) -> None:
    """With the reason, and the exit status of a service that cannot start."""
    process = start(models, tmp_path / "log", NELBO_WORKERS=str(WORKERS), NELBO_MODEL="pump")

    assert process.wait(60) == STARTUP_FAILED
    told = (tmp_path / "log").read_text()
    assert "cannot start: NELBO_MODEL: 'pump' cannot be served" in told
    assert "listening at" not in told
    assert "Traceback" not in told


def test_a_worker_that_cannot_take_a_dead_one_s_place_waits_until_it_can(models: Path, tmp_path: Path) -> None:
    """Nothing in the folder can be served any more: the other worker goes on with what it has, and is not stopped."""
    folder, aside, log = tmp_path / "models", tmp_path / "aside", tmp_path / "log"
    shutil.copytree(models / "plant" / "1", folder / "plant" / "1")
    process = start(folder, log, NELBO_WORKERS=str(WORKERS), NELBO_WATCH_SECONDS="0")
    try:
        port = port_of(process, log)
        wait_until(lambda: log.read_text().count("serving plant@1") == WORKERS)
        (folder / "plant" / "1").rename(aside)
        os.kill(workers_of(process.pid)[0], signal.SIGKILL)
        wait_until(lambda: "a worker cannot start, and will try again: " in log.read_text())
        assert {json.loads(ask(port, "POST", "/score", ROW))["version"] for _ in range(5)} == {1}
        aside.rename(folder / "plant" / "1")
        os.kill(workers_of(process.pid)[0], signal.SIGKILL)
        assert json.loads(ask(port, "POST", "/score", ROW))["version"] == 1
        assert process.poll() is None
    finally:
        process.terminate()
        assert process.wait(30) == 0


def test_a_worker_that_dies_is_replaced(models: Path, tmp_path: Path) -> None:
    """What it had counted stays counted."""
    process = start(models, tmp_path / "log", NELBO_WORKERS=str(WORKERS))
    try:
        port = port_of(process, tmp_path / "log")
        ask(port, "POST", "/score", ROW)
        workers = workers_of(process.pid)
        assert len(workers) == WORKERS
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        assert b'nelbo_rows_total{verb="score"} 1.0' in ask(port, "GET", "/metrics")
        for worker in workers:
            wait_until(lambda told=f"worker {worker} died, exit code -9; ": told in (tmp_path / "log").read_text())
    finally:
        process.terminate()
        assert process.wait(30) == 0


@pytest.mark.parametrize("of_parent", [True, False])
def test_workers_drain_once_and_hurry_when_told_again(models: Path, tmp_path: Path, of_parent: bool) -> None:
    """A signal to the whole group, as systemd sends it, is one order: the workers hear it twice, and drain."""
    log = tmp_path / "log"
    process = start(models, log, NELBO_WORKERS=str(WORKERS), NELBO_DRAIN_SECONDS="20")
    await_all(port_of(process, log))
    for told in [process.pid] if of_parent else [*workers_of(process.pid), process.pid]:
        os.kill(told, signal.SIGTERM)
    wait_until(lambda: log.read_text().count("answering for 20 seconds more") == WORKERS)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(2)

    process.send_signal(signal.SIGTERM)

    assert process.wait(10) == 0
    assert log.read_text().count(": stopped") == WORKERS


def test_workers_end_with_a_parent_that_was_killed(models: Path, tmp_path: Path) -> None:
    """They let go of the port, so that the service can start again, and that removes what was left of their metrics."""
    log, temporary = tmp_path / "log", tmp_path / "temporary"
    temporary.mkdir()
    process = start(models, log, NELBO_WORKERS=str(WORKERS), TMPDIR=str(temporary))
    port = port_of(process, log)
    workers = workers_of(process.pid)
    process.kill()
    process.wait(10)

    wait_until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))
    (left,) = temporary.glob("nelbo-metrics-*")
    assert "the parent process is gone: stopping" in log.read_text()
    again = start(models, log, NELBO_WORKERS=str(WORKERS), TMPDIR=str(temporary), NELBO_PORT=str(port))
    try:
        assert port_of(again, log) == port
        assert ask(port, "POST", "/score", ROW)
        assert not left.exists()
    finally:
        again.terminate()
        assert again.wait(30) == 0
    assert list(temporary.iterdir()) == []
    assert "Traceback" not in log.read_text()


def test_a_full_place_for_metrics_is_told_before_anybody_writes_there() -> None:
    """Who writes to a file's memory for which there is no room is killed."""
    many = shared_between_processes(10**9)
    with pytest.raises(SettingsError, match=r"TMPDIR: .* for the metrics of 1000000000 workers: "), many:
        pass


def test_the_port_is_told_of_when_somebody_answers(models: Path, tmp_path: Path) -> None:
    """Not while the first worker starts."""
    log = tmp_path / "log"
    process = start(models, log, NELBO_WORKERS=str(WORKERS))
    try:
        port_of(process, log)
        told = log.read_text()
        assert -1 < told.find("serving plant@2") < told.find("listening at ")
    finally:
        process.terminate()
        assert process.wait(30) == 0
