"""Rows of different requests that go through one graph together.

What holds, and what the tests ask of it:

- Nothing waits for a timer. Rows go with those that became readable in the same turn of the event loop, or that came
  while the graph was at work. Whoever was alone the last time is thought to be alone again, and does not even wait for
  the turn to end; if others come in the same turn after all, these go together.
- Every question is answered once: with what the graph says of its own rows, which is the same bits as if they had been
  asked about alone, or with the error that its own rows make.
- A question whose asker is gone is left out, and nobody else notices.
- Nobody waits far longer than the backlog, which tells what waits for the event loop in all lanes, had room for.
- The event loop is held up for `TURN_SECONDS` or for one question at a time; then it turns, and the rest waits.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import Generic, NamedTuple

from app.array import Array
from app.backlog import Backlog, overloaded
from app.metrics import Metrics
from app.session import Unit
from app.together import Answer, asked_together

TURN_SECONDS = 0.004
"""How long the questions of one turn may hold up the event loop."""


class _Question(NamedTuple, Generic[Answer]):
    x: Array
    answer: asyncio.Future[Answer]
    seconds: float
    """What it was thought to take, when it came."""
    asked: float
    """When it came, by `perf_counter`."""


class Lane(Generic[Answer]):
    """The way to one graph, on the event loop that is running."""

    def __init__(
        self,
        graph: Callable[[Array], Answer],
        unit: Unit,
        backlog: Backlog,
        metrics: Metrics,
    ) -> None:
        """To this graph, whose work is counted in `unit`s."""
        self._graph = graph
        self._unit = unit
        self._metrics = metrics
        self._backlog = backlog
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[_Question[Answer]] = deque()
        self._seconds_a_unit = unit.seconds
        self._asked = 0
        """Questions since the last turn."""
        self._alone = False
        """Whether the next question is thought to be the only one of its turn."""

    def takes(self, rows: int, seconds: float) -> bool:
        """Whether so many rows take `seconds` at most, or are no more than what takes as long as one."""
        return rows <= self._unit.rows or self._seconds(rows) <= seconds

    def now(self, x: Array) -> Answer:
        """What the graph says of rows x, asked at once and on the thread that this is called on."""
        started = perf_counter()
        answer = self._graph(x)
        # The least is what a unit costs in company, and no pause of the machine makes it more.
        seconds = perf_counter() - started
        self._seconds_a_unit = min(self._seconds_a_unit, seconds / self._units(len(x)))
        self._metrics.count_run(len(x), seconds)
        return answer

    async def ask(self, x: Array) -> Answer:
        """What the graph says of rows x [n, …], soon.

        Raises:
            Unavailable: `overloaded`, where it has waited far longer than it was to.
        """
        self._asked += 1
        if self._alone:
            self._alone = False
            self._loop.call_soon(self._turned)
            self._metrics.waited(0.0)
            return self.now(x)
        answer: asyncio.Future[Answer] = self._loop.create_future()
        if not self._waiting:
            # Requests that are readable in this turn of the loop are read by tasks that run in the next one.
            self._loop.call_soon(self._loop.call_soon, self._go)
        seconds = len(x) / self._unit.rows * self._seconds_a_unit
        self._waiting.append(_Question(x, answer, seconds, perf_counter()))
        self._backlog.add(seconds)
        return await answer

    def _turned(self) -> None:
        """See whether somebody else has asked in the turn of a question that went at once."""
        if not self._waiting:
            self._asked, self._alone = 0, True

    def _go(self) -> None:
        """Ask about as many rows as a turn has time for; the rest waits for the next turn."""
        together: list[_Question[Answer]] = []
        rows = 0
        now = perf_counter()
        late = now - self._backlog.patience
        while self._waiting and (not together or self._seconds(rows + len(self._waiting[0].x)) <= TURN_SECONDS):
            question = self._waiting.popleft()
            self._backlog.remove(question.seconds)
            if question.answer.done():
                continue
            if question.asked < late:
                question.answer.set_exception(overloaded())
            else:
                together.append(question)
                self._metrics.waited(now - question.asked)
                rows += len(question.x)
        self._alone, self._asked = self._asked == 1 and not self._waiting, 0
        if together:
            self._settle(together)
        if self._waiting:
            self._loop.call_soon(self._go)

    def _units(self, rows: int) -> int:
        return -(-rows // self._unit.rows)

    def _seconds(self, rows: int) -> float:
        """What so many rows will take together."""
        return self._units(rows) * self._seconds_a_unit

    def _settle(self, together: list[_Question[Answer]]) -> None:
        for question, answer in zip(together, asked_together(self.now, [each.x for each in together]), strict=True):
            if isinstance(answer, Exception):
                question.answer.set_exception(answer)
            else:
                question.answer.set_result(answer)
