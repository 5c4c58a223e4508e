"""A client for many requests at once, on asyncio: it says of each what became of it, and never raises."""

import asyncio
import contextlib
import time
from collections import deque
from dataclasses import dataclass

from benchmarks.serving.open_loop import schedule
from benchmarks.serving.wire import Post

PATIENCE = 30
"""Seconds after which a request counts as lost."""
LOST = 0
"""The status of a request without a whole answer."""
CLOSED = -1
"""The status of a request for which nobody listens at the port."""


@dataclass(frozen=True)
class Seen:
    """What became of one request."""

    at: float
    """When it was to be sent, in seconds from the start."""
    waited: float
    """Seconds from that moment to the whole answer."""
    took: float
    """Seconds from when it was really sent."""
    status: int
    closing: bool = False
    """Whether the answer said that its connection closes."""


class Client:
    """Connections to one server that are kept while it keeps them."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: deque[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = deque()

    async def offer(self, post: Post, rate: float, seconds: float, seed: int) -> list[Seen]:
        """Requests at the arrivals of a Poisson process, whether or not earlier ones are answered."""
        request, started = post.message(), time.perf_counter()
        tasks = []
        for at in schedule(rate, seconds, seed).tolist():
            if (ahead := started + at - time.perf_counter()) > 0:
                await asyncio.sleep(ahead)
            tasks.append(asyncio.create_task(self.ask(request, at, started)))
        return list(await asyncio.gather(*tasks))

    async def ask(self, request: bytes, at: float, started: float) -> Seen:
        """One request, on a connection that is idle or on a new one."""
        sent = time.perf_counter()
        status, closing = LOST, False
        with contextlib.suppress(OSError, EOFError, ValueError, asyncio.TimeoutError):
            async with asyncio.timeout(PATIENCE):
                try:
                    status, closing = await self._exchange(request)
                except ConnectionRefusedError:
                    status = CLOSED
        ended = time.perf_counter()
        return Seen(at, ended - started - at, ended - sent, status, closing)

    def close(self) -> None:
        """Let go of every connection."""
        while self._idle:
            self._idle.pop()[1].close()

    async def _exchange(self, request: bytes) -> tuple[int, bool]:
        reader, writer = await self._connection()
        kept = False
        try:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.partition(b"\r\ncontent-length: ")[2].partition(b"\r\n")[0]))
            kept = b"\r\nconnection: close\r\n" not in head
        finally:
            if kept:
                self._idle.append((reader, writer))
            else:
                writer.close()
        return int(head.split(maxsplit=2)[1]), not kept

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """One that is idle and that the server has not closed, or a new one."""
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof():
                return reader, writer
            writer.close()
        return await asyncio.open_connection("127.0.0.1", self._port)
