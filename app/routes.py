"""The addresses: each speaks HTTP, and hands the question on."""

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel
from starlette.requests import ClientDisconnect

from app import catalogue, schemas, verbs
from app.answer import Answer
from app.body import JSON, NDJSON, announced, media_type
from app.drain import draining
from app.errors import RequestError
from app.ndjson import Stream
from app.openapi import below
from app.presence import while_present
from app.refusals import farewell, refuse
from app.service import MODEL_HEADER, AskedModel, RepositoryDep, Service, ServiceDep, asked_model, version

router = APIRouter()
asked = APIRouter()
"""The four verbs; each of its endpoints answers a request whole, so that `Shortcut` may go to them."""

Endpoint = Callable[[Request], Coroutine[Any, Any, Response]]
PREFIXES = {"": "", "/models/{name}": "_of_model", "/models/{name}/versions/{version}": "_of_version"}
TEXT = {"text/plain": {"schema": {"type": "string"}}}

ANSWERS = {
    "type": "string",
    "description": "A line for each question, or {line, code, detail} where it is refused; the last is {rows, errors}.",
}


def _verb(name: str, question: type[BaseModel], answered: type[BaseModel]) -> Callable[[Endpoint], Endpoint]:
    """Put an endpoint at the root, below each model and below each version."""

    def register(endpoint: Endpoint) -> Endpoint:
        schema = {"schema": {"$ref": f"#/components/schemas/{question.__name__}"}}
        lines = "A line for each question" + (", or for each row." if "rows" in question.model_fields else ".")
        questions = {"schema": {"type": "string", "description": lines}}
        body = {"content": {JSON: schema, NDJSON: questions}, "required": True}
        answers = {"200": {"content": {NDJSON: {"schema": ANSWERS}}}}
        for prefix, suffix in PREFIXES.items():
            asked.post(
                f"{prefix}/{name}",
                operation_id=f"{name}{suffix}",
                response_model=answered,
                openapi_extra={"requestBody": body, "responses": answers},
            )(endpoint)
        return endpoint

    return register


@_verb("encode", schemas.RowsRequest, schemas.EncodeResponse)
async def encode(request: Request) -> Response:
    """Where is this in the latent space?"""
    return await _answer(verbs.encode, request)


@_verb("reconstruct", schemas.RowsRequest, schemas.ReconstructResponse)
async def reconstruct(request: Request) -> Response:
    """What should these sensors have read?"""
    return await _answer(verbs.reconstruct, request)


@_verb("sample", schemas.SampleRequest, schemas.SampleResponse)
async def sample(request: Request) -> Response:
    """What does a healthy plant look like?"""
    return await _answer(verbs.sample, request)


@_verb("score", schemas.ScoreRequest, schemas.ScoreResponse)
async def score(request: Request) -> Response:
    """How surprising is this?"""
    return await _answer(verbs.score, request)


@router.get("/")
async def service_info(request: Request, repository: RepositoryDep) -> catalogue.ServiceInfo:
    """What answers here, and where to go on."""
    return catalogue.service_info(repository, version(), request.scope.get("root_path", ""))


@router.get("/models")
async def models(repository: RepositoryDep) -> catalogue.Models:
    """Every model that is served, and every bundle that is refused."""
    return catalogue.models(repository)


@router.get("/models/{name}", operation_id="model_info")
@router.get("/models/{name}/versions/{version}", operation_id="version_info")
async def model_info(model: AskedModel, repository: RepositoryDep, service: ServiceDep) -> catalogue.ModelInfo:
    """What a model is, what its sensors are and what may be asked of it."""
    return catalogue.model_info(model, repository, service.settings)


@router.get("/health/live")
async def live(service: ServiceDep, repository: RepositoryDep) -> catalogue.Health:
    """Whether the process answers, and can compute; where it cannot it is to be started anew."""
    await service.require_computing(repository.every_model)
    return catalogue.Health(status="live")


@router.get("/health/ready")
async def ready(service: ServiceDep, repository: RepositoryDep) -> catalogue.Health:
    """Whether requests are to be sent here: the models are open and compute, and the service is not about to stop."""
    if service.drain.begun:
        raise draining()
    await service.require_computing(repository.every_model)
    return catalogue.Health(status="ready")


@router.get("/metrics", response_class=Response, responses={200: {"content": TEXT}})
async def metrics(service: ServiceDep) -> Response:
    """What the service counted since it started, for Prometheus."""
    return Response(service.metrics.exposition(), media_type=CONTENT_TYPE_LATEST)


@router.get("/openapi.json", include_in_schema=False)
def openapi(request: Request, service: ServiceDep, repository: RepositoryDep) -> Response:
    # In a thread: its examples are computed.
    return Response(below(request.scope.get("root_path", ""), service.openapi(repository)), media_type=JSON)


async def _answer(verb: verbs.Verb, request: Request) -> Response:
    try:
        service: Service = request.scope["state"]["service"]
        model = asked_model(request, service.repository)
        understand = partial(verb, model, service.settings)
        if media_type(request) == NDJSON:
            return Stream(verb, understand, service, request, model)
        service.scheduler.require_room(announced(request))
        body = await service.intake.whole(request)
        reply = await service.scheduler.answer(understand, body, partial(while_present, request.receive))
    except RequestError as error:
        return refuse(request, error)
    except ClientDisconnect:
        return farewell(request)
    service.metrics.count_rows(verb.__name__, reply.rows)
    if reply.scored is not None:
        service.metrics.see(model.manifest, reply.scored)
    request.scope["state"]["rows"] = reply.rows
    return Answer(reply.body, JSON, headers={MODEL_HEADER: model.identity})
