"""The service as a process, or as several at one port, from its start to its end."""

import logging
import os
import signal
import socket
import time
from functools import partial
from types import FrameType
from typing import NoReturn

import uvicorn
from fastapi import FastAPI

from app import logs
from app.connection import Connection
from app.errors import NelboError, SettingsError
from app.folder import look
from app.main import create_app
from app.repository import open_repository, settled
from app.settings import Settings, unknown_variables
from app.sharing import shared_between_processes
from app.stock import EMPTY, Stock
from app.tls import Tls
from app.trial import tried
from app.workers import HUNG_SECONDS, STARTUP_FAILED, Workers, end_with_parent

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
    announce = partial(_announce, settings, listener)
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
        timeout_worker_healthcheck=HUNG_SECONDS,
        ssl_context_factory=tls.context if tls else None,
    )
    if not several:
        announce()
        uvicorn.Server(config).run(sockets=[listener])
        return 0
    try:
        with shared_between_processes(settings.workers):
            replacement = partial(_replacement, settings, stock)
            supervisor = Workers(config, [listener], replacement, settings.drain_seconds, announce)
            supervisor.run()
    except NelboError as error:
        logger.critical("cannot start: %s", error)
        return STARTUP_FAILED
    return STARTUP_FAILED if supervisor.failed else 0


def _end(number: int, frame: FrameType | None) -> NoReturn:
    """What SIGTERM does before uvicorn hears it, and once more when uvicorn has stopped, since it raises it again.

    The kernel ignores a signal to process 1 of a container that nobody handles.
    """
    raise SystemExit(0)


def _announce(settings: Settings, listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    scheme = "https" if settings.tls_certificate else "http"
    logger.info("listening at %s://%s:%d", scheme, f"[{host}]" if ":" in host else host, port)
    if not settings.keys_are_set:
        logger.info("no keys are set: whoever reaches this address may ask")


def _application(settings: Settings, stock: Stock) -> FastAPI:
    """The application with what can be served beside the stock."""
    return create_app(settings, open_repository(settings, stock))


def _later_application(settings: Settings, stock: Stock) -> FastAPI:
    """The application where time has passed since the stock was tried: what was published meanwhile is tried first."""
    return _application(settings, tried(stock, look(settings.models), settings))


def _worker(settings: Settings, stock: Stock) -> FastAPI:
    """The application of one of several processes."""
    logs.begin(settings.log)
    end_with_parent()
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
    end_with_parent()
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
