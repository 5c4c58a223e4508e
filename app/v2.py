"""The Open Inference Protocol, version 2, over REST: each address speaks HTTP, and hands the question on."""

import time
from functools import partial

from fastapi import APIRouter, Request, Response
from starlette.requests import ClientDisconnect

from app import browsers, coding, v2_catalogue
from app.answer import Answer
from app.body import JSON, Intake, announced
from app.drain import draining
from app.errors import RequestError
from app.infer import Answered, Head, infer
from app.infer_body import HEADER
from app.model import Model
from app.presence import while_present
from app.refusals import farewell, refuse
from app.service import MODEL_HEADER, AskedModel, RepositoryDep, Service, ServiceDep, asked_model, version
from app.statistics import Statistics, statistics
from app.v2_bodies import read_index
from app.v2_schemas import V2InferResponse

BINARY = "application/octet-stream"

router = APIRouter(prefix="/v2")
asked = APIRouter(prefix="/v2")
"""Inference, whose endpoint answers a request whole, so that `Shortcut` may go to it."""


@router.get("", operation_id="v2_server")
@router.get("/", include_in_schema=False)
async def server() -> v2_catalogue.V2Server:
    """What answers here, and which extensions of the protocol it knows."""
    return v2_catalogue.server(version())


@router.get("/health/live", operation_id="v2_live")
async def live(service: ServiceDep, repository: RepositoryDep) -> v2_catalogue.V2Health:
    """Whether the service answers, and can compute; where it cannot it is to be started anew."""
    await service.require_computing(repository.every_model)
    return v2_catalogue.V2Health()


@router.get("/health/ready", operation_id="v2_ready")
async def ready(service: ServiceDep, repository: RepositoryDep) -> v2_catalogue.V2Health:
    """Whether requests are to be sent here: the models are open and compute, and the service is not about to stop."""
    if service.drain.begun:
        raise draining()
    await service.require_computing(repository.every_model)
    return v2_catalogue.V2Health()


@router.get("/models/stats", operation_id="v2_stats")
async def stats(service: ServiceDep, repository: RepositoryDep) -> Statistics:
    """What every model was asked under /v2 since the service started."""
    models = [model.manifest for model in repository.every_model]
    return statistics(service.metrics.collect(), models)


@router.get("/models/{name}/stats", operation_id="v2_stats_of_model")
@router.get("/models/{name}/versions/{version}/stats", operation_id="v2_stats_of_version")
async def model_stats(model: AskedModel, service: ServiceDep) -> Statistics:
    """What one model was asked under /v2 since the service started."""
    return statistics(service.metrics.collect(), [model.manifest])


@router.get("/models/{name}/ready", operation_id="v2_model_ready")
@router.get("/models/{name}/versions/{version}/ready", operation_id="v2_version_ready")
async def model_ready(model: AskedModel, service: ServiceDep) -> v2_catalogue.V2Ready:
    """Whether a model answers; every model that is served does, unless its graphs have ceased to compute."""
    await service.require_computing([model])
    return v2_catalogue.V2Ready(name=model.manifest.name, ready=True)


@router.get("/models/{name}", operation_id="v2_model")
@router.get("/models/{name}/versions/{version}", operation_id="v2_version")
async def metadata(model: AskedModel, repository: RepositoryDep) -> v2_catalogue.V2Model:
    """What a model takes and gives."""
    return v2_catalogue.metadata(model, repository)


@asked.post("/models/{name}/infer", operation_id="v2_infer", response_model=V2InferResponse)
@asked.post("/models/{name}/versions/{version}/infer", operation_id="v2_infer_version", response_model=V2InferResponse)
async def infer_rows(request: Request) -> Response:
    """How surprising rows are, where that comes from, and what was expected."""
    try:
        service: Service = request.scope["state"]["service"]
        model = asked_model(request, service.repository)
        answered = await _infer(request, service, model)
    except RequestError as error:
        return refuse(request, error)
    except ClientDisconnect:
        return farewell(request)
    return Answer(answered.body, BINARY if answered.json_bytes else JSON, headers=_headers(answered, model))


@router.post("/repository/index", operation_id="v2_index")
async def index(request: Request, service: ServiceDep) -> list[v2_catalogue.V2IndexEntry]:
    """Every version that is served, and every one that is refused or unloaded."""
    body = await service.intake.whole(request)
    return v2_catalogue.index(service.repository, read_index(body).ready)


async def _infer(request: Request, service: Service, model: Model) -> Answered:
    about, started = (model.manifest.name, model.manifest.version), time.perf_counter()
    try:
        service.scheduler.require_room(announced(request))
        head, body = await _read(request, service.intake)
        understand = partial(infer, model, service.settings, service.metrics, head)
        wait = partial(while_present, request.receive)
        answered: Answered = await service.scheduler.answer(understand, body, wait)
    except Exception:
        service.metrics.count_failed_inference(*about, time.perf_counter() - started)
        raise
    service.metrics.count_inference(*about, answered.rows, answered.stages)
    if answered.scored is not None:
        service.metrics.see(model.manifest, answered.scored)
    request.scope["state"]["rows"] = answered.rows
    return answered


async def _read(request: Request, intake: Intake) -> tuple[Head, bytes]:
    # Elsewhere a body has to be of a type that browsers do not send for pages of other origins.
    browsers.require_own_page(request.scope["headers"])
    headers = request.headers
    content_coding = headers.get("content-encoding", "")
    coding.require(content_coding)
    body = await intake.whole(request)
    accepted = headers.get("accept-encoding", "")
    return Head(content_coding, headers.get(HEADER), accepted, time.perf_counter()), body


def _headers(answered: Answered, model: Model) -> dict[str, str]:
    headers = {MODEL_HEADER: model.identity}
    if answered.json_bytes is not None:
        headers[HEADER] = str(answered.json_bytes)
    return headers if answered.coding is None else headers | {"Content-Encoding": answered.coding}
