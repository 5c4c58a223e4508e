"""Where a request is computed: small work on the event loop, the rest in threads, and both together with others'."""

from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple, Protocol, TypeVar

from app.backlog import WHOLE, Backlog
from app.gathering import Gathering
from app.lane import TURN_SECONDS, Lane
from app.metrics import Metrics
from app.pool import Pace, Pool
from app.verbs import Graph, Kind, Task

SMALL_BODY = 2**16
"""Bytes that are read on the event loop at most; reading more would hold it up."""

TINY_BODY = 2**12
"""Bytes of which reading costs so little that it does not matter whether there will be room for what they ask."""

QUESTION_SECONDS = 0.001
"""A question that takes longer than this is not for the event loop while others wait, or where there is another CPU."""

FIRST_SECONDS_A_BYTE = 1e-7
"""What a byte of a large body is thought to cost before any was measured."""

FIRST_SECONDS_A_UNIT: dict[Kind, float] = {"explained": 1e-3, "bound": 1e-5, "missing": 1e-3, "drawn": 1e-4}
"""What work that may take long is thought to cost before any was measured."""

Result = TypeVar("Result")


class Wait(Protocol):
    """How the result of what takes a while is waited for."""

    def __call__(self, work: Coroutine[Any, Any, Result], /) -> Awaitable[Result]: ...


async def patiently(work: Coroutine[Any, Any, Result]) -> Result:
    """To the end, whatever happens meanwhile."""
    return await work


class Scheduler:
    """The ways to the graphs that were asked, and the threads for everything that is not small."""

    def __init__(self, pool: Pool, long: Pool, cpus: int, backlog: Backlog, metrics: Metrics) -> None:
        """Compute in `pool`, or in `long` what may take long, beside the event loop, whose is the backlog."""
        self._pool = pool
        self._long = long
        self._backlog = backlog
        self._metrics = metrics
        self._cpus = cpus
        self._ways: dict[Graph, _Way] = {}
        self._a_byte = Pace(FIRST_SECONDS_A_BYTE)
        self._paces = {kind: Pace(seconds) for kind, seconds in FIRST_SECONDS_A_UNIT.items()}

    def require_room(self, size: int, share: float = WHOLE) -> None:
        """Refuse a body of so many bytes while there is no room for what it may ask, of which it may take a share.

        Refusing must cost far less than answering, so that it is asked before a body has come, and before it is read.

        Raises:
            Unavailable: `overloaded`.
        """
        self._backlog.require_room(share)
        if size > TINY_BODY:
            self._pool.backlog.require_room(share)

    async def answer(
        self,
        understand: Callable[[bytes], Task[Result]],
        body: bytes,
        wait: Wait,
        share: float = WHOLE,
    ) -> Result:
        """The answer to a body; small questions may go through their graph with others, for the rest `wait` waits.

        Raises:
            RequestError: as `understand` does; Unavailable, where more waits already than may.
        """
        self.require_room(len(body), share)
        if len(body) > SMALL_BODY:
            reading = self._once_begun(lambda: self._understand(understand, body))
            task = await wait(self._pool.run(reading, len(body), self._a_byte, share))
        else:
            task = self._understand(understand, body)
        if task.effort is not None:
            rest = self._once_begun(lambda: self._compute(task))
            return await wait(self._long.run(rest, task.effort.units, self._paces[task.effort.kind], share))
        way = self._way(task)
        if way.lane.takes(len(task.x), self._question_seconds()):
            return self._finish(task, await way.lane.ask(task.x))
        return await wait(way.gathering.ask(task.x, partial(self._finish, task), share))

    def _question_seconds(self) -> float:
        """What a question for the event loop may take now.

        On the loop's own CPU a thread would only take its turn, which costs more than it gives to who is alone; where
        several wait they go together in a thread.
        """
        is_alone = self._cpus == 1 and not self._pool.backlog.pieces and not self._backlog.pieces
        return TURN_SECONDS if is_alone else QUESTION_SECONDS

    def _once_begun(self, work: Callable[[], Result]) -> Callable[[], Result]:
        """The same work, which tells how long it has waited for a thread."""
        since = perf_counter()

        def begun() -> Result:
            self._metrics.waited(perf_counter() - since)
            return work()

        return begun

    def _understand(self, understand: Callable[[bytes], Task[Result]], body: bytes) -> Task[Result]:
        started = perf_counter()
        task = understand(body)
        self._metrics.decoded(perf_counter() - started)
        return task

    def _compute(self, task: Task[Result]) -> Result:
        started = perf_counter()
        said = task.graph(task.x)
        self._metrics.count_run(len(task.x), perf_counter() - started)
        return self._finish(task, said)

    def _finish(self, task: Task[Result], said: object) -> Result:
        started = perf_counter()
        result = task.finish(said)
        self._metrics.encoded(perf_counter() - started)
        return result

    def forget(self) -> None:
        """Let go of the graphs that were asked; those that are asked again have new ways, and what waits is answered.

        It is for when other models are served: a way keeps its model in memory.
        """
        self._ways.clear()

    def _way(self, task: Task[Any]) -> "_Way":
        way = self._ways.get(task.graph)
        if way is None:
            lane = Lane[Any](task.graph, task.unit, self._backlog, self._metrics)
            way = self._ways[task.graph] = _Way(lane, Gathering(lane.now, self._pool, task.unit, self._metrics))
        return way


class _Way(NamedTuple):
    """To a graph, on the event loop and by a thread."""

    lane: Lane[Any]
    gathering: Gathering[Any]
