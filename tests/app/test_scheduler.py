"""Where a question is computed."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pytest

from app.array import Array
from app.pool import Pool
from app.scheduler import Scheduler, patiently
from app.verbs import Task

QUEUE_SECONDS = 60.0


class Where(NamedTuple):
    """The thread of each row."""

    thread: Array


def graph(x: Array) -> Where:
    return Where(np.full(len(x), threading.get_ident(), dtype=float))


@pytest.mark.parametrize(("rows", "cpus", "on_loop"), [(1, 2, True), (10, 2, False), (10, 1, True), (1000, 1, False)])
def test_a_thread_computes_what_takes_long_where_there_is_a_cpu_for_it(rows: int, cpus: int, on_loop: bool) -> None:
    """A row is thought to cost 0.2 ms: 2 ms are for the loop only where a thread would have to share its CPU."""

    async def main() -> float:
        with ThreadPoolExecutor(1) as threads:
            task = Task(graph, np.ones((rows, 2)), lambda where: float(where.thread[0]), light=True)
            scheduler = Scheduler(Pool(threads, 1, QUEUE_SECONDS), cpus, QUEUE_SECONDS)
            return await scheduler.answer(lambda body: task, b"", patiently)

    assert (asyncio.run(main()) == threading.get_ident()) is on_loop
