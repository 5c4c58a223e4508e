"""Nobody who has connected is lost when the port closes."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import cast

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from uvicorn.server import ServerState

from app.connection import Connection
from app.listener import Listener, Loop, let_nobody_in
from app.reception import LAST_SECONDS, Reception
from app.refusals import answer_refused
from app.settings import Settings
from tests.app.wire import connect, get, read, statuses

CLIENTS, BACKLOG = 20, 64


async def hello(request: Request) -> PlainTextResponse:
    """An answer that keeps its connection."""
    return PlainTextResponse("hello")


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[Listener, ServerState, int]]:
    """A port on the loop that is running, as uvicorn has it, with its connections and its number."""
    config = uvicorn.Config(Starlette(routes=[Route("/", hello)]), http=Connection, ws="none", log_config=None)
    config.load()
    server, state = ServerState(), {"reception": Reception(Settings(), answer_refused)}
    with socket.create_server(("127.0.0.1", 0), backlog=BACKLOG) as sock:
        port = sock.getsockname()[1]
        listener = await Loop.create_server(
            cast(Loop, asyncio.get_running_loop()),
            lambda: Connection(config, server, state),
            sock=sock,
            ssl=None,
            backlog=BACKLOG,
        )
        yield listener, server, port


def run(test: Callable[[], Coroutine[None, None, None]]) -> None:
    """On a loop as the service has it."""
    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(test())


def test_who_has_connected_when_the_port_closes_is_answered() -> None:
    """Once, behind which the connection closes; who asks nothing has it closed, and nobody connects any more."""

    async def close() -> None:
        async with listening() as (listener, _, port):
            # The loop has no turn here, so that only the kernel has taken the clients in.
            asking = [connect(port) for _ in range(CLIENTS)]
            silent = connect(port)
            for client in asking:
                client.sendall(get(b"/"))
            listener.close()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port))
            answers = await asyncio.gather(*[asyncio.to_thread(read, client) for client in (*asking, silent)])
            await listener.wait_closed()
            for client in (*asking, silent):
                client.close()
        assert [statuses(answer) for answer in answers] == [*[[200]] * CLIENTS, []]
        assert all(b"\r\nconnection: close\r\n" in answer.lower() for answer in answers[:-1])

    run(close)


@pytest.mark.skipif(sys.platform != "linux", reason="no other kernel does this")
def test_nobody_new_is_let_in_to_a_port_that_is_about_to_close() -> None:
    """Who has connected before is answered; who has not hears nothing, and then that the port is closed."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        address = sock.getsockname()
        with socket.create_connection(address, 5) as before, ThreadPoolExecutor(1) as threads:
            let_nobody_in(sock)
            with pytest.raises(TimeoutError):
                socket.create_connection(address, 0.2)
            after = threads.submit(socket.create_connection, address, 5)
            before.sendall(b"anybody?")
            taken = sock.accept()[0]
            with taken:
                assert taken.recv(64) == b"anybody?"
                taken.sendall(b"yes")
            assert before.recv(64) == b"yes"
            sock.close()
            assert isinstance(after.exception(5), ConnectionRefusedError)


def test_no_more_are_taken_in_than_may_wait() -> None:
    """Who connects without end does not keep the port open."""

    async def close() -> None:
        async with listening() as (listener, server, port):
            clients = [connect(port) for _ in range(BACKLOG + 1)]
            listener.close()
            await listener.wait_closed()
            taken = len(server.connections)
            for client in clients:
                client.close()
        assert taken == BACKLOG

    run(close)


def test_a_request_that_is_on_its_way_when_the_service_stops_is_answered() -> None:
    """On a connection that was answered before too; it is the last one there."""

    async def stop() -> None:
        async with listening() as (listener, server, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(get(b"/"))
            first = await reader.readuntil(b"hello")
            for connection in server.connections:
                connection.shutdown()
            await asyncio.sleep(LAST_SECONDS / 5)
            writer.write(get(b"/"))
            second = await reader.read()
            writer.close()
            listener.close()
            await listener.wait_closed()
        assert b"connection: close" not in first
        assert statuses(second) == [200]
        assert b"\r\nconnection: close\r\n" in second

    run(stop)
