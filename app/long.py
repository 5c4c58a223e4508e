"""Work that takes long, on the thread that does it: between two runs of a graph others have a turn.

A thread that is at many explanations, draws or new patterns of missing sensors would keep everybody waiting who asks
for little, and would go on for a client that is gone. What such work asks of the graphs comes by here.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic


class Abandoned(Exception):
    """Nobody waits for this work any more."""


class Long:
    """One piece of such work."""

    def __init__(self, others: Callable[[], None]) -> None:
        """`others` does what others wait for, a little of it, if there is any; it raises nothing."""
        self._others = others
        self.abandoned = False
        """Whether nobody waits for it any more; another thread may say so."""
        self.paused = 0.0
        """Seconds that were the others'."""

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """What this thread is at meanwhile."""
        token = _UNDER_WAY.set(self)
        try:
            yield
        finally:
            _UNDER_WAY.reset(token)

    def pause(self) -> None:
        """Let others have their turn, in which nobody else has one."""
        started = monotonic()
        token = _UNDER_WAY.set(None)
        try:
            self._others()
        finally:
            _UNDER_WAY.reset(token)
            self.paused += monotonic() - started


_UNDER_WAY: ContextVar[Long | None] = ContextVar("under_way", default=None)


def pause() -> None:
    """Before a run of a graph: let others have their turn, where this thread is at something long."""
    if (long := _UNDER_WAY.get()) is not None:
        long.pause()


def require_asker() -> None:
    """Where nothing that others wait for is half made: go on only for somebody.

    Raises:
        Abandoned: nobody waits for what this thread is at.
    """
    if (long := _UNDER_WAY.get()) is not None and long.abandoned:
        raise Abandoned
