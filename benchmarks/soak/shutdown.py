"""Servers that are told to stop, and workers that are killed, while clients ask."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from benchmarks.serving.bundle import rows
from benchmarks.serving.wire import ROWS
from benchmarks.soak.client import CLOSED, LOST, Client, Seen
from benchmarks.soak.finding import Finding
from benchmarks.soak.place import Place, Served

ROUNDS, CLIENTS, RUN_SECONDS = 20, 20, 1.0
DRAIN_SECONDS, SHUTDOWN_SECONDS = 1, 3
KILLS, KILL_EVERY, BACK_SECONDS = 10, 4.0, 3.0


@dataclass
class Count:
    """Requests of clients that keep asking."""

    asked: int = 0
    lost: int = 0
    others: set[int] = field(default_factory=set)

    def add(self, seen: Seen) -> None:
        """What became of one more."""
        self.asked += 1
        self.lost += seen.status == LOST
        self.others |= {seen.status} - {200, LOST}


def shutdown(place: Place) -> Iterator[Finding]:
    """SIGTERM under load, a client that never ends its request, and kill -9."""
    yield from _drains(place)
    yield _stuck(place)
    yield from _kills(place)


def _drains(place: Place) -> Iterator[Finding]:
    seconds: list[float] = []
    for workers in (1, 2):
        count = Count()
        for _ in range(ROUNDS):
            with place.serve(NELBO_DRAIN_SECONDS=str(DRAIN_SECONDS), NELBO_WORKERS=str(workers)) as served:
                _await_workers(served, workers)
                asyncio.run(_ask_until_the_end(served, count))
                started = time.monotonic()
                served.process.wait(60)
                seconds.append(DRAIN_SECONDS + time.monotonic() - started)
        wrong = count.lost + len(count.others)
        what = f"{ROUNDS} SIGTERMs under load, workers: {workers}; failed requests"
        yield Finding(what, f"{wrong} of {count.asked}", "0", not wrong)
    most = DRAIN_SECONDS + 2
    yield Finding("SIGTERM: longest until the end", f"{max(seconds):.1f} s", f"≤ {most} s", max(seconds) <= most)


async def _ask_until_the_end(served: Served, count: Count) -> None:
    """Half of the clients ask until an answer says that its connection closes, half until nobody listens."""
    is_over = [lambda seen: seen.closing or seen.status == LOST, lambda _: False]
    clients = [asyncio.create_task(_keep_asking(served.port, count, is_over[i % 2])) for i in range(CLIENTS)]
    await asyncio.sleep(RUN_SECONDS)
    served.process.send_signal(signal.SIGTERM)
    await asyncio.gather(*clients)


def _await_workers(served: Served, count: int) -> None:
    """Until so many have opened the models; the port is there before."""
    deadline = time.monotonic() + 60
    while served.log.read_text().count(" serving reference@") < count:
        assert time.monotonic() < deadline, served.log.read_text()
        time.sleep(0.1)


def _stuck(place: Place) -> Finding:
    head = b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
    settings = {"NELBO_DRAIN_SECONDS": "0", "NELBO_SHUTDOWN_SECONDS": str(SHUTDOWN_SECONDS)}
    with place.serve(**settings) as served, socket.create_connection(("127.0.0.1", served.port)) as stuck:
        stuck.sendall(head)
        time.sleep(0.5)
        seconds = served.stop()
    most = SHUTDOWN_SECONDS + 2
    return Finding("a client that never ends its request: end", f"{seconds:.1f} s", f"≤ {most} s", seconds <= most)


def _kills(place: Place) -> Iterator[Finding]:
    count = Count()
    with place.serve(NELBO_WORKERS="2") as served:
        _await_workers(served, 2)
        slowest = asyncio.run(_kill(served, count))
    most = KILLS * CLIENTS
    found = f"{count.lost} of {count.asked}, others than 200: {sorted(count.others) or 'none'}"
    yield Finding(f"{KILLS} workers killed: lost requests", found, f"≤ {most}, in flight", count.lost <= most)
    yield Finding(
        "until two worker processes are there again",
        f"{slowest:.1f} s",
        f"≤ {BACK_SECONDS:g} s",
        slowest <= BACK_SECONDS,
    )


async def _kill(served: Served, count: Count) -> float:
    """Kill a worker now and then while clients ask; the longest until there were two again."""
    over, slowest = asyncio.Event(), 0.0
    clients = [asyncio.create_task(_keep_asking(served.port, count, lambda _: over.is_set())) for _ in range(CLIENTS)]
    for _ in range(KILLS):
        await asyncio.sleep(KILL_EVERY)
        victim = served.workers()[0]
        os.kill(victim, signal.SIGKILL)
        started = time.monotonic()
        while len(set(served.workers()) - {victim}) < 2 and time.monotonic() < started + 30:
            await asyncio.sleep(0.05)
        slowest = max(slowest, time.monotonic() - started)
    over.set()
    await asyncio.gather(*clients)
    return slowest


async def _keep_asking(port: int, count: Count, is_over: Callable[[Seen], bool]) -> None:
    """Ask, on one connection while it is kept, until an answer is the last or nobody listens."""
    client, request = Client(port), ROWS.put("/score", rows(16, seed=7)).message()
    while (seen := await client.ask(request, 0, 0)).status != CLOSED:
        count.add(seen)
        if is_over(seen):
            break
    client.close()
