"""Where a request is computed: small work on the event loop, together with that of others; the rest in threads."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar

from app.lane import TURN_SECONDS, Lane
from app.verbs import Graph, Task

SMALL_BODY = 2**16
"""Bytes that are read on the event loop at most; reading more would hold it up."""

QUESTION_SECONDS = 0.001
"""A question that takes longer than this goes to a thread, where there is a CPU for one."""

Result = TypeVar("Result")


async def patiently(work: Coroutine[Any, Any, Result]) -> Result:
    """To the end, whatever happens meanwhile."""
    return await work


class Scheduler:
    """The lanes to the graphs that were asked, and the threads for everything that is not small."""

    def __init__(self, threads: Executor, cpus: int) -> None:
        """Compute in `threads` beside the event loop; of one CPU each would only take its turn."""
        self._threads = threads
        self._question_seconds = QUESTION_SECONDS if cpus > 1 else TURN_SECONDS
        self._lanes: dict[Graph, Lane[Any]] = {}

    async def answer(
        self,
        understand: Callable[[bytes], Task[Result]],
        body: bytes,
        wait: Callable[[Coroutine[Any, Any, Result]], Awaitable[Result]],
    ) -> Result:
        """The answer to a body; small questions may go through their graph with others, for the rest `wait` waits.

        Raises:
            RequestError: as `understand` does.
        """
        if len(body) > SMALL_BODY:
            return await wait(self.run(lambda: understand(body).answer()))
        task = understand(body)
        if not task.light:
            return await wait(self.run(task.answer))
        lane = self._lane(task.graph)
        if lane.takes(len(task.x)):
            return task.finish(await lane.ask(task.x))
        return await wait(self.run(lambda: task.finish(lane.now(task.x))))

    async def run(self, work: Callable[[], Result]) -> Result:
        """The result of `work`, from a thread; it is not begun when this is cancelled before."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _lane(self, graph: Graph) -> Lane[Any]:
        lane = self._lanes.get(graph)
        if lane is None:
            lane = self._lanes[graph] = Lane(graph, self._question_seconds)
        return lane
