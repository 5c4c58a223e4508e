"""A running service whose folder of models changes, on real sockets and with two workers."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from app import bundle
from tests.app.test_main import JSON, ROW, port_of, start
from tests.app.test_shelf import put

WORKERS = 2
LINE = b"[20, 1013, 5, 3]\n"


@pytest.fixture
def root(models: Path, tmp_path: Path) -> Path:
    """A repository with plant/1."""
    folder = tmp_path / "models"
    folder.mkdir()
    put(models, folder, "plant", 1)
    return folder


@pytest.fixture
def port(root: Path, tmp_path: Path) -> Iterator[int]:
    log = tmp_path / "log"
    process: subprocess.Popen[bytes] = start(
        root, log, NELBO_WORKERS=str(WORKERS), NELBO_WATCH_SECONDS="0.05", NELBO_MODEL="plant"
    )
    try:
        yield port_of(process, log)
    finally:
        process.terminate()
        assert process.wait(30) == 0
        assert "Traceback" not in log.read_text()


def identity(root: Path, version: int) -> str:
    """What the header says of a bundle."""
    return f"plant@{version}+{bundle.sha256(root / 'plant' / str(version) / bundle.SUMS)[:12]}"


def answered(port: int) -> tuple[str, int]:
    """The bundle that answered a row, and the version that it says, on a connection of its own."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", "/score", ROW, JSON)
    response = connection.getresponse()
    body = json.loads(response.read())
    connection.close()
    assert response.status == 200, body
    header = response.getheader("X-Model-Version")
    assert header is not None
    return header, body["version"]


def until(port: int, expected: tuple[str, int], *others: tuple[str, int]) -> None:
    """Ask until every worker has answered as expected, for long; nothing but that and `others` may be answered."""
    deadline, in_a_row = time.monotonic() + 60, 0
    while in_a_row < 40:
        assert time.monotonic() < deadline
        told = answered(port)
        assert told == expected or told in others
        in_a_row = in_a_row + 1 if told == expected else 0


def test_every_worker_follows_the_folder(models: Path, root: Path, port: int) -> None:
    """Published by renaming, and rolled back by taking away; every answer names the bundle that made it."""
    first = identity(root, 1), 1
    until(port, first)

    put(models, root, "plant", 2)
    second = identity(root, 2), 2
    until(port, second, first)

    shutil.move(root / "plant" / "2", root / "plant" / ".2")
    until(port, first, second)


def test_a_stream_ends_with_the_model_that_it_began_with(models: Path, root: Path, port: int) -> None:
    """Though another one answers new requests meanwhile."""
    head = b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n"
    first = identity(root, 1), 1
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(head + b"Connection: close\r\n\r\n%x\r\n%b\r\n" % (len(LINE), LINE))
        said = connection.recv(65536)
        assert f"x-model-version: {first[0]}".encode() in said

        put(models, root, "plant", 2)
        until(port, (identity(root, 2), 2), first)

        connection.sendall(b"%x\r\n%b\r\n0\r\n\r\n" % (len(LINE), LINE))
        while chunk := connection.recv(65536):
            said += chunk
    assert said.count(b'"version":1,') == 2
    assert b'{"rows":2,"errors":0}' in said
