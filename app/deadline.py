"""By when something must have come."""

import asyncio
from collections.abc import Callable
from types import TracebackType

from app.timer import Timer


class Deadline:
    """`with deadline:` around an await, which is ended after so many seconds.

    One timer serves all tasks that wait: asyncio.timeout sets one for every wait, which takes longer than reading a
    small body that is there already, as nearly every body is.
    """

    def __init__(self, seconds: float, late: Callable[[], Exception]) -> None:
        """On the loop that is running; `late` makes the error that is raised at the end."""
        self._loop = asyncio.get_running_loop()
        self._timer = Timer(seconds)
        self._late = late

    def __enter__(self) -> None:
        task = asyncio.current_task(self._loop)  # without it, Python asks the kernel first whether it was forked
        assert task is not None
        self._timer.start(task.cancel)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        task = asyncio.current_task(self._loop)
        assert task is not None
        ended = not self._timer.stop(task.cancel)
        # Where somebody else cancels the task too, that is what happens.
        if ended and task.uncancel() == 0 and kind is asyncio.CancelledError:
            raise self._late() from None
