"""What a running application holds; routes find it in the lifespan's state."""

import re
from dataclasses import dataclass
from importlib import metadata
from typing import Annotated

from fastapi import Depends, Request

from app.body import Intake
from app.drain import Drain
from app.metrics import Metrics
from app.model import Model
from app.repository import VERSION_PATTERN, Repository
from app.scheduler import Scheduler
from app.settings import Settings


@dataclass(frozen=True)
class Service:
    """Everything that answering a request needs; made when the application starts."""

    settings: Settings
    repository: Repository
    metrics: Metrics
    intake: Intake
    scheduler: Scheduler
    drain: Drain
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


async def asked_model(request: Request) -> Model:
    """The model that the path names; the default one where it names none.

    Raises:
        UnknownResource: `model-not-found` or `version-not-found`.
    """
    repository: Repository = request.scope["state"]["service"].repository
    name, number = request.path_params.get("name"), request.path_params.get("version")
    if name is None:
        return repository.default
    if number is None:
        return repository.get(name)
    plain = re.fullmatch(VERSION_PATTERN, number)
    return repository.get(name, int(number) if plain else 0)  # no version is 0, so this is not found either


AskedModel = Annotated[Model, Depends(asked_model)]
"""The model that the path names: `async def endpoint(model: AskedModel)`."""
