"""The application: it puts the parts together, and holds the one table from error to status."""

import logging
import socket
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial

import uvicorn
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect

from app import docs, routes, v2
from app.access import Access
from app.errors import (
    BodyTooLarge,
    InvalidContent,
    MalformedBody,
    NelboError,
    NotEnabled,
    RequestError,
    SettingsError,
    UnknownResource,
    UnsupportedMedia,
)
from app.metrics import Metrics
from app.openapi import document
from app.refusals import refusal, under_v2
from app.repository import Repository, open_repository
from app.service import Service, version
from app.settings import Settings

STATUS: dict[type[RequestError], int] = {
    MalformedBody: 400,
    UnknownResource: 404,
    BodyTooLarge: 413,
    UnsupportedMedia: 415,
    InvalidContent: 422,
    NotEnabled: 503,
}
"""The one table from error to status."""
V2_STATUS = STATUS | {InvalidContent: 400}
"""Under /v2, where the protocol's servers know one status for whatever is wrong with a body."""

HEADERS: dict[type[RequestError], dict[str, str]] = {
    # The rest of the body is not read, so the connection cannot carry another request.
    BodyTooLarge: {"Connection": "close"},
    UnsupportedMedia: {"Accept": "application/json", "Accept-Encoding": "identity"},
}
V2_HEADERS = HEADERS | {UnsupportedMedia: {"Accept-Encoding": "gzip, deflate"}}
HTTP_PROBLEMS: dict[int, tuple[str, str]] = {
    404: ("not-found", "There is nothing at this address; /docs shows what there is."),
    405: ("method-not-allowed", "This address takes another method, see the header Allow."),
    408: ("request-timeout", "The body did not arrive in time."),
}
STARTUP_FAILED = 3

logger = logging.getLogger("nelbo")


def create_app(settings: Settings | None = None, repository: Repository | None = None) -> FastAPI:
    """The application; without `repository` it opens the one that the settings name when it starts.

    Raises:
        SettingsError: no settings were given, and the environment's are wrong.
    """
    metrics = Metrics()
    lifespan = partial(_lifespan, settings=settings or Settings(), repository=repository, metrics=metrics)
    app = FastAPI(
        title="nelbo",
        lifespan=lifespan,
        middleware=[Middleware(Access, metrics=metrics)],
        exception_handlers={
            RequestError: _refused,
            HTTPException: _http_error,
            ClientDisconnect: _client_gone,
        },
        openapi_url=None,  # ours is served by routes: it carries examples from the model
        redirect_slashes=False,  # a redirect would repeat the Host header that a client made up
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.include_router(routes.router)
    app.include_router(docs.router)
    app.include_router(v2.router)
    return app


def serve(settings: Settings) -> int:
    """Answer until told to stop; the exit code is 3 when it cannot start, for a reason told in one line."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    try:
        repository = open_repository(settings)
        listener = _listen(settings)
    except NelboError as error:
        logger.critical("cannot start: %s", error)
        return STARTUP_FAILED
    config = uvicorn.Config(
        create_app(settings, repository),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )
    host, port = listener.getsockname()[:2]
    logger.info("listening at http://%s:%d", f"[{host}]" if ":" in host else host, port)
    uvicorn.Server(config).run(sockets=[listener])
    return 0


@asynccontextmanager
async def _lifespan(
    app: FastAPI, settings: Settings, repository: Repository | None, metrics: Metrics
) -> AsyncIterator[dict[str, Service]]:
    served = repository or open_repository(settings)
    statuses = {*STATUS.values(), 408, 500} - {STATUS[NotEnabled]}  # a verb, and an inference, is always enabled
    openapi = document(app.routes, version(), statuses, served, settings)
    with ThreadPoolExecutor(settings.workers, thread_name_prefix="verb") as pool:
        yield {"service": Service(settings, served, metrics, pool, openapi)}


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        place = f"NELBO_HOST, NELBO_PORT: cannot listen at {settings.host}, port {settings.port}"
        raise SettingsError(f"{place}: {error.strerror or error}") from error


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    request.state.code = error.code
    path = request.scope["path"]
    statuses, headers = (V2_STATUS, V2_HEADERS) if under_v2(path) else (STATUS, HEADERS)
    kind, request_id = type(error), request.state.request_id
    return refusal(path, statuses[kind], error.code, error.detail, request_id, error.faults, headers.get(kind))


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code, detail = HTTP_PROBLEMS.get(error.status_code, ("http-error", "The request cannot be answered."))
    request.state.code = code
    path, request_id = request.scope["path"], request.state.request_id
    return refusal(path, error.status_code, code, detail, request_id, headers=error.headers)


async def _client_gone(request: Request, error: Exception) -> Response:
    """Nobody reads this; the status is what the log and the metrics tell (nginx's word for it)."""
    request.state.code = "client-gone"
    return Response(status_code=499)
