"""HTTP as bytes: requests as a client may write them, and a server on a thread that reads them."""

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from app.connection import Connection

ROW = b'{"rows": [[4.59, 1018.7, 83.7, 3.58, 23.98, 1086.2, 549.8, 134.7, 11.9, 0.327, 81.95]]}'
"""One of the bundled model's."""
CLOSE = b"Connection: close"
CHUNKED = b"Transfer-Encoding: chunked"
HTTP2 = (b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__")
STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


def get(path: bytes, *lines: bytes, method: bytes = b"GET", version: bytes = b"1.1", host: bytes = b"Host: x") -> bytes:
    """A request without a body; `host` may be empty, for none."""
    head = [b"%b %b HTTP/%b" % (method, path, version), host, *lines]
    return b"\r\n".join([line for line in head if line] + [b"", b""])


def post(*lines: bytes, body: bytes = ROW, path: bytes = b"/score", method: bytes = b"POST") -> bytes:
    """A question; a body that is not chunked has its length said unless a line says another."""
    lines = (b"Content-Type: application/json", *lines)
    if not any(line.lower().startswith((b"content-length", b"transfer-encoding")) for line in lines):
        lines = (*lines, b"Content-Length: %d" % len(body))
    return get(path, *lines, method=method) + body


def chunks(*parts: bytes, extension: bytes = b"", trailers: bytes = b"") -> bytes:
    """A chunked body."""
    whole = b"".join(b"%x%b\r\n%b\r\n" % (len(part), extension, part) for part in parts)
    return whole + b"0\r\n" + trailers + b"\r\n"


def connect(port: int, seconds: float = 10, buffer: int | None = None) -> socket.socket:
    """A connection; with a small receive `buffer` a client takes little that it does not read."""
    connection = socket.socket()
    if buffer is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    connection.settimeout(seconds)
    connection.connect(("127.0.0.1", port))
    return connection


def read(connection: socket.socket) -> bytes:
    """What a server says until it closes the connection."""
    said = b""
    while piece := connection.recv(65536):
        said += piece
    return said


def exchange(port: int, *parts: bytes, half_closed: bool = False) -> bytes:
    """What a server says to these bytes until it closes the connection."""
    with connect(port) as connection:
        for part in parts:
            connection.sendall(part)
        if half_closed:
            connection.shutdown(socket.SHUT_WR)
        return read(connection)


def statuses(said: bytes) -> list[int]:
    """Of the answers, in order."""
    return [int(status) for status in STATUS.findall(said)]


@contextmanager
def serving(app: Callable[..., Any]) -> Iterator[int]:
    """An application behind our connections; yields its port."""
    config = uvicorn.Config(
        app, port=0, http=Connection, ws="none", lifespan="on", log_config=None, timeout_graceful_shutdown=5
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
