"""An open loop: requests come when they come, whether or not earlier ones are answered.

A closed loop asks less while a server is slow, and so hides what waits. Here arrivals are a Poisson process, and a
latency runs from the moment at which a request was to be sent.
"""

import selectors
import socket
import time
from collections import deque
from dataclasses import dataclass, field

import httptools
import numpy as np

from app.array import Array
from benchmarks.serving.server import NotServed
from benchmarks.serving.wire import Post

CONNECTIONS = 128
"""Requests that may be under way; more wait here, their clocks running."""
PATIENCE = 30
"""Seconds after the last arrival."""
RECEIVED = 2**16
POLL = 20e-6
"""Seconds that looking for answers takes at most; what is longer went to other programs, and is no time to spare."""


@dataclass(frozen=True)
class Open:
    """What came of a schedule."""

    offered: float
    """Requests a second."""
    p50: float
    p99: float
    """Seconds from the intended moment to the whole answer."""
    failed: int
    """Answers that were not 2xx."""
    busy: float
    """The share of the time that this generator was at work; near 1 it is what limits."""


@dataclass
class Connection:
    """A connection that is kept, with one request under way or none."""

    socket: socket.socket
    intended: float = 0.0
    answered: bool = False
    parser: httptools.HttpResponseParser = field(init=False)

    def __post_init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        self.answered = True

    def send(self, message: bytes, intended: float) -> None:
        """Begin a request; a socket takes one of 1 row whole."""
        self.intended, self.answered = intended, False
        self.socket.sendall(message)

    def receive(self) -> bool:
        """Read what there is; whether that was the end of the answer."""
        data = self.socket.recv(RECEIVED)
        if not data:
            raise NotServed("closed a connection that was to be kept")
        self.parser.feed_data(data)
        return self.answered


@dataclass
class Seen:
    """Each request's latency, how many failed, and the time in which there was nothing to do; in seconds."""

    latency: list[float] = field(default_factory=list)
    failed: int = 0
    idle: float = 0.0
    whole: float = 0.0

    def note(self, answered: Connection) -> None:
        """One request has its answer."""
        self.latency.append(time.perf_counter() - answered.intended)
        self.failed += answered.parser.get_status_code() // 100 != 2


def schedule(rate: float, seconds: float, seed: int) -> Array:
    """The arrivals of a Poisson process of `rate` a second, in seconds from its start, in order."""
    generator = np.random.default_rng(seed)
    count = max(1, generator.poisson(rate * seconds))
    return np.sort(generator.uniform(0, seconds, count))


def open_loop(port: int, post: Post, rate: float, seconds: float, seed: int) -> Open:
    """Ask the same at the arrivals of a schedule, and wait for every answer.

    Raises:
        NotServed: the server closes connections, or does not come to an end.
    """
    arrivals = schedule(rate, seconds, seed)
    connections = [Connection(socket.create_connection(("127.0.0.1", port))) for _ in range(CONNECTIONS)]
    try:
        seen = _drive(connections, post.message(), arrivals)
    finally:
        for connection in connections:
            connection.socket.close()
    p50, p99 = np.percentile(seen.latency, [50, 99])
    return Open(len(arrivals) / seconds, float(p50), float(p99), seen.failed, 1 - seen.idle / seen.whole)


def _drive(connections: list[Connection], message: bytes, arrivals: Array) -> Seen:
    """The loop; it polls and never sleeps, since timers are coarser than a fast server's answers."""
    seen, free = Seen(), deque(connections)
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            selector.register(connection.socket, selectors.EVENT_READ, connection)
        start = now = time.perf_counter()
        spare = False
        waiting = deque((start + arrivals).tolist())
        while len(seen.latency) < len(arrivals):
            before, now = now, time.perf_counter()
            seen.idle += min(now - before, POLL) if spare else 0.0
            ready = selector.select(0)
            spare = not ready and not (free and waiting and waiting[0] <= now)
            while free and waiting and waiting[0] <= now:
                free.popleft().send(message, waiting.popleft())
            for key, _ in ready:
                if key.data.receive():
                    seen.note(key.data)
                    free.append(key.data)
            if now > start + arrivals[-1] + PATIENCE:
                raise NotServed(f"{len(arrivals) - len(seen.latency)} requests had no answer within {PATIENCE} s")
        seen.whole = time.perf_counter() - start
    return seen
