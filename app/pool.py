"""The threads that compute what is not small, and how much may wait for them."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from threading import Lock
from time import monotonic
from typing import TypeVar

from app.errors import Unavailable

Result = TypeVar("Result")

LEARNT = 1 / 8
"""How much of what is thought of a pace is the last time that it was seen."""
LATE = 2
"""Work is given up when it has waited so many times longer than it was to wait at most."""


class Pace:
    """What a unit of some kind of work takes, in seconds, as it was lately."""

    def __init__(self, a_unit: float) -> None:
        """Before any was seen, `a_unit`."""
        self._a_unit = a_unit

    def of(self, units: int) -> float:
        """What so many units will take."""
        return units * self._a_unit

    def learn(self, units: int, seconds: float) -> None:
        """So many units took so long."""
        self._a_unit += LEARNT * (seconds / units - self._a_unit)


class Pool:
    """Threads with a queue that is as long as can be computed in so many seconds, by what work was seen to take.

    By Little's law (1961) work then waits for so long at most. Nothing is refused while each thread has no more than
    the work it is at and the next: somebody who asks for what takes long, and nobody else, is always answered.
    """

    def __init__(self, executor: Executor, threads: int, most_seconds: float) -> None:
        """Work may wait `most_seconds` for the threads of `executor`."""
        self._executor = executor
        self._threads = threads
        self._most_seconds = most_seconds
        self._pieces = 0
        self._seconds = 0.0
        """What the pieces of work that are not done will take."""
        self._lock = Lock()

    async def run(self, work: Callable[[], Result], units: int, pace: Pace) -> Result:
        """The result of `work`, of so many units, from a thread; it is not begun when this is cancelled before.

        Raises:
            Unavailable: `overloaded`, at once, where too much waits; or in the end, where it has waited far longer
                than it was to.
        """
        foreseen = self._seconds / self._threads
        if foreseen > self._most_seconds and self._pieces >= 2 * self._threads:
            raise overloaded()
        late = monotonic() + LATE * max(foreseen, self._most_seconds)

        def begun() -> Result:
            started = monotonic()
            if started > late:
                raise overloaded()
            result = work()
            pace.learn(units, monotonic() - started)
            return result

        seconds = pace.of(units)
        future = self._executor.submit(begun)
        self._count(1, seconds)
        # Also where it is cancelled; what has begun then is work that others wait for until it is done.
        future.add_done_callback(lambda _: self._count(-1, -seconds))
        return await asyncio.wrap_future(future)

    def _count(self, pieces: int, seconds: float) -> None:
        with self._lock:
            self._pieces += pieces
            self._seconds = self._seconds + seconds if self._pieces else 0.0


def overloaded() -> Unavailable:
    """More waits than may."""
    return Unavailable("overloaded", "More is waiting to be computed than the service takes on; try again soon.")
