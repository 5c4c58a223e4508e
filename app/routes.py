"""The addresses: each speaks HTTP, and hands the question on."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel

from app import catalogue, schemas, verbs
from app.body import JSON, read_json
from app.repository import Model
from app.service import AskedModel, Service, ServiceDep, version

router = APIRouter()

Endpoint = Callable[[Request, Model, Service], Coroutine[Any, Any, Response]]
PREFIXES = {"": "", "/models/{name}": "_of_model", "/models/{name}/versions/{version}": "_of_version"}


def _verb(name: str, asked: type[BaseModel], answered: type[BaseModel]) -> Callable[[Endpoint], Endpoint]:
    """Put an endpoint at the root, below each model and below each version."""

    def register(endpoint: Endpoint) -> Endpoint:
        body = {"content": {JSON: {"schema": {"$ref": f"#/components/schemas/{asked.__name__}"}}}, "required": True}
        for prefix, suffix in PREFIXES.items():
            router.post(
                f"{prefix}/{name}",
                operation_id=f"{name}{suffix}",
                response_model=answered,
                openapi_extra={"requestBody": body},
            )(endpoint)
        return endpoint

    return register


@_verb("encode", schemas.RowsRequest, schemas.EncodeResponse)
async def encode(request: Request, model: AskedModel, service: ServiceDep) -> Response:
    """Where is this in the latent space?"""
    return await _answer(verbs.encode, request, model, service)


@_verb("reconstruct", schemas.RowsRequest, schemas.ReconstructResponse)
async def reconstruct(request: Request, model: AskedModel, service: ServiceDep) -> Response:
    """What should these sensors have read?"""
    return await _answer(verbs.reconstruct, request, model, service)


@_verb("sample", schemas.SampleRequest, schemas.SampleResponse)
async def sample(request: Request, model: AskedModel, service: ServiceDep) -> Response:
    """What does a healthy plant look like?"""
    return await _answer(verbs.sample, request, model, service)


@_verb("score", schemas.ScoreRequest, schemas.ScoreResponse)
async def score(request: Request, model: AskedModel, service: ServiceDep) -> Response:
    """How surprising is this?"""
    return await _answer(verbs.score, request, model, service)


@router.get("/")
async def service_info(service: ServiceDep) -> catalogue.ServiceInfo:
    """What answers here, and where to go on."""
    return catalogue.service_info(service.repository, version())


@router.get("/models")
async def models(service: ServiceDep) -> catalogue.Models:
    """Every model that is served."""
    return catalogue.models(service.repository)


@router.get("/models/{name}", operation_id="model_info")
@router.get("/models/{name}/versions/{version}", operation_id="version_info")
async def model_info(model: AskedModel, service: ServiceDep) -> catalogue.ModelInfo:
    """What a model is, what its sensors are and what may be asked of it."""
    return catalogue.model_info(model, service.repository, service.settings)


@router.get("/health/live")
async def live() -> catalogue.Health:
    """Whether the process answers."""
    return catalogue.Health(status="live")


@router.get("/health/ready")
async def ready(service: ServiceDep) -> catalogue.Health:
    """Whether the models are open; no request is taken before they are."""
    return catalogue.Health(status="ready")


@router.get("/metrics", responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}})
async def metrics(service: ServiceDep) -> Response:
    """What the service counted since it started, for Prometheus."""
    return Response(service.metrics.exposition(), media_type=CONTENT_TYPE_LATEST)


@router.get("/openapi.json", include_in_schema=False)
async def openapi(service: ServiceDep) -> Response:
    return Response(service.openapi, media_type=JSON)


async def _answer(verb: verbs.Verb, request: Request, model: Model, service: Service) -> Response:
    body = await read_json(request, service.settings)
    loop = asyncio.get_running_loop()
    reply = await loop.run_in_executor(service.pool, verb, model, body, service.settings)
    service.metrics.count_rows(verb.__name__, reply.rows)
    return Response(reply.body, media_type=JSON)
