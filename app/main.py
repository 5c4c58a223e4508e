"""The application: it puts the parts together."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from app import docs, routes, v2, v2_control
from app.access import Access
from app.answer import NONE
from app.authentication import Authentication, open_paths
from app.backlog import Backlog
from app.body import Intake
from app.cpus import available
from app.drain import Drain
from app.errors import Forbidden, RequestError, Unauthenticated
from app.interpreter import tuned
from app.keyring import Keyring
from app.metrics import Metrics
from app.openapi import Documents, document
from app.pool import Pool, computing
from app.reception import Reception
from app.refusals import STATUS, answer_refused, refusal, refuse
from app.repository import Repository, open_repository
from app.scheduler import Scheduler
from app.service import Service, version, versions
from app.settings import Settings
from app.shelf import Shelf
from app.shortcut import Shortcut

HTTP_PROBLEMS: dict[int, tuple[str, str]] = {
    404: ("not-found", "There is nothing at this address; /docs shows what there is."),
    405: ("method-not-allowed", "This address takes another method, see the header Allow."),
}

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
    with computing(threads) as executor, tuned(), drain.at_sigterm():
        of_loop = Backlog(settings.queue_seconds)
        of_threads, of_long = (Backlog(settings.queue_seconds, threads) for _ in range(2))
        pool = Pool(executor, of_threads)
        scheduler = Scheduler(pool, Pool(executor, of_long, pool), cpus, of_loop, metrics)
        # Taken, since whatever holds the first repository keeps its models in memory when others are served.
        served = given.pop() if given else open_repository(settings)
        shelf = Shelf(served, settings, metrics, changed=scheduler.forget)
        del served
        async with (
            metrics.settled_regularly({"loop": of_loop, "threads": of_threads, "long": of_long}),
            shelf.watching(),
        ):
            service = Service(settings, shelf, metrics, Intake(settings), scheduler, drain, documents.of)
            yield {"service": service, "reception": reception}
    logger.info("stopped")


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return refuse(request, error)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code, detail = HTTP_PROBLEMS.get(error.status_code, ("http-error", "The request cannot be answered."))
    request.scope["state"]["code"] = code
    headers = {name: "GET, HEAD" if value == "GET" else value for name, value in (error.headers or NONE).items()}
    return refusal(request.scope, error.status_code, code, detail, headers=headers)
