"""What app.connection relies on in uvicorn, which it documents nowhere: a new uvicorn that changes it fails here.

Each failure says what to look at; `Connection` has to be read again beside uvicorn's own source then.
"""

import asyncio
import inspect
import re
import socket
from collections.abc import Callable

import httptools
import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http import httptools_impl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from app.connection import Connection
from app.reception import Reception
from app.refusals import answer_refused
from app.settings import Settings
from tests.app.wire import CHUNKED, CLOSE, HTTP2, ROW, chunks, get, post

CALLED = (
    "connection_made",
    "data_received",
    "eof_received",
    "on_message_begin",
    "on_url",
    "on_header",
    "on_headers_complete",
    "on_body",
    "on_message_complete",
    "_start_asgi_task",
    "on_response_complete",
    "connection_lost",
)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads a body, and answers with its length."""
    length, more = 0, True
    while more:
        message = await receive()
        length, more = length + len(message.get("body", b"")), message.get("more_body", False)
    body = str(length).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


def recorded(base: type[HttpToolsProtocol], calls: list[str]) -> type[HttpToolsProtocol]:
    """The protocol, with a note of each call of its methods."""

    def noted(name: str) -> Callable[..., object]:
        def call(self: HttpToolsProtocol, *arguments: object) -> object:
            calls.append(name)
            return getattr(base, name)(self, *arguments)

        return call

    return type("Recorded", (base,), {name: noted(name) for name in CALLED})


def exchanged(
    protocol: type[HttpToolsProtocol], *parts: bytes, application: ASGIApp = app
) -> tuple[bytes, HttpToolsProtocol]:
    """What is answered to bytes that come one by one, and the connection after that."""

    async def main() -> tuple[bytes, HttpToolsProtocol]:
        config = uvicorn.Config(
            application, http=protocol, ws="none", lifespan="off", log_config=None, access_log=False
        )
        config.load()
        state = {"reception": Reception(Settings(), answer_refused)}
        made: list[HttpToolsProtocol] = []

        def make() -> HttpToolsProtocol:
            made.append(config.http_protocol_class(config=config, server_state=ServerState(), app_state=state))
            return made[-1]

        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        transport, _ = await loop.connect_accepted_socket(make, theirs)
        reader, writer = await asyncio.open_connection(sock=ours)
        for part in parts:
            writer.write(part)
            await asyncio.sleep(0.05)
        writer.write_eof()
        said = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        transport.abort()
        await asyncio.sleep(0)
        return said, made[0]

    return asyncio.run(main())


def test_a_request_is_these_calls() -> None:
    """A head, a body in two parts and the end of it, then the answer; the task begins behind the head."""
    calls: list[str] = []

    said, connection = exchanged(recorded(HttpToolsProtocol, calls), *_in_two(post(CHUNKED, body=chunks(b"abc", b"d"))))

    assert said.endswith(b"\r\n\r\n4"), "uvicorn no longer answers a chunked request as it did"
    begun = ["connection_made", "data_received", "on_message_begin", "on_url", *3 * ["on_header"]]
    went_on = ["on_headers_complete", "_start_asgi_task", "on_body", "data_received", "on_body", "on_message_complete"]
    ended = ["on_response_complete", "eof_received", "connection_lost"]
    assert calls == [*begun, *went_on, *ended], "uvicorn calls its protocol in another order: read Connection again"
    assert connection.parser is None, "uvicorn keeps its parser when the connection is lost"


def _in_two(request: bytes) -> tuple[bytes, bytes]:
    middle = request.index(b"abc") + 5
    return request[:middle], request[middle:]


def test_a_connection_has_what_is_read_and_set_here() -> None:
    """The attributes of a connection and of the request that it answers, and what they are behind an answer."""
    _, connection = exchanged(HttpToolsProtocol, get(b"/"))

    wanted = {
        "app", "app_state", "asgi_version", "client", "config", "cycle", "expect_100_continue", "flow", "headers",
        "loop", "parser", "pipeline", "root_path", "scheme", "scope", "server", "server_state", "tasks",
        "timeout_keep_alive", "transport", "url", "logger", "access_logger", "access_log",
    }  # fmt: skip
    assert wanted <= vars(connection).keys(), "uvicorn's protocol lacks an attribute that Connection reads"
    cycle = connection.cycle
    assert {"body", "disconnected", "keep_alive", "message_event", "more_body", "response_started"} <= vars(
        cycle
    ).keys()
    assert cycle.scope is connection.scope, "the request that was answered last is no longer told by its scope"
    assert cycle.scope["headers"] is connection.headers, "headers, and with them trailers, are kept elsewhere"
    assert (cycle.response_complete, cycle.more_body) == (True, False)
    assert isinstance(cycle.body, bytearray), "Connection sees by its length whether a body grew"


def test_a_request_is_made_of_these() -> None:
    """app.refused makes one for what is none."""
    about = ["scope", "transport", "flow", "message_event", "expect_100_continue", "keep_alive", "on_response"]
    wanted = {*about, "logger", "access_logger", "access_log", "default_headers"}
    found = inspect.signature(RequestResponseCycle).parameters.keys()
    assert found == wanted, "RequestResponseCycle takes other arguments: see app.refused"


def test_what_is_replaced_is_there_and_called_as_here() -> None:
    """Each method that Connection overrides has the arguments that it had."""
    for name, method in vars(Connection).items():
        theirs = getattr(HttpToolsProtocol, name, None)
        if theirs is None or not callable(method) or (name.startswith("__") and name != "__init__"):
            continue
        told = f"uvicorn's {name} takes other arguments than Connection's"
        assert list(inspect.signature(method).parameters) == list(inspect.signature(theirs).parameters), told


def test_the_queue_of_requests_grows_on_the_left() -> None:
    """A refusal takes its turn there, and a request whose body will not come is taken out of it there."""
    source = inspect.getsource(HttpToolsProtocol)
    assert "self.pipeline.appendleft((self.cycle, app))" in source, "requests that wait are queued in another way"
    assert "self.pipeline.pop()" in source, "requests that wait are taken from the queue in another way"


def test_an_offer_to_upgrade_stops_the_parser_behind_the_head() -> None:
    """And where it stopped is told, so that the rest can be read behind another head."""

    class Nothing:
        def on_headers_complete(self) -> None:
            pass

    offer = post(b"Connection: Upgrade", *HTTP2)
    with pytest.raises(httptools.HttpParserUpgrade) as stopped:
        httptools.HttpRequestParser(Nothing()).feed_data(offer)

    assert offer[stopped.value.args[0] :] == ROW, "httptools reads the body behind an offer now: _without_offer must go"


def test_what_a_callback_raises_is_the_context_of_the_parsers_error() -> None:
    """That is how a head is refused for what it is."""

    class Refusing:
        def on_headers_complete(self) -> None:
            raise KeyError("this")

    with pytest.raises(httptools.HttpParserError) as stopped:
        httptools.HttpRequestParser(Refusing()).feed_data(get(b"/"))

    assert isinstance(stopped.value.__context__, KeyError), "httptools hides why a callback refused: see _refuse"


START = "http.response.start"
BODY = "http.response.body"
ANSWERS: dict[str, list[dict[str, object]]] = {
    "whole": [{"type": START, "status": 200, "headers": [(b"content-length", b"2")]}, {"type": BODY, "body": b"ab"}],
    "in parts": [
        {"type": START, "status": 200, "headers": [(b"content-length", b"4"), (b"x-a", b"b")]},
        {"type": BODY, "body": b"ab", "more_body": True},
        {"type": BODY, "body": b"cd"},
    ],
    "stream": [
        {"type": START, "status": 200},
        {"type": BODY, "body": b"ab", "more_body": True},
        {"type": BODY, "body": b"", "more_body": True},
        {"type": BODY, "body": b"c"},
    ],
    "chunked by itself": [
        {"type": START, "status": 200, "headers": [(b"transfer-encoding", b"chunked")]},
        {"type": BODY, "body": b"ab"},
    ],
    "nothing": [{"type": START, "status": 204}, {"type": BODY}],
    "empty": [{"type": START, "status": 500, "headers": [(b"content-length", b"0")]}, {"type": BODY}],
    "closing": [
        {"type": START, "status": 413, "headers": [(b"content-length", b"1"), (b"connection", b"close")]},
        {"type": BODY, "body": b"a"},
    ],
    "two lines in a header": [
        {"type": START, "status": 200, "headers": [(b"content-length", b"1"), (b"a", b"b\r\nc: d")]},
        {"type": BODY, "body": b"a"},
    ],
    "a body first": [{"type": BODY, "body": b"a"}],
    "two heads": [{"type": START, "status": 200, "headers": [(b"transfer-encoding", b"chunked")]}] * 2,
    "never": [],
}


@pytest.mark.parametrize("request_", [get(b"/"), get(b"/", CLOSE), get(b"/").replace(b"GET", b"HEAD"), get(b"/") * 2])
@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_is_written_as_uvicorn_would_write_it(answer: str, request_: bytes) -> None:
    """To the byte, but for the time that it tells, whatever an application sends."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        for message in ANSWERS[answer]:
            await send(message)

    def said(protocol: type[HttpToolsProtocol]) -> bytes:
        return re.sub(rb"date: [^\r]*\r\n", b"", exchanged(protocol, request_, application=application)[0])

    assert said(Connection) == said(HttpToolsProtocol)


@pytest.mark.parametrize("length", [b"1", b"9"])
def test_an_answer_of_another_length_than_it_says_is_not_begun(length: bytes) -> None:
    """uvicorn writes it, or its head, and then closes; here there is nothing to take for the whole."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": START, "status": 200, "headers": [(b"content-length", length)]})
        await send({"type": BODY, "body": b"ab"})

    assert exchanged(Connection, get(b"/"), application=application)[0] == b""


def test_a_cycle_has_what_is_read_and_set_here() -> None:
    """Its way out is our own."""
    _, connection = exchanged(HttpToolsProtocol, get(b"/"))

    wanted = {
        "chunked_encoding", "default_headers", "disconnected", "expected_content_length", "flow", "keep_alive",
        "message_event", "on_response", "response_complete", "response_started", "scope", "transport",
        "waiting_for_100_continue",
    }  # fmt: skip
    assert wanted <= vars(connection.cycle).keys(), "uvicorn's cycle lacks an attribute that app.cycle uses"
    assert list(inspect.signature(RequestResponseCycle.send).parameters) == ["self", "message"]
    assert httptools_impl.STATUS_LINE[200] == b"HTTP/1.1 200 OK\r\n"


def test_uvicorn_still_lacks_what_is_added_here() -> None:
    """Where it does not, something here can go."""
    assert "h2c" not in inspect.getsource(httptools_impl), "uvicorn knows h2c: is _without_offer still needed?"
    assert not exchanged(HttpToolsProtocol, get(b"/", CLOSE, host=b""))[0].startswith(b"HTTP/1.1 400"), (
        "uvicorn asks for a Host itself"
    )
    settings = inspect.signature(uvicorn.Config).parameters.keys()
    assert not {"timeout_headers", "timeout_request_header", "limit_header_size"} & settings, "uvicorn limits heads"
