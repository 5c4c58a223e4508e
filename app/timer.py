"""One timer of the event loop for everybody who waits equally long."""

import asyncio
from collections.abc import Callable

Late = Callable[[], object]
"""What is called when the time is over; it raises nothing. Two names of one bound method are equal, and one wait."""


class Timer:
    """Calls what was started and not stopped within so many seconds.

    A timer of the loop for each would take longer than most of what is waited for here: as all wait equally long, they
    end in the order in which they began, and one timer for the earliest does.
    """

    def __init__(self, seconds: float) -> None:
        """On the loop that is running."""
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._ends: dict[Late, float] = {}
        """When each wait ends, by the loop's clock; the earliest first."""
        self._watched = False

    def start(self, late: Late) -> None:
        """Call `late` in so many seconds from now, however often it was started before."""
        if late in self._ends:
            del self._ends[late]
        self._ends[late] = self._loop.time() + self._seconds
        if not self._watched:
            self._watched = True
            self._loop.call_later(self._seconds, self._look)

    def stop(self, late: Late) -> bool:
        """Do not call it; whether it would have been called."""
        return self._ends.pop(late, None) is not None

    def _look(self) -> None:
        """Call the first whose time is over, and look again when the next one's is.

        Where the time of many is over at the same moment, everybody else has a turn of the loop between two of them.
        """
        if not self._ends:
            self._watched = False
            return
        late, end = next(iter(self._ends.items()))
        if end > self._loop.time():
            self._loop.call_at(end, self._look)
            return
        del self._ends[late]
        self._loop.call_soon(self._look)
        late()
