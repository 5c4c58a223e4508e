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
from app.metrics import Metrics
from app.pool import Pool
from app.scheduler import TINY_BODY, Scheduler, patiently
from app.session import UNITS
from app.verbs import Task


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
            task = Task(graph, np.ones((rows, 2)), lambda where: float(where.thread[0]), light=True, unit=UNITS["cpu"])
            of_threads = Backlog(60)
            scheduler = Scheduler(Pool(threads, of_threads), cpus, Backlog(60), Metrics())
            for _ in range(others):
                of_threads.add(1.0)
            return await scheduler.answer(lambda body: task, b"", patiently)

    assert (asyncio.run(main()) == threading.get_ident()) is on_loop


def test_what_there_is_no_room_for_is_refused_before_it_is_read() -> None:
    """But for what is so small that it may be for the event loop, where there is room."""
    read: list[int] = []

    def understand(body: bytes) -> Task[int]:
        read.append(len(body))
        return Task(graph, np.ones((1, 2)), lambda where: len(where.thread), light=True, unit=UNITS["cpu"])

    async def main() -> None:
        with ThreadPoolExecutor(1) as threads:
            of_threads, of_loop = Backlog(1), Backlog(1)
            scheduler = Scheduler(Pool(threads, of_threads), 2, of_loop, Metrics())
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
