"""By when something must have come."""

import asyncio
from collections.abc import Callable
from types import TracebackType


class Deadline:
    """`with deadline:` around an await, which is ended after so many seconds.

    One timer serves all tasks that wait, since each may wait as long: asyncio.timeout sets one for every wait, which
    takes longer than reading a small body that is there already, as nearly every body is.
    """

    def __init__(self, seconds: float, late: Callable[[], Exception]) -> None:
        """On the loop that is running; `late` makes the error that is raised at the end."""
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._late = late
        self._ends: dict[asyncio.Task[object], float] = {}
        """When each task's wait ends, by the loop's clock; the earliest first."""
        self._watched = False

    def __enter__(self) -> None:
        task = asyncio.current_task(self._loop)  # without it, Python asks the kernel first whether it was forked
        assert task is not None
        assert task not in self._ends, "a task waits for one thing at a time"
        self._ends[task] = self._loop.time() + self._seconds
        if not self._watched:
            self._watched = True
            self._loop.call_later(self._seconds, self._look)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        task = asyncio.current_task(self._loop)
        assert task is not None
        ended = self._ends.pop(task, None) is None
        # Where somebody else cancels the task too, that is what happens.
        if ended and task.uncancel() == 0 and kind is asyncio.CancelledError:
            raise self._late() from None

    def _look(self) -> None:
        """End the waits that are over, and look again when the next one is."""
        self._watched = False
        for task, end in list(self._ends.items()):
            if end > self._loop.time():
                self._watched = True
                self._loop.call_at(end, self._look)
                return
            del self._ends[task]
            task.cancel()
