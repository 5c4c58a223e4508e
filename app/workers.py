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

import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors.multiprocess import Multiprocess

from app.listener import let_nobody_in

STARTUP_FAILED = 3
CLOSING_SECONDS = 0.05
"""Before several workers close their port nobody is let in for so long: they do not do it at quite the same moment."""
HEED_SECONDS = 0.1
"""How often it is looked whether the parent is told again to stop."""

logger = logging.getLogger("nelbo")


class Workers(Multiprocess):
    """uvicorn's, whose end loses nobody."""

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
        self.failed = False
        """Whether it ends since one could not start, and not since it was told to."""

    def init_processes(self) -> None:
        """Start the first."""
        super().init_processes()
        self.config.app = self._replacement

    def keep_subprocess_alive(self) -> None:
        """Start another in the place of each that died, and tell of it."""
        before = self.processes[:]
        super().keep_subprocess_alive()
        for died, other in zip(before, self.processes, strict=True):
            if other is not died:
                logger.warning("worker %s died, exit code %s; %s takes its place", died.pid, died.exitcode, other.pid)
        if not self._announced and any(process.is_ready() for process in self.processes):
            self._announced = True
            self._announce()

    def terminate_all(self) -> None:
        """Tell them to stop."""
        self.failed = any(process.exitcode == STARTUP_FAILED for process in self.processes)
        super().terminate_all()

    def join_all(self) -> None:
        """Until they have ended, with which the port closes; who is told again to stop meanwhile hurries them."""
        closes = time.monotonic() + self._drain_seconds - CLOSING_SECONDS
        while answering := [each.process for each in self.processes if each.process.is_alive()]:
            wait([process.sentinel for process in answering], HEED_SECONDS)
            if {signal.SIGTERM, signal.SIGINT}.intersection(self.signal_queue):
                self.signal_queue.clear()
                closes = 0.0
                for process in answering:
                    _interrupt(process.pid)
            if time.monotonic() >= closes:
                self._let_go()
        self._let_go()
        super().join_all()

    def _let_go(self) -> None:
        """Of the port, at which nobody is to connect in vain."""
        while self.sockets:
            listener = self.sockets.pop()
            let_nobody_in(listener)
            listener.close()


def end_with_parent() -> None:
    """Stop this process, at once though not before it has answered, when its parent is gone, however that ended."""
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        logger.critical("the parent process is gone: stopping")
        _interrupt(os.getpid())

    threading.Thread(target=watch, name="parent", daemon=True).start()


def _interrupt(pid: int | None) -> None:
    """What a worker takes for an order to stop at once; SIGTERM may have come to it twice, with its whole group."""
    assert pid is not None
    os.kill(pid, signal.SIGINT)
