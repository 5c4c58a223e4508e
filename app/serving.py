"""The service as a process, or as several at one port, from its start to its end."""

import logging
import os
import signal
import socket
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import wait
from types import FrameType
from typing import NoReturn

import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors.multiprocess import Multiprocess

from app import logs
from app.connection import Connection
from app.errors import NelboError, SettingsError
from app.folder import look
from app.listener import let_nobody_in
from app.main import create_app
from app.repository import open_repository, settled
from app.settings import Settings, unknown_variables
from app.sharing import shared_between_processes
from app.stock import EMPTY, Stock
from app.tls import Tls
from app.trial import tried

STARTUP_FAILED = 3
CLOSING_SECONDS = 0.05
"""Before several workers close their port nobody is let in for so long: they do not do it at quite the same moment."""
AGAIN_SECONDS = 2.0
"""After which a worker that cannot take the place of one that died looks again."""

logger = logging.getLogger("nelbo")


def serve(settings: Settings) -> int:
    """Answer until told to stop; the exit code is 3 when it cannot start, for a reason told in one line."""
    logs.begin(settings.log)
    signal.signal(signal.SIGTERM, _end)
    for warning in unknown_variables(os.environ):
        logger.warning("%s", warning)
    several = settings.workers > 1
    try:
        if tls := Tls.of(settings):
            tls.context()  # fails here, in one line
        stock = tried(EMPTY, look(settings.models), settings)
        app = partial(_worker, settled(settings), stock) if several else _application(settings, stock)
        listener = _listen(settings)
    except NelboError as error:
        logger.critical("cannot start: %s", error)
        return STARTUP_FAILED
    config = uvicorn.Config(
        app,
        factory=several,
        workers=settings.workers,
        http=Connection,
        loop="app.listener:Loop",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nothing here depends on what they would change
        timeout_graceful_shutdown=settings.shutdown_seconds,
        ssl_context_factory=tls.context if tls else None,
    )
    host, port = listener.getsockname()[:2]
    scheme = "https" if tls else "http"
    logger.info("listening at %s://%s:%d", scheme, f"[{host}]" if ":" in host else host, port)
    if not settings.keys_are_set:
        logger.info("no keys are set: whoever reaches this address may ask")
    if not several:
        uvicorn.Server(config).run(sockets=[listener])
        return 0
    with shared_between_processes():
        supervisor = Workers(config, [listener], partial(_replacement, settings, stock), settings.drain_seconds)
        supervisor.run()
    return STARTUP_FAILED if supervisor.failed else 0


def _end(number: int, frame: FrameType | None) -> NoReturn:
    """What SIGTERM does before uvicorn hears it, and once more when uvicorn has stopped, since it raises it again.

    The kernel ignores a signal to process 1 of a container that nobody handles.
    """
    raise SystemExit(0)


class Workers(Multiprocess):
    """Several processes at one port; those that come later than the first have an application of their own."""

    def __init__(
        self,
        config: uvicorn.Config,
        sockets: list[socket.socket],
        replacement: Callable[[], FastAPI],
        drain_seconds: float,
    ) -> None:
        """As uvicorn has it, and what makes the application of who takes the place of one that died."""
        super().__init__(config, sockets)
        self._replacement = replacement
        self._drain_seconds = drain_seconds
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

    def terminate_all(self) -> None:
        """Tell them to stop, and let go of the port: it closes with the last of them, and nobody connects in vain."""
        self.failed = any(process.exitcode == STARTUP_FAILED for process in self.processes)
        super().terminate_all()
        answering = [each.process.sentinel for each in self.processes if each.process.is_alive()]
        wait(answering, max(0, self._drain_seconds - CLOSING_SECONDS))
        for listener in self.sockets:
            let_nobody_in(listener)
            listener.close()


def _application(settings: Settings, stock: Stock) -> FastAPI:
    """The application with what can be served beside the stock."""
    return create_app(settings, open_repository(settings, stock))


def _later_application(settings: Settings, stock: Stock) -> FastAPI:
    """The application where time has passed since the stock was tried: what was published meanwhile is tried first."""
    return _application(settings, tried(stock, look(settings.models), settings))


def _worker(settings: Settings, stock: Stock) -> FastAPI:
    """The application of one of several processes."""
    logs.begin(settings.log)
    try:
        return _later_application(settings, stock)
    except NelboError as error:
        logger.critical("cannot start: %s", error)
        raise SystemExit(STARTUP_FAILED) from error


def _replacement(settings: Settings, stock: Stock) -> FastAPI:
    """The application of a worker in the place of one that died.

    Others answer meanwhile, and are not to be stopped by what this one finds: it waits until something can be served.
    """
    logs.begin(settings.log)
    while True:
        try:
            return _later_application(settings, stock)
        except NelboError as error:
            logger.critical("a worker cannot start, and will try again: %s", error)
        time.sleep(AGAIN_SECONDS)


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        place = f"NELBO_HOST, NELBO_PORT: cannot listen at {settings.host}, port {settings.port}"
        raise SettingsError(f"{place}: {error.strerror or error}") from error
