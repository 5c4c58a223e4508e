"""The application: it puts the parts together."""

import gc
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from types import FrameType
from typing import NoReturn

import uvicorn
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from uvicorn.supervisors.multiprocess import Multiprocess

from app import docs, logs, routes, v2, v2_control
from app.access import Access
from app.answer import NONE
from app.authentication import Authentication, open_paths
from app.backlog import Backlog
from app.body import Intake
from app.connection import Connection
from app.cpus import available
from app.drain import Drain
from app.errors import Forbidden, NelboError, RequestError, SettingsError, Unauthenticated
from app.folder import look
from app.keyring import Keyring
from app.metrics import Metrics
from app.openapi import Documents, document
from app.pool import Pool, computing
from app.reception import Reception
from app.refusals import STATUS, answer_refused, refusal, refuse
from app.repository import Repository, open_repository, settled
from app.scheduler import Scheduler
from app.service import Service, version, versions
from app.settings import Settings, unknown_variables
from app.sharing import shared_between_processes
from app.shelf import Shelf
from app.shortcut import Shortcut
from app.stock import EMPTY, Stock
from app.tls import Tls
from app.trial import tried

HTTP_PROBLEMS: dict[int, tuple[str, str]] = {
    404: ("not-found", "There is nothing at this address; /docs shows what there is."),
    405: ("method-not-allowed", "This address takes another method, see the header Allow."),
}
STARTUP_FAILED = 3
COLLECTED_AFTER = (50_000, 20, 100)
"""New objects after which the youngest are looked through for cycles, and so on; Python's own numbers begin at 700."""

logger = logging.getLogger("nelbo")


def create_app(settings: Settings | None = None, repository: Repository | None = None) -> FastAPI:
    """The application; without `repository` it opens the one that the settings name when it starts.

    Raises:
        SettingsError: no settings were given, and the environment's are wrong; or keys are set that cannot be read.
    """
    settings = settings or Settings()
    metrics, drain = Metrics(), Drain(settings.drain_seconds)
    given = [repository] if repository else []
    lifespan = partial(_lifespan, settings=settings, given=given, metrics=metrics, drain=drain)
    app = Shortcut(
        [routes.asked, v2.asked],
        title="nelbo",
        lifespan=lifespan,
        middleware=_layers(settings, drain, metrics),
        exception_handlers={RequestError: _refused, HTTPException: _http_error},
        openapi_url=None,  # ours is served by routes: it carries examples from the model
        redirect_slashes=False,  # a redirect would repeat the Host header that a client made up
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.include_router(routes.router)
    app.include_router(docs.router)
    app.include_router(v2.router)
    app.include_router(v2_control.router)
    return app


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
        supervisor = Workers(config, [listener])
        supervisor.run()
    return STARTUP_FAILED if any(process.exitcode == STARTUP_FAILED for process in supervisor.processes) else 0


def _end(number: int, frame: FrameType | None) -> NoReturn:
    """What SIGTERM does before uvicorn hears it, and once more when uvicorn has stopped, since it raises it again.

    The kernel ignores a signal to process 1 of a container that nobody handles.
    """
    raise SystemExit(0)


class Workers(Multiprocess):
    """Several processes at one port."""

    def terminate_all(self) -> None:
        """Tell them to stop, and let go of the port: it closes with the last of them, and nobody connects in vain."""
        super().terminate_all()
        for listener in self.sockets:
            listener.close()


def _layers(settings: Settings, drain: Drain, metrics: Metrics) -> list[Middleware]:
    """What is around every answer, the outermost first."""
    layers = [Middleware(_access(settings, drain, metrics))]
    if settings.keys_are_set:
        layers.append(Middleware(Authentication, keyring=Keyring(settings), open_paths=open_paths(settings)))
    return layers


def _access(settings: Settings, drain: Drain, metrics: Metrics) -> partial[Access]:
    """What is around every answer, also where there was no request."""
    tls = settings.tls_certificate is not None
    return partial(Access, drain=drain, metrics=metrics, log_answers=settings.access_log, tls=tls)


def _application(settings: Settings, stock: Stock) -> FastAPI:
    """The application with what can be served beside the stock."""
    return create_app(settings, open_repository(settings, stock))


def _worker(settings: Settings, stock: Stock) -> FastAPI:
    """The application of one of several processes; what was published since they were started is tried first."""
    logs.begin(settings.log)
    try:
        return _application(settings, tried(stock, look(settings.models), settings))
    except NelboError as error:
        logger.critical("cannot start: %s", error)
        raise SystemExit(STARTUP_FAILED) from error


@asynccontextmanager
async def _lifespan(
    app: FastAPI, settings: Settings, given: list[Repository], metrics: Metrics, drain: Drain
) -> AsyncIterator[dict[str, object]]:
    statuses = {STATUS[kind] for kind in STATUS.keys() - {Unauthenticated, Forbidden}} | {500}
    documents = Documents(partial(document, app.routes, version(), statuses, settings))
    reception = Reception(settings, _access(settings, drain, metrics)(answer_refused))
    cpus = max(1, available() // settings.workers)
    threads = settings.threads or cpus
    metrics.tell_build(**versions())
    with computing(threads) as executor, _few_collections(), drain.at_sigterm():
        of_threads, of_loop = Backlog(settings.queue_seconds, threads), Backlog(settings.queue_seconds)
        scheduler = Scheduler(Pool(executor, of_threads), cpus, of_loop, metrics)
        # Taken, since whatever holds the first repository keeps its models in memory when others are served.
        served = given.pop() if given else open_repository(settings)
        shelf = Shelf(served, settings, metrics, changed=scheduler.forget)
        del served
        async with metrics.settled_regularly({"loop": of_loop, "threads": of_threads}), shelf.watching():
            service = Service(settings, shelf, metrics, Intake(settings), scheduler, drain, documents.of)
            yield {"service": service, "reception": reception}
    logger.info("stopped")


@contextmanager
def _few_collections() -> Iterator[None]:
    """Spare the requests the collector's work: what was made to start stays, and what a request makes has no cycles."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTED_AFTER)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        place = f"NELBO_HOST, NELBO_PORT: cannot listen at {settings.host}, port {settings.port}"
        raise SettingsError(f"{place}: {error.strerror or error}") from error


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return refuse(request, error)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code, detail = HTTP_PROBLEMS.get(error.status_code, ("http-error", "The request cannot be answered."))
    request.scope["state"]["code"] = code
    path, request_id = request.scope["path"], request.scope["state"]["request_id"]
    return refusal(path, error.status_code, code, detail, request_id, headers=error.headers or NONE)
