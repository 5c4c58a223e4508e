"""What a running application holds; routes find it in the lifespan's state."""

import platform
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import metadata
from typing import Annotated

import onnxruntime
from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool

from app.body import Intake
from app.drain import Drain
from app.errors import Unavailable
from app.folder import VERSION_PATTERN
from app.metrics import Metrics
from app.model import Model
from app.repository import Repository
from app.scheduler import Scheduler
from app.settings import Settings
from app.shelf import Shelf


@dataclass(frozen=True)
class Service:
    """Everything that answering a request needs; made when the application starts."""

    settings: Settings
    shelf: Shelf
    metrics: Metrics
    intake: Intake
    scheduler: Scheduler
    drain: Drain
    openapi: Callable[[Repository], bytes]
    """The OpenAPI document of what is served, with examples from the default model."""

    @property
    def repository(self) -> Repository:
        """What is served now. A request asks once, so that it is answered by one repository from beginning to end."""
        return self.shelf.repository

    async def require_computing(self, models: Iterable[Model]) -> None:
        """See that a model whose graph has failed answers again; the others are not asked.

        Raises:
            Unavailable: `cannot-compute`.
        """
        for model in models:
            if model.engine.has_failed and not await run_in_threadpool(model.engine.answers_again):
                raise Unavailable("cannot-compute", f"{model} cannot compute any more; the service's log says why.")


MODEL_HEADER = "x-model-version"
"""The header that names the exact bundle behind an answer, as `Model.identity` does."""


def version() -> str:
    """The version of nelbo that runs."""
    try:
        return metadata.version("nelbo")
    except metadata.PackageNotFoundError:
        return "0+uninstalled"


def versions() -> dict[str, str]:
    """What runs: of nelbo, of onnxruntime and of Python."""
    return {"version": version(), "onnxruntime": onnxruntime.__version__, "python": platform.python_version()}


async def _service(request: Request) -> Service:
    service: Service = request.state.service
    return service


ServiceDep = Annotated[Service, Depends(_service)]
"""The running service: `async def endpoint(service: ServiceDep)`."""


async def _repository(service: ServiceDep) -> Repository:
    return service.repository


RepositoryDep = Annotated[Repository, Depends(_repository)]
"""What is served, the same wherever one request asks: `async def endpoint(repository: RepositoryDep)`."""


def asked_model(request: Request, repository: Repository) -> Model:
    """The model that the path names; the default one where it names none.

    Raises:
        UnknownResource: `model-not-found` or `version-not-found`.
    """
    name, number = request.path_params.get("name"), request.path_params.get("version")
    if name is None:
        return repository.default
    if number is None:
        return repository.get(name)
    plain = re.fullmatch(VERSION_PATTERN, number)
    return repository.get(name, int(number) if plain else 0)  # no version is 0, so this is not found either


async def _asked_model(request: Request, repository: RepositoryDep) -> Model:
    return asked_model(request, repository)


AskedModel = Annotated[Model, Depends(_asked_model)]
"""The model that the path names: `async def endpoint(model: AskedModel)`."""
