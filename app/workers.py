"""Several processes that answer at one port: what their parent does, from their start to their end."""

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from multiprocessing import parent_process
from multiprocessing.connection import wait
from types import FrameType

import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors.multiprocess import Multiprocess

from app.drain import HURRY
from app.listener import let_nobody_in

STARTUP_FAILED = 3
CLOSING_SECONDS = 0.05
"""Before several workers close their port nobody is let in for so long: they do not do it at quite the same moment."""
HEED_SECONDS = 0.1
"""How often it is looked whether the parent was told something, or a worker has died."""
PING_SECONDS = 5.0
"""How often it is asked whether they answer."""
HUNG_SECONDS = 60
"""One that does not answer for so long is killed: one that starts answers nothing at first, and may have little CPU."""

logger = logging.getLogger("nelbo")


class Workers(Multiprocess):
    """uvicorn's, whose end loses nobody.

    Each has a pipe by which it is asked whether it lives; its end of that is its alone, so that nobody waits for an
    answer of one that has died.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        sockets: list[socket.socket],
        replacement: Callable[[], FastAPI],
        drain_seconds: float,
        announce: Callable[[], None],
    ) -> None:
        """`replacement` makes the application of who takes the place of one that died.

        Told to stop they answer for `drain_seconds` more; `announce` is called once when the first of them answers.
        """
        super().__init__(config, sockets)
        self._replacement = replacement
        self._drain_seconds = drain_seconds
        self._announce = announce
        self._announced = False
        self._told: float | None = None
        """When it was told to stop first, by the monotonic clock: with its whole group the workers were, too."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._hear)
        self._hurried = False
        """Whether they are to be told to stop without draining."""
        self.failed = False
        """Whether it ends since one could not start, and not since it was told to."""

    def run(self) -> None:
        """Until told to stop, and until all have stopped."""
        self.init_processes()
        due = 0.0
        while not self.should_exit.wait(HEED_SECONDS):
            self.handle_signals()
            if time.monotonic() >= due or not all(each.process.is_alive() for each in self.processes):
                self.keep_subprocess_alive()
                due = time.monotonic() + (PING_SECONDS if self._announced else HEED_SECONDS)
        self.terminate_all()
        self.join_all()

    def init_processes(self) -> None:
        """Start the first."""
        super().init_processes()
        self.config.app = self._replacement
        for process in self.processes:
            process.child_conn.close()

    def keep_subprocess_alive(self) -> None:
        """Start another in the place of each that died, and tell of it."""
        before = self.processes[:]
        super().keep_subprocess_alive()
        for died, other in zip(before, self.processes, strict=True):
            if other is not died:
                other.child_conn.close()
                logger.warning("worker %s died, exit code %s; %s takes its place", died.pid, died.exitcode, other.pid)
        if not self._announced and any(process.is_ready() for process in self.processes):
            self._announced = True
            self._announce()

    def terminate_all(self) -> None:
        """Tell them to stop."""
        self.failed = any(process.exitcode == STARTUP_FAILED for process in self.processes)
        super().terminate_all()

    def join_all(self) -> None:
        """Until they have ended, with which the port closes; Ctrl-C, or being told again to stop, hurries them."""
        closes = (self._told or 0.0) + self._drain_seconds - CLOSING_SECONDS
        while answering := [each.process for each in self.processes if each.process.is_alive()]:
            if self._hurried:
                self._hurried, closes = False, 0.0
                for process in answering:
                    _hurry(process.pid)
            if time.monotonic() >= closes:
                self._let_go()
            wait([process.sentinel for process in answering], HEED_SECONDS)
        self._let_go()
        super().join_all()

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self._hurried = self._hurried or self._told is not None or number == signal.SIGINT
        self._told = self._told or time.monotonic()
        if self._hurried or not self._drain_seconds:  # with its whole group the workers are closing the port already
            for listener in self.sockets:
                let_nobody_in(listener)
        self.signal_queue.append(number)

    def _let_go(self) -> None:
        """Of the port, at which nobody is to connect in vain."""
        while self.sockets:
            listener = self.sockets.pop()
            let_nobody_in(listener)
            listener.close()


def end_with_parent() -> None:
    """Stop this process, without draining, when its parent is gone, however that ended."""
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        logger.critical("the parent process is gone: stopping")
        _hurry(os.getpid())

    threading.Thread(target=watch, name="parent", daemon=True).start()


def _hurry(pid: int | None) -> None:
    assert pid is not None
    os.kill(pid, HURRY)
