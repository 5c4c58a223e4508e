"""The threads that compute what is not small."""

import asyncio
import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from time import monotonic
from typing import Any, TypeVar

from app.backlog import WHOLE, Backlog, overloaded
from app.long import Long

Result = TypeVar("Result")

NICE = 4
"""By how much the threads give way where the event loop wants their core: who is refused is to hear of it at once.

More than a quarter of the core is theirs even where the loop never rests, since hundreds ask again without a pause
(Linux weighs 1024 to 423); with 10 it would be a tenth, and with 0 who is refused waits for them.
"""

NICEST = 19
"""As far as Linux knows niceness."""

LEARNT = 1 / 8
"""How much of what is thought of a pace is the last time that it was seen; at first, when little was, it is more."""


def computing(threads: int) -> Executor:
    """So many threads; on Linux, where each has a niceness of its own, they come after the event loop."""
    return ThreadPoolExecutor(threads, "verb", _give_way if sys.platform == "linux" else None)


def _give_way() -> None:
    thread = threading.get_native_id()
    os.setpriority(os.PRIO_PROCESS, thread, min(NICEST, os.getpriority(os.PRIO_PROCESS, thread) + NICE))


class Pace:
    """What a unit of some kind of work takes, in seconds, as it was lately."""

    def __init__(self, a_unit: float) -> None:
        """Before any was seen, `a_unit`."""
        self._a_unit = a_unit
        self._seen = 1
        """What it was thought to be first counts as once."""

    def of(self, units: int) -> float:
        """What so many units will take."""
        return units * self._a_unit

    def learn(self, units: int, seconds: float) -> None:
        """So many units took so long."""
        self._seen += 1
        self._a_unit += max(LEARNT, 1 / self._seen) * (seconds / units - self._a_unit)


class Pool:
    """Threads, and what waits for them."""

    def __init__(self, executor: Executor, backlog: Backlog, before: "Pool | None" = None) -> None:
        """The threads, and on the event loop that is running what waits for them.

        While they are at what is run here, what was submitted has its turn now and then: that to the pool `before`,
        which has the same threads, or to this one.
        """
        self._executor = executor
        self.backlog = backlog
        """What waits for the threads, and what they are at."""
        self._before = before or self
        self._submitted: deque[Callable[[], None]] = deque()

    async def run(self, work: Callable[[], Result], units: int, pace: Pace, share: float = WHOLE) -> Result:
        """The result of `work`, of so many units, from a thread; it may take a share of the room.

        When this is cancelled it is not begun, or ends where it may.

        Raises:
            Unavailable: `overloaded`, at once where too much waits, or where it has waited far longer than it was to.
        """
        self.backlog.require_room(share)
        patience = self.backlog.patience
        long = Long(self._before.turn)

        def begun() -> Result:
            started = monotonic()
            with long.under_way():
                result = work()
            pace.learn(units, monotonic() - started - long.paused)
            return result

        future = self._executor.submit(begun)
        self._count(future, pace.of(units))
        answer = asyncio.wrap_future(future)
        try:
            await asyncio.wait([answer], timeout=patience)
        except asyncio.CancelledError:
            long.abandoned = not future.cancel()
            answer.cancel()
            raise
        # What is before it takes far longer than was thought: who waits hears of it now, and not when a thread is free.
        if not answer.done() and future.cancel():
            raise overloaded()
        return await answer

    def submit(self, work: Callable[[], None]) -> None:
        """Do this on a thread, for what is counted by itself; it is short and raises nothing."""
        self._submitted.append(work)
        self._executor.submit(self.turn)

    def turn(self) -> None:
        """Do what was submitted first, unless another thread has done it by now."""
        try:
            work = self._submitted.popleft()
        except IndexError:
            return
        work()

    def _count(self, result: "Future[Any]", seconds: float) -> None:
        """Count work that is thought to take so long until its result is there.

        Not until who waits for it is cancelled: what has begun then is work that others wait for until it is done.
        """
        loop = asyncio.get_running_loop()
        self.backlog.add(seconds)
        result.add_done_callback(lambda _: loop.call_soon_threadsafe(self.backlog.remove, seconds))
