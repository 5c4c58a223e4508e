"""Servers that are told to stop, and workers that are killed, while clients ask."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from benchmarks.serving.bundle import rows
from benchmarks.serving.wire import ROWS
from benchmarks.soak.client import LOST, Client
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


def shutdown(place: Place) -> Iterator[Finding]:
    """SIGTERM under load, a client that never ends its request, and kill -9."""
    yield from _drains(place)
    yield _stuck(place)
    yield from _kills(place)


def _drains(place: Place) -> Iterator[Finding]:
    count, seconds = Count(), []
    for _ in range(ROUNDS):
        with place.serve(NELBO_DRAIN_SECONDS=str(DRAIN_SECONDS)) as served:
            asyncio.run(_ask_until_told(served, count))
            started = time.monotonic()
            served.process.wait(60)
            seconds.append(DRAIN_SECONDS + time.monotonic() - started)
    wrong = count.lost + len(count.others)
    yield Finding(f"{ROUNDS} SIGTERMs under load: failed requests", f"{wrong} of {count.asked}", "0", not wrong)
    most = DRAIN_SECONDS + 2
    yield Finding("SIGTERM: longest until the end", f"{max(seconds):.1f} s", f"≤ {most} s", max(seconds) <= most)


async def _ask_until_told(served: Served, count: Count) -> None:
    """Clients that ask on connections of their own until an answer says that it closes."""
    clients = [asyncio.create_task(_keep_asking(served.port, count)) for _ in range(CLIENTS)]
    await asyncio.sleep(RUN_SECONDS)
    served.process.send_signal(signal.SIGTERM)
    await asyncio.gather(*clients)


async def _keep_asking(port: int, count: Count) -> None:
    client, request, closing = Client(port), ROWS.put("/score", rows(16, seed=7)).message(), False
    while not closing:
        seen = await client.ask(request, 0, 0)
        count.asked += 1
        count.lost += seen.status == LOST
        count.others |= {seen.status} - {200, LOST}
        closing = seen.closing or seen.status == LOST
    client.close()


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
        deadline = time.monotonic() + 30
        while len(served.workers()) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
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
    clients = [asyncio.create_task(_ask_until(served.port, count, over)) for _ in range(CLIENTS)]
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


async def _ask_until(port: int, count: Count, over: asyncio.Event) -> None:
    while not over.is_set():
        await _some(Client(port), count, over)


async def _some(client: Client, count: Count, over: asyncio.Event) -> None:
    """Ask on one connection until it is lost."""
    request = ROWS.put("/score", rows(16, seed=7)).message()
    while not over.is_set():
        seen = await client.ask(request, 0, 0)
        count.asked += 1
        count.lost += seen.status == LOST
        count.others |= {seen.status} - {200, LOST}
        if seen.status == LOST:
            break
    client.close()
