"""Where a question is computed."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pytest

from app.array import Array
from app.backlog import Backlog
from app.errors import Unavailable
from app.long import pause
from app.metrics import Metrics
from app.pool import Pool
from app.scheduler import TINY_BODY, Scheduler, patiently
from app.session import UNITS
from app.verbs import Effort, Task


class Where(NamedTuple):
    """The thread of each row."""

    thread: Array


def graph(x: Array) -> Where:
    return Where(np.full(len(x), threading.get_ident(), dtype=float))


@pytest.mark.parametrize(
    ("rows", "cpus", "others", "on_loop"),
    [
        (1, 2, 0, True),
        (10, 2, 0, False),
        (10, 1, 0, True),
        (10, 1, 1, False),
        (1, 1, 1, True),
        (1000, 1, 0, False),
    ],
)
def test_a_thread_computes_what_takes_long_where_that_gains_something(
    rows: int, cpus: int, others: int, on_loop: bool
) -> None:
    """A row is thought to cost 0.2 ms: 2 ms are for the loop only where a thread shares its CPU and nobody waits."""

    async def main() -> float:
        with ThreadPoolExecutor(1) as threads:
            task = Task(graph, np.ones((rows, 2)), lambda where: float(where.thread[0]), None, UNITS["cpu"])
            of_threads = Backlog(60)
            pool = Pool(threads, of_threads)
            scheduler = Scheduler(pool, pool, cpus, Backlog(60), Metrics())
            for _ in range(others):
                of_threads.add(1.0)
            return await scheduler.answer(lambda body: task, b"", patiently)

    assert (asyncio.run(main()) == threading.get_ident()) is on_loop


def test_what_there_is_no_room_for_is_refused_before_it_is_read() -> None:
    """But for what is so small that it may be for the event loop, where there is room."""
    read: list[int] = []

    def understand(body: bytes) -> Task[int]:
        read.append(len(body))
        return Task(graph, np.ones((1, 2)), lambda where: len(where.thread), None, UNITS["cpu"])

    async def main() -> None:
        with ThreadPoolExecutor(1) as threads:
            of_threads, of_loop = Backlog(1), Backlog(1)
            pool = Pool(threads, of_threads)
            scheduler = Scheduler(pool, pool, 2, of_loop, Metrics())
            for _ in range(2):
                of_threads.add(2)
            with pytest.raises(Unavailable):
                await scheduler.answer(understand, b" " * (TINY_BODY + 1), patiently)
            assert await scheduler.answer(understand, b" " * TINY_BODY, patiently) == 1
            for _ in range(2):
                of_loop.add(2)
            with pytest.raises(Unavailable):
                await scheduler.answer(understand, b"", patiently)

    asyncio.run(main())

    assert read == [TINY_BODY]


def test_who_asks_for_little_does_not_wait_for_what_takes_long() -> None:
    """The only thread is at something long: between two runs of a graph it answers the others, and goes on."""
    begun, answered = threading.Event(), threading.Event()

    def long_graph(x: Array) -> Where:
        begun.set()
        for _ in range(1000):
            pause()
            if answered.wait(0.01):
                break
        return graph(x)

    async def main() -> tuple[float, float]:
        with ThreadPoolExecutor(1) as threads:
            pool = Pool(threads, Backlog(60))
            scheduler = Scheduler(pool, Pool(threads, Backlog(60), pool), 2, Backlog(60), Metrics())
            long = Task(long_graph, np.ones((1, 2)), thread_of, Effort("explained", 1), UNITS["cpu"])
            little = Task(graph, np.ones((100, 2)), thread_of, None, UNITS["cpu"])
            waiting = asyncio.create_task(scheduler.answer(lambda body: long, b"", patiently))
            await asyncio.to_thread(begun.wait)
            first = await scheduler.answer(lambda body: little, b"", patiently)
            assert not waiting.done()
            answered.set()
            return first, await waiting

    first, second = asyncio.run(main())
    assert first == second != threading.get_ident()


def thread_of(where: Where) -> float:
    return float(where.thread[0])
