"""Rows of different requests that go through one graph together in a thread.

What is too much for the event loop waits here for a thread, and the first that is free takes its share of what waits.
Nothing waits for company: who comes while a thread is free goes alone. An asker who is gone by then is left out.
"""

import asyncio
import itertools
from collections.abc import Callable, Iterator
from threading import Lock
from time import perf_counter
from typing import Any, Generic, NamedTuple, TypeVar

from app.array import Array
from app.backlog import WHOLE, overloaded
from app.metrics import Metrics
from app.pool import Pace, Pool
from app.session import Unit
from app.together import Answer, asked_together

TOGETHER_SECONDS = 0.04
"""What a thread takes at once, where that is more than one question: reading and answering several one after the other
costs less than each between two runs of a graph, which leaves the caches cold."""

Result = TypeVar("Result")


class _Question(NamedTuple):
    x: Array
    finish: Callable[[Any], Any]
    """From what the graph says to the result."""
    result: "asyncio.Future[Any]"
    seconds: float
    """What it was thought to take, when it came."""
    asked: float
    """When it came, by `perf_counter`."""


class _Outcome(NamedTuple):
    question: _Question
    result: object
    error: Exception | None


class Gathering(Generic[Answer]):
    """The questions for one graph that wait for one of a pool's threads; made on the event loop that is running."""

    def __init__(self, graph: Callable[[Array], Answer], pool: Pool, unit: Unit, metrics: Metrics) -> None:
        self._graph = graph
        self._pool = pool
        self._loop = asyncio.get_running_loop()
        self._pace = Pace(unit.seconds / unit.rows)
        self._metrics = metrics
        self._numbers = itertools.count()
        self._lock = Lock()
        self._waiting: dict[int, _Question] = {}
        self._called = 0
        """Threads that were called and have not come yet. While something waits there is one, or more."""

    async def ask(self, x: Array, finish: Callable[[Answer], Result], share: float = WHOLE) -> Result:
        """What `finish` makes of the graph's answer to rows x [n, …]; it is not begun when this is cancelled before.

        Raises:
            Unavailable: `overloaded`, at once where too much waits, or where it has waited far longer than it was to.
        """
        self._pool.backlog.require_room(share)
        result: asyncio.Future[Result] = self._loop.create_future()
        seconds, backlog = self._pace.of(len(x)), self._pool.backlog
        patience = backlog.patience
        question = _Question(x, finish, result, seconds, perf_counter())
        number = next(self._numbers)
        backlog.add(seconds)
        with self._lock:
            self._waiting[number] = question
            self._call()
        giving_up = self._loop.call_later(patience, self._give_up, number)
        try:
            return await result
        except asyncio.CancelledError:
            with self._lock:
                left_out = self._waiting.pop(number, None)
            if left_out:  # what has begun is work that others wait for until it is done
                backlog.remove(seconds)
            raise
        finally:
            giving_up.cancel()

    def _give_up(self, number: int) -> None:
        """Refuse what still waits: all threads are at what takes far longer than was thought."""
        with self._lock:
            question = self._waiting.pop(number, None)
        if question is not None:
            self._settle([_Outcome(question, None, overloaded())])

    def _call(self) -> None:
        """Call for a thread; the lock is held, and something waits."""
        if self._called < self._pool.backlog.threads:
            self._called += 1
            self._pool.submit(self._take)

    def _take(self) -> None:
        """Answer this thread's share of what waits; others may have left nothing."""
        with self._lock:
            self._called -= 1
            together = [*self._share()]
            if self._waiting:
                self._call()
        if together:
            try:
                outcomes = self._outcomes(together)
            except Exception as error:  # of whatever is between the graph and the results: nobody waits for ever
                outcomes = [_Outcome(question, None, error) for question in together]
            self._loop.call_soon_threadsafe(self._settle, outcomes)

    def _share(self) -> Iterator[_Question]:
        """What one of all threads is to take of what waits, the first come first."""
        seconds = 0.0
        for _ in range(-(-len(self._waiting) // self._pool.backlog.threads)):
            number, question = next(iter(self._waiting.items()))
            own = self._pace.of(len(question.x))
            if seconds and seconds + own > TOGETHER_SECONDS:
                return
            seconds += own
            yield self._waiting.pop(number)

    def _outcomes(self, together: list[_Question]) -> list[_Outcome]:
        """Of each question."""
        started = perf_counter()
        for question in together:
            self._metrics.waited(started - question.asked)
        answers = asked_together(self._graph, [question.x for question in together])
        self._pace.learn(sum(len(question.x) for question in together), perf_counter() - started)
        return [*itertools.starmap(_finished, zip(together, answers, strict=True))]

    def _settle(self, outcomes: list[_Outcome]) -> None:
        for question, result, error in outcomes:
            self._pool.backlog.remove(question.seconds)
            if question.result.done():  # the asker is gone
                continue
            if error:
                question.result.set_exception(error)
            else:
                question.result.set_result(result)


def _finished(question: _Question, answer: Any) -> _Outcome:  # noqa: ANN401 - of whatever graph this is
    if isinstance(answer, Exception):
        return _Outcome(question, None, answer)
    try:
        return _Outcome(question, question.finish(answer), None)
    except Exception as error:
        return _Outcome(question, None, error)
