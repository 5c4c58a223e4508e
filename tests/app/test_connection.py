"""What may be sent on a connection and for how long: hostile bytes, slow clients, and those that go away."""

import asyncio
import gc
import json
import logging
import re
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from queue import SimpleQueue

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from app.connection import MOST_WAITING, Connection
from app.errors import RequestError
from app.head import MOST_BYTES, MOST_HEADERS
from app.main import create_app
from app.reception import Reception
from app.refusals import answer_refused
from app.settings import Settings
from tests.app.wire import CHUNKED, CLOSE, HTTP2, ROW, chunks, connect, exchange, get, post, read, serving, statuses

LIVE = b"/health/live"

HTTP2_CLOSE = (b"Connection: Upgrade, HTTP2-Settings, close", *HTTP2)
MODELS = Path(__file__).parents[2] / "models"
LARGE = 64 * 2**20


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The bundled model, with deadlines that a test can wait for."""
    settings = Settings(models=MODELS, device="cpu", head_seconds=0.5, body_seconds=0.5, idle_seconds=1)
    with serving(create_app(settings)) as port:
        yield port


# Each with the statuses of its answers; the connection is closed behind the last of them.
CORPUS: dict[str, tuple[bytes, list[int]]] = {
    "a request": (post(CLOSE), [200]),
    "empty lines before it": (b"\r\n\r\n" + post(CLOSE), [200]),
    "an absolute target": (get(b"http://x/health/live", CLOSE), [200]),
    "an absolute target without a path": (get(b"http://x", CLOSE), [200]),
    "an absolute target with a query alone": (get(b"HTTP://x?a=/", CLOSE), [200]),
    "a target that is no address": (get(b"x", CLOSE), [400]),
    "a path that is percent-encoded": (get(b"/%68ealth/live", CLOSE), [200]),
    "a path of percent-encoded nonsense": (get(b"/%ff%00%2e%2e/%zz", CLOSE), [404]),
    "a path above the root": (get(b"/../../etc/passwd", CLOSE), [404]),
    "a path with bytes beyond ASCII": (get(b"/\xff", CLOSE), [400]),
    "a path that is too long": (get(b"/" + MOST_BYTES * b"a", CLOSE), [431]),
    "a path that is long": (get(b"/" + 8000 * b"a", CLOSE), [404]),
    "no path": (b"GET HTTP/1.1\r\nHost: x\r\n\r\n", [400]),
    "OPTIONS *": (get(b"*", CLOSE, method=b"OPTIONS"), [404]),
    "OPTIONS": (get(b"/score", CLOSE, method=b"OPTIONS"), [405]),
    "HEAD": (get(b"/score", CLOSE, method=b"HEAD"), [405]),
    "TRACE": (get(b"/score", CLOSE, method=b"TRACE"), [405]),
    "CONNECT of a path": (get(b"/score", method=b"CONNECT") + get(LIVE), [405]),
    "CONNECT of a host": (get(b"x:443", method=b"CONNECT"), [400]),
    "a method in lower case": (get(LIVE, method=b"get"), [400]),
    "a method of one's own": (get(LIVE, method=b"FETCH"), [400]),
    "no Host": (get(LIVE, host=b""), [400]),
    "an empty Host": (get(LIVE, CLOSE, host=b"Host:"), [200]),
    "two Hosts": (get(LIVE, b"Host: y"), [400]),
    "a Host and its port": (get(LIVE, CLOSE, host=b"Host: [::1%25eth0]:8000"), [200]),
    "a Host that is none": (get(LIVE, host=b"Host: x/y z"), [400]),
    "HTTP/1.0 without a Host": (get(LIVE, host=b"", version=b"1.0"), [200]),
    "HTTP/1.0 with two Hosts": (get(LIVE, b"Host: y", version=b"1.0"), [200]),
    "HTTP/1.0 that would be kept alive": (get(LIVE, b"Connection: keep-alive", version=b"1.0"), [200]),
    "HTTP/1.0 that expects 100": (get(LIVE, b"Expect: 100-continue", version=b"1.0"), [200]),
    "HTTP/0.9": (b"GET /\r\n\r\n", [400]),
    "HTTP/0.9 with a head": (get(LIVE, version=b"0.9"), [400]),
    "HTTP/1.2": (get(LIVE, version=b"1.2"), [400]),
    "HTTP/2.0": (get(LIVE, version=b"2.0"), [400]),
    "HTTP/2 by prior knowledge": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400]),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100), [400]),
    "SSH": (b"SSH-2.0-OpenSSH_9.9\r\n", [400]),
    "NULs": (bytes(1000), [400]),
    "JSON": (ROW, [400]),
    "bare line feeds": (get(LIVE).replace(b"\r\n", b"\n"), [400]),
    "bare carriage returns": (get(LIVE).replace(b"\r\n", b"\r"), [400]),
    "a space before the colon": (get(LIVE, host=b"Host : x"), [400]),
    "a header without a colon": (get(LIVE, b"nothing"), [400]),
    "a header without a name": (get(LIVE, b": x"), [400]),
    "a header that is folded": (get(LIVE, b"A: b\r\n c"), [400]),
    "a NUL in a header": (get(LIVE, b"A: b\0c"), [400]),
    "a NUL in a header's name": (get(LIVE, b"A\0: b"), [400]),
    "a line feed in a header": (get(LIVE, b"A: b\nC: d"), [400]),
    "a header beyond ASCII": (get(LIVE, CLOSE, b"A: \xff\xfe"), [200]),
    "as many headers as may be": (get(LIVE, CLOSE, *(MOST_HEADERS - 2) * [b"A: b"]), [200]),
    "one more": (get(LIVE, CLOSE, *(MOST_HEADERS - 1) * [b"A: b"]), [431]),
    "10,000 headers": (get(LIVE, *10_000 * [b"A: b"]), [431]),
    "a head as large as may be": (get(LIVE, CLOSE, b"A: " + (MOST_BYTES - 100) * b"b"), [200]),
    "a larger head": (get(LIVE, CLOSE, b"A: " + MOST_BYTES * b"b"), [431]),
    "a larger head behind a request": (get(LIVE) + get(LIVE, b"A: " + MOST_BYTES * b"b"), [200, 431]),
    "a head of 2 MB": (get(LIVE, b"A: " + 2_000_000 * b"b"), [431]),
    "a header's name of 2 MB": (get(LIVE, 2_000_000 * b"b"), [431]),
    "a length and chunks": (post(CHUNKED, b"Content-Length: 5", body=chunks(ROW)), [400]),
    "two lengths": (post(b"Content-Length: 5", b"Content-Length: %d" % len(ROW)), [400]),
    "one length twice": (post(*2 * [b"Content-Length: %d" % len(ROW)]), [400]),
    "a list of lengths": (post(b"Content-Length: %d, %d" % (len(ROW), len(ROW))), [400]),
    "a length below 0": (post(b"Content-Length: -1"), [400]),
    "a length with a sign": (post(b"Content-Length: +%d" % len(ROW)), [400]),
    "a length in hexadecimal": (post(b"Content-Length: 0x%x" % len(ROW)), [400]),
    "a length beyond 64 bits": (post(b"Content-Length: 18446744073709551644"), [400]),
    "a length of 63 bits": (post(b"Content-Length: 9223372036854775807"), [413]),
    "an unknown transfer coding": (post(b"Transfer-Encoding: xchunked"), [400]),
    "chunked, in capitals": (post(b"Transfer-Encoding: Chunked", CLOSE, body=chunks(ROW)), [200]),
    "another coding below chunked": (post(b"Transfer-Encoding: gzip, chunked", body=chunks(ROW)), [400]),
    "another coding in a header of its own": (post(b"Transfer-Encoding: gzip", CHUNKED, body=chunks(ROW)), [400]),
    "chunked, but not at last": (post(b"Transfer-Encoding: chunked, gzip"), [400]),
    "chunks": (post(CLOSE, CHUNKED, body=chunks(ROW[:5], ROW[5:])), [200]),
    "chunks of one byte": (post(CLOSE, CHUNKED, body=chunks(*(bytes([byte]) for byte in ROW))), [200]),
    "chunks with extensions": (post(CLOSE, CHUNKED, body=chunks(ROW, extension=b';a="b";c')), [200]),
    "an extension without end": (post(CHUNKED, body=b"1;" + 1_000_000 * b"a"), [431]),
    "an extension with a line feed": (post(CHUNKED, body=chunks(ROW, extension=b";a\nb")), [400]),
    "trailers": (post(CLOSE, CHUNKED, body=chunks(ROW, trailers=b"A: b\r\nHost: y\r\n")), [200]),
    "100,000 trailers": (post(CHUNKED, body=chunks(ROW, trailers=100_000 * b"a:b\r\n")), [431]),
    "a trailer without end": (post(CHUNKED, body=b"0\r\na: " + 1_000_000 * b"b"), [431]),
    "a chunk's length that is none": (post(CHUNKED, body=b"zz\r\n"), [400]),
    "a chunk's length below 0": (post(CHUNKED, body=b"-1\r\n"), [400]),
    "a chunk's length beyond 64 bits": (post(CHUNKED, body=b"1ffffffffffffffff\r\n"), [400]),
    "a chunk that is longer than it says": (post(CHUNKED, body=b"1\r\nab\r\n0\r\n\r\n"), [400]),
    "an offer of HTTP/2": (post(*HTTP2_CLOSE), [200]),
    "an offer of HTTP/2 before chunks": (post(CHUNKED, *HTTP2_CLOSE, body=chunks(ROW)), [200]),
    "an offer of WebSocket": (get(LIVE, b"Connection: Upgrade, close", b"Upgrade: websocket"), [200]),
    "an offer of anything": (post(b"Connection: close, upgrade", b"Upgrade: anything/1"), [200]),
    "an offer that is not an option": (post(CLOSE, b"Upgrade: h2c"), [200]),
    "a request behind an offer": (post(b"Connection: Upgrade", *HTTP2) + get(LIVE, CLOSE), [200, 200]),
    "many offers": (20 * post(b"Connection: Upgrade", *HTTP2) + get(LIVE, CLOSE), 21 * [200]),
    "requests together": (3 * post() + get(b"/nothing") + post(CLOSE), [200, 200, 200, 404, 200]),
    "garbage behind a request": (post() + b"garbage\r\n\r\n", [200, 400]),
    "garbage in the body behind a request": (post() + post(CHUNKED, body=b"zz\r\n"), [200, 400]),
    "a request behind the last": (get(LIVE, CLOSE) + get(LIVE), [200]),
    "more requests together than may wait": (2 * MOST_WAITING * get(LIVE), (1 + MOST_WAITING) * [200]),
    "nothing": (b"", [408]),
    "empty lines": (b"\r\n\r\n", [408]),
    "half of a head": (b"POST /score HTTP/1.1\r\nHos", [408]),
    "half of a head behind a request": (post() + b"POST", [200, 408]),
    "half of a body": (post()[:-1], [408]),
    "half of a body behind a request": (post() + post()[:-1], [200, 408]),
}
BODYLESS = {"HEAD"}


@pytest.mark.parametrize("name", CORPUS)
def test_what_is_sent_has_its_answers_and_an_end(port: int, name: str) -> None:
    """In order, refusals as problems with an id, and none of them a fault of the service; it lives on."""
    sent, expected = CORPUS[name]

    said = exchange(port, sent)

    assert statuses(said) == expected
    if expected[-1] >= 400 and name not in BODYLESS:
        head, _, body = said.rpartition(b"\r\n\r\n")
        problem = json.loads(body)
        assert b"content-type: application/problem+json" in head
        assert problem["status"] == expected[-1]
        assert f"x-request-id: {problem['request_id']}".encode() in head
        assert len(body) < 4096
    assert statuses(exchange(port, get(LIVE, CLOSE))) == [200]


@pytest.mark.parametrize(
    "path", [b"/score", b"/sample", b"/models/gas-turbine/encode", b"/v2/models/gas-turbine/infer", b"/", b"/metrics"]
)
def test_no_method_makes_the_service_fail(port: int, path: bytes) -> None:
    """Whatever stands before an address is answered, each on one connection with the next."""
    methods = [b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"PROPFIND"]
    requests = [get(path, b"Content-Length: 0", method=method) for method in methods]

    found = statuses(exchange(port, *requests, get(LIVE, CLOSE)))

    assert len(found) == 9
    assert max(found) < 500


@examples(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sent=st.sampled_from([post(CLOSE), post(CHUNKED, body=chunks(ROW)), get(LIVE, *HTTP2_CLOSE), 2 * post()]),
    edits=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 3), st.binary(max_size=6)), min_size=1, max_size=4),
)
def test_no_mutation_of_a_request_makes_the_service_fail(
    port: int, sent: bytes, edits: list[tuple[float, int, bytes]]
) -> None:
    """Bytes replaced, inserted and left out anywhere: answered, refused or closed."""
    for place, left_out, inserted in edits:
        at = int(place * len(sent))
        sent = sent[:at] + inserted + sent[at + left_out :]

    found = statuses(exchange(port, sent, half_closed=True))

    assert all(status < 500 for status in found)


def test_a_stream_that_expects_to_be_told_to_go_on_is(port: int) -> None:
    """Its answer begins before its body, which a client sends then only when it hears 100."""
    stream = (b"Content-Type: application/x-ndjson", CHUNKED, b"Expect: 100-continue", CLOSE)
    with connect(port) as connection:
        connection.sendall(get(b"/score", *stream, method=b"POST"))
        first = connection.recv(65536)
        connection.sendall(chunks(ROW))
        rest = read(connection)

    assert statuses(first + rest) == [100, 200]
    assert first.startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert rest.endswith(b'{"rows":1,"errors":0}\n\r\n0\r\n\r\n')


def test_a_stream_in_http_1_0_ends_with_its_connection(port: int) -> None:
    """Which knows no chunks (RFC 9112, 6.1)."""
    stream = (b"Content-Type: application/x-ndjson", b"Content-Length: %d" % len(ROW))
    said = exchange(port, get(b"/score", *stream, method=b"POST", version=b"1.0") + ROW)
    head, _, body = said.partition(b"\r\n\r\n")

    assert b"transfer-encoding" not in head
    assert b"connection: close" in head
    assert json.loads(body.splitlines()[0])["n_observed"] == [11]
    assert body.splitlines()[1:] == [b'{"rows":1,"errors":0}']


def test_a_connection_is_kept_for_a_client_that_comes_back(port: int) -> None:
    """Between two requests nobody waits for a head, and who does not come back is not waited for for ever."""
    with connect(port) as connection:
        for pause in (0.7, 0.7, 0.0):
            connection.sendall(get(LIVE))
            assert statuses(connection.recv(65536)) == [200]
            time.sleep(pause)

        since = time.monotonic()
        assert connection.recv(65536) == b""
        assert 0.8 < time.monotonic() - since < 3


def test_a_refusal_is_told_as_others_are(port: int, caplog: pytest.LogCaptureFixture) -> None:
    """With its code in the log, counted, and with the id that the head brings where it is there."""
    caplog.set_level(logging.INFO, logger="nelbo.access")
    before = _refused(port)

    late = exchange(port, b"")
    hostless = exchange(port, get(LIVE, b"X-Request-ID: hostless", host=b""))

    assert b'"code":"request-timeout"' in late
    assert b'"code":"missing-host","request_id":"hostless"' in hostless
    assert _refused(port) == before + 1
    lines = [record.getMessage() for record in caplog.records if record.name == "nelbo.access"]
    assert any(re.search(r"other unmatched 408 request-timeout \d", line) for line in lines)
    assert any(line.startswith("request_id=hostless GET unmatched 400 missing-host") for line in lines)


def _refused(port: int) -> float:
    told = exchange(port, get(b"/metrics", CLOSE)).decode()
    found = re.search(
        r'^nelbo_requests_total\{method="other",route="unmatched",status="408"\} (\S+)$', told, re.MULTILINE
    )
    return float(found[1]) if found else 0


@pytest.mark.parametrize("verb", [b"/score", b"/encode", b"/reconstruct", b"/sample"])
def test_an_offer_to_upgrade_costs_no_verb_its_body(port: int, verb: bytes) -> None:
    """It is answered as if nothing had been offered, also when the body comes later."""
    body = b'{"count": 1, "seed": 1}' if verb == b"/sample" else ROW
    plain = exchange(port, post(CLOSE, path=verb, body=body))
    offered = post(*HTTP2_CLOSE, path=verb, body=body)

    for said in (exchange(port, offered), exchange(port, offered[: -len(body)], body)):
        assert statuses(said) == [200]
        assert said.rpartition(b"\r\n\r\n")[2] == plain.rpartition(b"\r\n\r\n")[2]


def test_a_body_behind_an_offer_is_no_request(port: int) -> None:
    """What it holds is not answered, although uvicorn's parser takes it for the next request."""
    said = exchange(port, post(b"Connection: Upgrade", *HTTP2, body=get(LIVE)), get(LIVE, CLOSE))

    assert statuses(said) == [400, 200]


def test_a_client_that_is_refused_while_it_sends_reads_why(port: int) -> None:
    """All that it sends is taken from it, though not looked at; the answer is not lost to a reset."""
    with connect(port) as connection:
        connection.sendall(post(b"Content-Length: 100000000", body=4_000_000 * b" "))
        said = read(connection)

    assert statuses(said) == [413]


@pytest.mark.parametrize("sent", [post(), 3 * post(), post(*HTTP2, b"Connection: Upgrade"), get(LIVE, version=b"1.0")])
def test_a_client_that_sends_no_more_is_answered(port: int, sent: bytes) -> None:
    """Shutting down its side says that there is no further request, not that it does not want to read."""
    found = statuses(exchange(port, sent, half_closed=True))

    assert found == [200] * sent.count(b"Host: x")


def test_a_compressed_body_is_refused_at_a_verb_and_bounded_under_v2(port: int) -> None:
    """415 before anything is undone."""
    said = exchange(port, post(CLOSE, b"Content-Encoding: gzip"))

    assert statuses(said) == [415]
    assert b'"code":"unsupported-coding"' in said


@pytest.mark.parametrize("sent", [post(CLOSE, body=1_000_000 * b" "), post(CLOSE, body=b"{}"), b"garbage\r\n"])
def test_nothing_of_what_was_refused_stays(port: int, sent: bytes) -> None:
    """Neither connections nor errors, whose frames hold bodies, wait for the collector, which seldom comes."""
    gc.collect()
    gc.disable()
    try:
        exchange(port, sent, half_closed=True)
        exchange(port, get(LIVE, CLOSE))
        kept = [kept for kept in gc.get_objects() if isinstance(kept, RequestError | Connection)]
    finally:
        gc.enable()

    assert sum(isinstance(kept, RequestError) for kept in kept) == 0
    assert sum(isinstance(kept, Connection) for kept in kept) <= 1


@pytest.fixture(scope="module")
def gone() -> SimpleQueue[float]:
    """When clients of `patient` were seen to be gone."""
    return SimpleQueue()


@pytest.fixture(scope="module")
def patient(gone: SimpleQueue[float]) -> Iterator[int]:
    """An application that waits for its client to go away, or says very much."""

    async def wait(request: Request) -> PlainTextResponse:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        gone.put(time.monotonic())
        return PlainTextResponse("")

    async def slow(request: Request) -> PlainTextResponse:
        await asyncio.sleep(0.3)
        return PlainTextResponse("here it is")

    class Much:
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            with suppress(OSError):  # so it hears that nobody takes any more
                for _ in range(LARGE // 2**16):
                    await send({"type": "http.response.body", "body": bytes(2**16), "more_body": True})
                await send({"type": "http.response.body", "body": b""})
            gone.put(time.monotonic())

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, Reception]]:
        yield {"reception": Reception(Settings(write_seconds=0.5), answer_refused)}

    routes = [Route("/wait", wait), Route("/slow", slow), Route("/much", Much())]
    with serving(Starlette(routes=routes, lifespan=lifespan)) as port:
        yield port


def test_a_client_that_sends_no_more_is_answered_however_long_it_takes(patient: int) -> None:
    """It may be told that its answer is under way; that is how a client that is gone is found out."""
    said = exchange(patient, get(b"/slow"), half_closed=True)

    assert statuses(said) in ([200], [102, 200])
    assert said.endswith(b"here it is")


def test_nobody_works_for_a_client_that_is_gone(patient: int, gone: SimpleQueue[float]) -> None:
    """The application learns of it while the answer is still to come."""
    with connect(patient) as connection:
        connection.sendall(get(b"/wait"))

    assert gone.get(timeout=10)


def test_a_client_that_reads_nothing_is_given_up(patient: int, gone: SimpleQueue[float]) -> None:
    """Its answer does not stay in memory, and what writes it ends."""
    with connect(patient) as connection:
        connection.sendall(get(b"/much"))

        assert gone.get(timeout=10)
        assert _read_to_the_end(connection) < LARGE


def _read_to_the_end(connection: socket.socket) -> int:
    """Bytes that are still to be read."""
    said = 0
    with suppress(ConnectionResetError):
        while piece := connection.recv(2**20):
            said += len(piece)
    return said


def test_a_client_that_reads_slowly_has_its_answer(patient: int, gone: SimpleQueue[float]) -> None:
    """Longer than the deadline, which is for those who take nothing."""
    with connect(patient) as connection:
        connection.sendall(get(b"/much", CLOSE))
        said = 0
        for _ in range(16):
            said += len(connection.recv(2**16))
            time.sleep(0.1)
        said += _read_to_the_end(connection)

    assert said > LARGE
    assert gone.get(timeout=10)
