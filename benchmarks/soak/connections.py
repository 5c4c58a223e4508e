"""Connections that come to hold the server up: slow and silent ones, bodies without end, answers that nobody reads.

Thousands of sockets are one thread's work here: each is made, sends its bytes and is watched by one event loop.
"""

import asyncio
import json
import multiprocessing
import os
import socket
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.request import urlopen

from benchmarks.serving import bundle
from benchmarks.soak.finding import Finding
from benchmarks.soak.place import Place, Served

HEAD_SECONDS, BODY_SECONDS = 5.0, 10.0
"""The settings' defaults, and a second more for the machine."""
ALLOWANCE = 1.0
IDLE, DRIPPING, SLOW = 500, 500, 200
"""Sockets that send nothing, a byte of a head a second, and a byte of a body a second."""
RATE, BASELINE_SECONDS, SECONDS = 100, 10, 20
"""Good requests a second, for so long alone, and for so long beside the others."""
SETTLING_SECONDS = 8
NICE = 10
LARGE, FLOODS, CHUNKS = 100_000_000, 100, 1_000_000
WRITE_SECONDS, UNREAD, LARGE_ANSWERS, PATIENCE = 2, 50, 20, 60
"""For answers that nobody reads: the setting, clients, answers of 1.5 MB for each, seconds that they may be there."""
LARGE_ANSWER = "/docs/swagger-ui-bundle.js"
MEBIBYTE = 2**20

HEAD = b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@dataclass
class Kept:
    """What became of sockets of one kind: their answers' statuses, and after how many seconds each was closed."""

    statuses: list[bytes] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def finding(self, check: str, expected: int, within: float) -> Finding:
        """Whether all were told 408 in time."""
        told = self.statuses.count(b"408")
        longest = max(self.seconds, default=float("inf"))
        found = f"{told} of {expected} answered 408, the last after {longest:.1f} s"
        met = told == expected and longest <= within
        return Finding(check, found, f"all, within {within:g} s", met)


@dataclass
class Good:
    """Well-behaved requests: their latencies in seconds, and how many had no answer."""

    latencies: list[float] = field(default_factory=list)
    failed: int = 0

    def p99(self) -> float:
        """In milliseconds."""
        return 1000 * sorted(self.latencies)[int(0.99 * len(self.latencies))]


def connections(place: Place) -> Iterator[Finding]:
    """Slow clients, bodies without end, and clients that read nothing."""
    yield from slow_clients(place)
    yield from large_bodies(place)
    yield from unread_answers(place)


def slow_clients(place: Place) -> Iterator[Finding]:
    """Slow and silent sockets beside good traffic: they are told 408 and closed, and nobody else notices."""
    with place.serve() as served:
        alone, beside, kinds, before = _slow_clients(served)
        yield kinds["idle"].finding(f"{IDLE} idle sockets", IDLE, HEAD_SECONDS + ALLOWANCE)
        yield kinds["dripping"].finding(f"{DRIPPING} sockets dripping a head", DRIPPING, HEAD_SECONDS + ALLOWANCE)
        yield kinds["slow"].finding(f"{SLOW} sockets dripping a body", SLOW, BODY_SECONDS + ALLOWANCE)
        failed = alone.failed + beside.failed
        yield Finding(f"{RATE} requests/s beside them, failed", str(failed), "0", failed == 0)
        found = f"{beside.p99():.1f} ms, {alone.p99():.1f} ms alone"
        yield Finding("their p99", found, "at most twice", beside.p99() <= 2 * alone.p99())
        after = served.descriptors()
        yield Finding("descriptors afterwards", f"{after}, {before} before", "as before", after <= before)


def large_bodies(place: Place) -> Iterator[Finding]:
    """Bodies above the limit, announced and not, and a million chunks: refused, and not kept."""
    with place.serve() as served:
        for check, head, piece, pieces, wanted in _bodies():
            asyncio.run(_flood(served.port, head, piece, pieces))  # what the first of a kind costs is not growth
            before, started = served.resident_bytes(), time.monotonic()
            statuses = [asyncio.run(_flood(served.port, head, piece, pieces)) for _ in range(FLOODS)]
            each = (time.monotonic() - started) / FLOODS
            grown = (served.resident_bytes() - before) / MEBIBYTE
            told = ", ".join(sorted({status.decode() for status in statuses}))
            yield Finding(f"{FLOODS} × {check}", f"{told}, {each:.2f} s each", wanted, told == wanted)
            yield Finding("memory grown by it", f"{grown:.1f} MiB", "less than 1 MiB", grown < 1)


def unread_answers(place: Place) -> Iterator[Finding]:
    """Answers that nobody reads: their descriptors come back."""
    with place.serve(NELBO_WRITE_SECONDS=str(WRITE_SECONDS)) as served:
        with urlopen(f"http://127.0.0.1:{served.port}{LARGE_ANSWER}") as once:  # what the first costs is kept
            once.read()
        before = served.descriptors()
        clients = _unread(served.port)
        time.sleep(WRITE_SECONDS / 2)
        held, until = served.descriptors(), time.monotonic() + PATIENCE
        while served.descriptors() > before and time.monotonic() < until:
            time.sleep(0.5)
        after = served.descriptors()
        for client in clients:
            client.close()
        found = f"{after}, {held} meanwhile, {before} before"
        met = after <= before < held
        yield Finding(f"descriptors after {UNREAD} answers that nobody reads", found, "as before", met)


def _bodies() -> Iterator[tuple[str, bytes, bytes, int, str]]:
    chunk = b"10000\r\n" + bytes(2**16) + b"\r\n"
    size = LARGE // 2**16
    yield "100 MB, announced", HEAD + b"Content-Length: %d\r\n\r\n" % LARGE, bytes(2**16), size, "413"
    yield "100 MB in chunks", HEAD + b"Transfer-Encoding: chunked\r\n\r\n", chunk, size, "413"
    ones, thousand = b"1\r\n \r\n", 1000
    ended = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    yield f"{CHUNKS:,} chunks of a byte", ended, thousand * ones, CHUNKS // thousand, "400"


async def _flood(port: int, head: bytes, piece: bytes, pieces: int) -> bytes:
    """The status of the answer to a body that is sent until it is answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = asyncio.create_task(reader.readuntil(b"\r\n"))
    with suppress(OSError):
        writer.write(head)
        for _ in range(pieces):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
            if answer.done():
                break
        else:
            writer.write(b"0\r\n\r\n")
    try:
        return (await asyncio.wait_for(answer, 60)).split(b" ")[1]
    except (OSError, asyncio.IncompleteReadError, TimeoutError):
        return b"none"
    finally:
        writer.transport.abort()


def _slow_clients(served: Served) -> tuple[Good, Good, dict[str, Kept], int]:
    body = json.dumps({"rows": bundle.rows(1, seed=5).tolist()}).encode()
    spawn = multiprocessing.get_context("spawn")
    # Each in a process of its own, the slow ones' a nice one, so that good requests wait for the server and not for
    # more than a thousand sockets that share their core.
    with ProcessPoolExecutor(1, spawn) as good, ProcessPoolExecutor(1, spawn, os.nice, (NICE,)) as slow:
        alone = good.submit(good_traffic, served.port, body, BASELINE_SECONDS).result()
        time.sleep(SETTLING_SECONDS)
        before = served.descriptors()
        kinds = slow.submit(slow_traffic, served.port)
        beside = good.submit(good_traffic, served.port, body, SECONDS).result()
        told = kinds.result()
    time.sleep(SETTLING_SECONDS)
    return alone, beside, told, before


def slow_traffic(port: int) -> dict[str, Kept]:
    """Sockets of every slow kind at once, until each is closed."""
    return asyncio.run(_slow_traffic(port))


async def _slow_traffic(port: int) -> dict[str, Kept]:
    dripped = HEAD + b"Content-Length: 100\r\n\r\n"
    kinds = {"idle": Kept(), "dripping": Kept(), "slow": Kept()}
    await asyncio.gather(
        *(_client(port, b"", b"", kinds["idle"]) for _ in range(IDLE)),
        *(_client(port, b"", HEAD, kinds["dripping"]) for _ in range(DRIPPING)),
        *(_client(port, dripped, 100 * b" ", kinds["slow"]) for _ in range(SLOW)),
    )
    return kinds


async def _client(port: int, at_once: bytes, slowly: bytes, kept: Kept) -> None:
    """Send, then drip a byte a second, until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    started = time.monotonic()
    writer.write(at_once)
    dripping = asyncio.create_task(_drip(writer, slowly))
    try:
        said = await asyncio.wait_for(reader.read(), 60)
    except (OSError, TimeoutError):
        said = b""
    kept.seconds.append(time.monotonic() - started)
    kept.statuses.append(said[9:12])
    dripping.cancel()
    writer.transport.abort()


async def _drip(writer: asyncio.StreamWriter, slowly: bytes) -> None:
    for byte in slowly:
        writer.write(bytes([byte]))
        await asyncio.sleep(1)


def good_traffic(port: int, body: bytes, seconds: float) -> Good:
    """Requests that begin at their times whatever became of those before, each on a connection of its own."""
    good = Good()
    asyncio.run(_good_traffic(port, body, seconds, good))
    return good


async def _good_traffic(port: int, body: bytes, seconds: float, good: Good) -> None:
    begun = time.monotonic()
    asked = []
    for number in range(int(seconds * RATE)):
        await asyncio.sleep(max(0.0, begun + number / RATE - time.monotonic()))
        asked.append(asyncio.create_task(_ask(port, body, good)))
    await asyncio.gather(*asked)


async def _ask(port: int, body: bytes, good: Good) -> None:
    started = time.monotonic()
    try:
        async with _connected(port) as (reader, writer):
            writer.write(HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            said = await asyncio.wait_for(reader.read(), 30)
    except (OSError, TimeoutError):
        said = b""
    good.latencies.append(time.monotonic() - started)
    good.failed += not said.startswith(b"HTTP/1.1 200")


@asynccontextmanager
async def _connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


def _unread(port: int) -> list[socket.socket]:
    """Clients that have asked for more than any kernel keeps, and do not read it."""
    asked = LARGE_ANSWERS * (b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % LARGE_ANSWER.encode())
    clients = []
    for _ in range(UNREAD):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", port))
        client.sendall(asked)
        clients.append(client)
    return clients
