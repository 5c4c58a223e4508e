"""What a running application holds; routes find it in the lifespan's state."""

import re
from concurrent.futures import Executor
from dataclasses import dataclass
from importlib import metadata
from typing import Annotated

from fastapi import Depends, Request

from app.metrics import Metrics
from app.repository import VERSION_PATTERN, Model, Repository
from app.settings import Settings


@dataclass(frozen=True)
class Service:
    """Everything that answering a request needs; made when the application starts."""

    settings: Settings
    repository: Repository
    metrics: Metrics
    pool: Executor
    """Where computing happens, so that it never holds up the event loop."""
    openapi: bytes
    """The OpenAPI document, with examples from the default model."""


def version() -> str:
    """The version of nelbo that runs."""
    try:
        return metadata.version("nelbo")
    except metadata.PackageNotFoundError:
        return "0+uninstalled"


async def _service(request: Request) -> Service:
    service: Service = request.state.service
    return service


ServiceDep = Annotated[Service, Depends(_service)]
"""The running service: `async def endpoint(service: ServiceDep)`."""


async def _asked_model(request: Request, service: ServiceDep) -> Model:
    name, number = request.path_params.get("name"), request.path_params.get("version")
    if name is None:
        return service.repository.default
    if number is None:
        return service.repository.get(name)
    plain = re.fullmatch(VERSION_PATTERN, number)
    return service.repository.get(name, int(number) if plain else 0)  # no version is 0, so this is not found either


AskedModel = Annotated[Model, Depends(_asked_model)]
"""The model that the path names; the default one where it names none."""
