"""From being told to stop to stopping: the service goes on for a while, and tells its clients to go elsewhere."""

import asyncio
import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import parent_process
from types import FrameType

from app.errors import Unavailable

HURRY = signal.SIGUSR1
"""What the parent of several workers tells them by to stop without draining; it may be told more than once."""

logger = logging.getLogger("nelbo")


class Drain:
    """Whether a service is about to stop.

    While it is, it answers as ever, but readiness is off, so that a balancer sends nobody any more, and every answer
    closes its connection, so that no client begins a request on one that is about to be closed.
    """

    def __init__(self, seconds: float) -> None:
        """Stop so many seconds after SIGTERM."""
        self._seconds = seconds
        self.begun = False

    @contextmanager
    def at_sigterm(self) -> Iterator[None]:
        """On the loop that is running, put this before whatever SIGTERM does; only the main thread hears signals.

        A terminal that closes says the same, by SIGHUP, unless that is ignored or somebody else's.

        A second SIGTERM stops at once, as Ctrl-C does; one of several workers, which may have SIGTERM with its whole
        group and from its parent, only by HURRY.
        """
        stop = signal.getsignal(signal.SIGTERM)
        if not callable(stop) or threading.current_thread() is not threading.main_thread():
            yield
            return
        loop, then = asyncio.get_running_loop(), stop

        def begin(number: int, frame: FrameType | None) -> None:
            if number == HURRY or not self._seconds or (self.begun and not is_worker):
                then(signal.SIGTERM, frame)
            elif not self.begun:
                self.begun = True
                loop.call_soon_threadsafe(self._tell)
                loop.call_soon_threadsafe(loop.call_later, self._seconds, then, signal.SIGTERM, None)

        is_worker = parent_process() is not None
        numbers = {signal.SIGTERM, HURRY} if is_worker else {signal.SIGTERM}
        if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
            numbers.add(signal.SIGHUP)
        before = {number: signal.signal(number, begin) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _tell(self) -> None:
        logger.info("told to stop: answering for %g seconds more, with readiness off", self._seconds)


def draining() -> Unavailable:
    """Why a service that is about to stop is not ready."""
    return Unavailable("draining", "The service is about to stop, and is not to be sent anything any more.")


def stopped() -> Unavailable:
    """Why a request has no answer that was not done when the service stopped."""
    return Unavailable("stopped", "The service stopped before this was answered.")
