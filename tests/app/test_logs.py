"""The log of a service as programs read it: every line is an object, and none has a reading in it."""

import json
import re
import signal
import socket
import subprocess
import sys
from datetime import datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from app import logs
from tests.app.test_main import JSON, ROOT, exchange, port_of, start

READING = "1234.5678"


def records(text: str) -> list[dict[str, Any]]:
    """The lines of a log, each an object."""
    return [json.loads(line) for line in text.splitlines()]


def post(port: int, path: str, body: str, **headers: str) -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", path, body, JSON | headers)
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.mark.parametrize("workers", ["1", "2"])
def test_every_line_of_a_service_is_an_object(models: Path, tmp_path: Path, workers: str) -> None:
    """Start, answers, refusals, what the server itself warns of, and the end; with ids, and whose line it is."""
    log = tmp_path / "log"
    process = start(
        models, log, NELBO_LOG="json", NELBO_ACCESS_LOG="true", NELBO_WORKERS=workers, NELBO_SHUTDOWN_SECONDS="1"
    )
    stuck = socket.socket()
    try:
        port = port_of(process, log)
        row = f'{{"rows": [[{READING}, 1013, 5, 3]]}}'
        assert post(port, "/models/plant/score", row, **{"X-Request-ID": "mine"}) == 200
        assert post(port, f"/score?secret={READING}", row[:-1]) == 400
        exchange(port, b"this is no HTTP\r\n\r\n")
        stuck.connect(("127.0.0.1", port))
        stuck.sendall(
            b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
        )
        assert post(port, "/score", row) == 200  # a moment later
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        stuck.close()
    text = log.read_text()
    told = records(text)

    assert READING not in text
    assert {"nelbo", "nelbo.repository", "nelbo.access", "uvicorn.error"} <= {record["logger"] for record in told}
    for record in told:
        assert datetime.fromisoformat(record["time"]).utcoffset() == timedelta(0)
        assert record["level"] in ("INFO", "WARNING", "ERROR", "CRITICAL")
        assert record["message"]
    processes = {record["process"] for record in told}
    assert process.pid in processes
    assert (len(processes) > 1) is (workers != "1")
    of_requests = [record for record in told if record["logger"] == "nelbo.access"]
    assert len(of_requests) == 5  # two processes may write in another order than they answered
    (answered,) = (record for record in of_requests if record["request_id"] == "mine")
    refused, strange, stopped = (
        next(record for record in of_requests if record["code"] == code)
        for code in ("invalid-json", "invalid-http", "stopped")
    )
    assert (
        answered.items()
        >= {
            "request_id": "mine",
            "method": "POST",
            "route": "/models/{name}/score",
            "status": 200,
            "code": None,
            "rows": 1,
            "bytes": len(row),
        }.items()
    )
    assert answered["ms"] > 0
    assert (refused["status"], refused["rows"]) == (400, None)
    assert (strange["status"], strange["method"]) == (400, "other")
    assert stopped["status"] == 503


FAULTS = """
import logging, threading, warnings
from app import logs
logs.begin({form!r})
logging.getLogger("any").warning("odd \\ud800 and\\nnewlines")
warnings.warn("look out")
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("any").exception("caught")
thread = threading.Thread(target=lambda: [][1])
thread.start()
thread.join()
raise KeyError("nobody caught this")
"""


def run(form: logs.Form) -> str:
    """What a program writes in which everything goes wrong."""
    command = [sys.executable, "-c", FAULTS.format(form=form)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stderr


def test_what_goes_wrong_is_an_object_too() -> None:
    """Warnings, tracebacks, a thread that ends and a process that does; each is one line."""
    odd, warned, caught, thread, ended = records(run("json"))

    assert (odd["message"], odd["level"]) == ("odd \ud800 and\nnewlines", "WARNING")
    assert (warned["logger"], "look out" in warned["message"]) == ("py.warnings", True)
    assert "ZeroDivisionError" in caught["exc_info"]
    assert (thread["level"], "IndexError" in thread["exc_info"]) == ("CRITICAL", True)
    assert (ended["level"], "nobody caught this" in ended["exc_info"]) == ("CRITICAL", True)


def test_for_a_person_it_is_text() -> None:
    """Time, level, logger and process, and tracebacks as Python writes them."""
    told = run("text")

    assert re.search(r" WARNING py\.warnings\[\d+\]: ", told)
    assert re.search(r" CRITICAL nelbo\[\d+\]: ended by an error\nTraceback", told)


def test_a_record_has_one_line_whoever_wrote_the_log_before() -> None:
    """Instrumentation may begin a log of its own before the service does."""
    program = "import logging; logging.basicConfig(); from app import logs; logs.begin('json'); logging.info('once')"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)

    assert [record["message"] for record in records(done.stderr)] == ["once"]
