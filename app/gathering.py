"""Rows of different requests that go through one graph together in a thread.

What is too much for the event loop waits here for a thread, and the first that is free takes its share of what waits.
Nothing waits for company: who comes while a thread is free goes alone. An asker who is gone by then is left out.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from threading import Lock
from time import monotonic, perf_counter
from typing import Any, Generic, NamedTuple, TypeVar

from app.array import Array
from app.backlog import overloaded
from app.metrics import Metrics
from app.pool import Pace, Pool
from app.session import Unit
from app.together import Answer, asked_together

Result = TypeVar("Result")


class _Question(NamedTuple):
    x: Array
    finish: Callable[[Any], Any]
    """From what the graph says to the result."""
    result: "Future[Any]"
    late: float
    """When it is given up, by `monotonic`."""
    asked: float
    """When it came, by `perf_counter`."""


class Gathering(Generic[Answer]):
    """The questions for one graph that wait for one of a pool's threads."""

    def __init__(self, graph: Callable[[Array], Answer], pool: Pool, unit: Unit, metrics: Metrics) -> None:
        self._graph = graph
        self._pool = pool
        self._most_rows = unit.most_rows
        self._pace = Pace(unit.seconds / unit.rows)
        self._metrics = metrics
        self._waiting: deque[_Question] = deque()
        self._lock = Lock()

    async def ask(self, x: Array, finish: Callable[[Answer], Result]) -> Result:
        """What `finish` makes of the graph's answer to rows x [n, …]; it is not begun when this is cancelled before.

        Raises:
            Unavailable: `overloaded`, at once where too much waits, or where it has waited far longer than it was to.
        """
        self._pool.require_room()
        result: Future[Result] = Future()
        question = _Question(x, finish, result, monotonic() + self._pool.patience, perf_counter())
        self._pool.count(result, self._pace.of(len(x)))
        with self._lock:
            self._waiting.append(question)
        self._pool.submit(self._take)
        return await asyncio.wrap_future(result)

    def _take(self) -> None:
        """Answer what this thread takes; there may be nothing left, since each question called for a thread."""
        together = self._share()
        if not together:
            return
        started = monotonic()
        answers = asked_together(self._graph, [question.x for question in together])
        self._pace.learn(sum(len(question.x) for question in together), monotonic() - started)
        for question, answer in zip(together, answers, strict=True):
            _settle(question, answer)

    def _share(self) -> list[_Question]:
        """What one of all threads is to take of what waits, the first come first."""
        together: list[_Question] = []
        rows, now = 0, monotonic()
        with self._lock:
            most = -(-len(self._waiting) // self._pool.threads)
            while self._waiting and len(together) < most:
                if together and rows + len(self._waiting[0].x) > self._most_rows:
                    break
                question = self._waiting.popleft()
                if not question.result.set_running_or_notify_cancel():
                    continue
                if now > question.late:
                    question.result.set_exception(overloaded())
                else:
                    together.append(question)
                    self._metrics.waited(perf_counter() - question.asked)
                    rows += len(question.x)
        return together


def _settle(question: _Question, answer: Any) -> None:  # noqa: ANN401 - of whatever graph this is
    if isinstance(answer, Exception):
        question.result.set_exception(answer)
        return
    try:
        result = question.finish(answer)
    except Exception as error:
        question.result.set_exception(error)
    else:
        question.result.set_result(result)
